"""The stand-ins hold nothing that the real libraries lack, and are as strict: so what runs on them calls no phantom."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from device_agents import standins
from device_agents.standins import cuda_runtime, tensorrt_execution, tensorrt_module

# public names of the real libraries, by version and class, as introspected on their wheels
REAL = json.loads((Path(__file__).parents[1] / "assets" / "gpu_library_names.json").read_text())
TENSORRT = {"10": REAL["tensorrt"]["10.13.3.9"], "11": REAL["tensorrt"]["11.4.0.106"]}
CUDA = REAL["cuda.bindings.runtime"]
ENUMS = ("NetworkDefinitionCreationFlag", "BuilderFlag", "MemoryPoolType", "ProfilingVerbosity", "TensorIOMode",
         "DataType", "LayerInformationFormat")  # fmt: skip


@pytest.mark.parametrize("version", TENSORRT)
def test_tensorrt_has_nothing_that_the_version_lacks(version):
    module, real = tensorrt_module.of_version(version), TENSORRT[version]
    assert {name for name in vars(module) if not name.startswith("__")} <= set(real["tensorrt"])
    classes = [
        *(getattr(module, name) for name in ("Builder", "Runtime", "OnnxParser", "ILogger", "IProfiler")),
        *(kind for kind in vars(tensorrt_module).values() if inspect.isclass(kind)),
        *(kind for kind in vars(tensorrt_execution).values() if inspect.isclass(kind)),
    ]
    checked = 0
    for kind in classes:
        if kind.__name__ in real:
            assert {name for name in dir(kind) if not name.startswith("_")} <= set(real[kind.__name__]) | {"name"}, kind
            checked += 1
    assert checked >= 15
    for name in ENUMS:
        assert set(getattr(module, name).__members__) <= set(real[name])


def test_the_versions_differ_where_the_real_ones_do():
    ten, eleven = (tensorrt_module.of_version(version) for version in ("10", "11"))
    assert hasattr(ten.BuilderFlag, "FP16")
    assert not hasattr(eleven.BuilderFlag, "FP16")
    assert int(ten.NetworkDefinitionCreationFlag.STRONGLY_TYPED) == 1
    assert int(eleven.NetworkDefinitionCreationFlag.STRONGLY_TYPED) == 0
    assert not hasattr(eleven.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH")
    with pytest.raises(ImportError, match="there is 10 and 11"):
        tensorrt_module.of_version("9")


@pytest.mark.parametrize("version", CUDA)
def test_cuda_has_nothing_that_the_version_lacks(version):
    real = CUDA[version]
    mine = {name for name in vars(cuda_runtime) if name.startswith("cuda")}
    structures = {"cudaStream_t", "cudaEvent_t", "cudaGraph_t", "cudaGraphExec_t", "cudaDeviceProp"}
    assert mine - structures <= set(real["runtime"])
    for name in ("cudaError_t", "cudaMemcpyKind", "cudaStreamCaptureMode"):
        assert set(getattr(cuda_runtime, name).__members__) <= set(real[name])
    assert {"name", "major", "minor"} <= set(real["cudaDeviceProp"])


def test_enums_are_no_numbers():
    flag = tensorrt_module.of_version("10").NetworkDefinitionCreationFlag.STRONGLY_TYPED
    with pytest.raises(TypeError):
        1 << int(flag) | flag
    assert flag != 1


def test_arguments_of_a_wrong_type_are_refused():
    trt = tensorrt_module.of_version("11")
    with pytest.raises(TypeError):
        trt.Builder(3)
    with pytest.raises(TypeError):
        cuda_runtime.cudaMalloc(3.0)
    with pytest.raises(TypeError):
        cuda_runtime.cudaStreamSynchronize(7)

    class Careless(trt.ILogger):
        def __init__(self):
            pass

    with pytest.raises(TypeError, match="__init__"):
        trt.Runtime(Careless())


def test_a_memory_that_is_full_is_an_error_and_no_address():
    error, address = cuda_runtime.cudaMalloc(1 << 40)
    assert error == cuda_runtime.cudaError_t.cudaErrorMemoryAllocation
    assert address is None


PRELUDE = """
from device_agents import standins
cuda = standins.import_module("cuda.bindings.runtime")
trt = standins.import_module("tensorrt")
class Logger(trt.ILogger):
    def __init__(self):
        trt.ILogger.__init__(self)
    def log(self, severity, message):
        pass
address = cuda.cudaMalloc(64)[1]
stream = cuda.cudaStreamCreateWithFlags(1)[1]
to_host = cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
"""


@pytest.mark.parametrize(
    ("code", "words", "devices"),
    [
        ("cuda.cudaFree(address); cuda.cudaFree(address)", "freed already", "1"),
        ("cuda.cudaFree(address); cuda.cudaMemcpyAsync(0, address, 4, to_host, stream)", "illegal memory", "1"),
        ("cuda.cudaMemcpyAsync(0, address, 65, to_host, stream)", "illegal memory", "1"),
        ("cuda.cudaStreamDestroy(stream); cuda.cudaStreamSynchronize(stream)", "stream was destroyed", "1"),
        ("cuda.cudaStreamDestroy(stream); cuda._use_stream(int(stream), 'x')", "no stream", "1"),
        ("e = cuda.cudaEventCreateWithFlags(0)[1]; cuda.cudaEventDestroy(e); cuda.cudaEventQuery(e)", "event", "1"),
        ("trt.Runtime(Logger()).deserialize_cuda_engine(b'ftrt')", "no CUDA device", "0"),
    ],
)
@pytest.mark.parametrize("version", ["10", "11"])
def test_what_kills_a_real_process_kills_this_one(code, words, devices, version):
    environment = {**os.environ, standins.VERSION: version, standins.DEVICES: devices}
    root = str(Path(standins.__file__).parents[2])
    process = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})\n{PRELUDE}\n{code}\nprint('alive')"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert process.returncode < 0
    assert words in process.stderr
    assert "alive" not in process.stdout
