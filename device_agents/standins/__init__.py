"""Stand-ins for `tensorrt`, `cuda.bindings.runtime` and NVML, so that the GPU agent runs without a GPU.

They hold the parts that the agent calls and nothing else, each with the absences of its version, and are no more
tolerant than the real ones: what would end the process there ends it here. Latencies are a model's, made of an ONNX
graph's multiply-adds and bytes: they say nothing of any real card, and `describe()` says `simulated`.

The environment variable MOSEGNAS_GPU_STANDIN chooses TensorRT 10 or 11; MOSEGNAS_GPU_STANDIN_DEVICES=0 is a host
without a GPU.
"""

import importlib
import os

VERSION = "MOSEGNAS_GPU_STANDIN"
DEVICES = "MOSEGNAS_GPU_STANDIN_DEVICES"


def import_module(name):
    """The module called `name`, or its stand-in where one is asked for; ImportError as ever."""
    if not loaded():
        return importlib.import_module(name)
    if name == "tensorrt":
        return importlib.import_module("device_agents.standins.tensorrt_module").of_version(os.environ[VERSION])
    return importlib.import_module("device_agents.standins." + name.replace("cuda.bindings.", "cuda_"))


def loaded():
    """Whether stand-ins take the place of the real libraries."""
    return bool(os.environ.get(VERSION))


def nvml():
    """The stand-in of NVML's library, or None: the real one is to be used."""
    if not loaded():
        return None
    return importlib.import_module("device_agents.standins.nvml_library").Library(os.environ[VERSION])
