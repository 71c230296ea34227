"""Stand-in for `tensorrt` 10 and 11: the part that builds engines. `tensorrt_execution` has the part that runs them.

As the real bindings do, refusals return None or False and tell the logger why; arguments of a wrong type raise
TypeError, unknown attributes AttributeError.
"""

import json
import types
from typing import Any

from device_agents.standins import onnx_timing
from device_agents.standins import tensorrt_execution as execution
from device_agents.standins.strict import enumeration, want

VERSIONS = {"10": "10.13.3.9", "11": "11.4.0.106"}
_MODULES: dict = {}

DataType = execution.DataType
LayerType = enumeration(
    "LayerType", {"CONVOLUTION": 0, "CAST": 1, "CONCATENATION": 5, "ELEMENTWISE": 9, "RESIZE": 27, "FILL": 31}
)
MemoryPoolType = enumeration("MemoryPoolType", {"WORKSPACE": 0})


def of_version(version):
    """The module as version 10 or 11 has it, always the same object."""
    if version not in VERSIONS:
        raise ImportError("there is no stand-in for TensorRT {}: there is 10 and 11".format(version))
    if version not in _MODULES:
        _MODULES[version] = _module(version)
    return _MODULES[version]


def _module(version):
    module: Any = types.ModuleType("tensorrt")
    module.__version__ = VERSIONS[version]
    flags = {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1} if version == "10" else {"STRONGLY_TYPED": 0}
    builder_flags = {"FP16": 0, "INT8": 1, "TF32": 6} if version == "10" else {"TF32": 6}
    module.NetworkDefinitionCreationFlag = enumeration("NetworkDefinitionCreationFlag", flags)
    module.BuilderFlag = enumeration("BuilderFlag", builder_flags)
    for kind in (LayerType, MemoryPoolType, Builder, OnnxParser):
        setattr(module, kind.__name__, kind)
    for name in execution.NAMES:
        setattr(module, name, getattr(execution, name))
    module.Builder = type("Builder", (Builder,), {"_trt": module, "__slots__": ()})
    module.Runtime = type("Runtime", (execution.Runtime,), {"_version": module.__version__, "__slots__": ()})
    return module


class Builder(object):
    __slots__ = ("_logger",)
    _trt: Any = None  # the module it belongs to

    def __init__(self, logger):
        self._logger = execution.used_logger(logger, "Builder")
        if not execution.has_device():
            raise TypeError("pybind11::init(): factory function returned nullptr")

    def create_network(self, flags=0):
        flag = self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
        typed = bool(want(flags, int, "create_network") >> int(flag) & 1) or self._trt.__version__ > "11"
        return INetworkDefinition(typed)

    def create_builder_config(self):
        return IBuilderConfig(self._trt)

    def build_serialized_network(self, network, config):
        want(network, INetworkDefinition, "build_serialized_network")
        want(config, IBuilderConfig, "build_serialized_network")
        if network._graph is None:
            execution.say(self._logger, "ERROR", "[network.cpp::validate] Network must have at least one output")
            return None
        if config._monitor is not None and not self._build(config._monitor):
            execution.say(self._logger, "ERROR", "Error Code 10: the build was cancelled")
            return None
        plan = {
            "version": self._trt.__version__,
            "verbosity": config.profiling_verbosity.name,
            "typed": network._typed,
            "model": network._data.hex(),
        }
        if config._cache is not None:
            config._cache._entries += len(network._graph.layers)
        return execution.IHostMemory(b"ftrt" + json.dumps(plan).encode())

    def _build(self, monitor):
        monitor.phase_start("Building Engine", None, 1)
        if monitor.step_complete("Building Engine", 0) is not True:
            return False
        monitor.phase_finish("Building Engine")
        return True


class INetworkDefinition(object):
    __slots__ = ("_data", "_graph", "_typed")

    def __init__(self, typed):
        self._typed, self._data, self._graph = typed, b"", None

    @property
    def num_layers(self):
        return len(self._graph.layers) if self._graph else 0

    def get_layer(self, index):
        layers = self._graph.layers if self._graph else []
        if not 0 <= want(index, int, "get_layer") < len(layers):
            return None
        return ILayer(layers[index])


class ILayer(object):
    __slots__ = ("_layer", "name", "num_inputs", "type")

    def __init__(self, layer):
        self._layer, self.name, self.num_inputs = layer, layer.name, layer.num_inputs
        self.type = getattr(LayerType, onnx_timing.layer_type(layer.op))

    def get_output(self, index):
        return ITensor(self._layer) if want(index, int, "get_output") == 0 else None


class ITensor(object):
    __slots__ = ("dtype", "name")

    def __init__(self, layer):
        self.name, self.dtype = layer.output, getattr(DataType, layer.kind)


class IBuilderConfig(object):
    __slots__ = ("_cache", "_flags", "_monitor", "_trt", "_verbosity", "_workspace_bytes")

    def __init__(self, trt):
        self._trt, self._cache, self._flags = trt, None, {trt.BuilderFlag.TF32}
        self._monitor: Any = None
        self._verbosity, self._workspace_bytes = execution.ProfilingVerbosity.LAYER_NAMES_ONLY, None

    @property
    def profiling_verbosity(self):
        return self._verbosity

    @profiling_verbosity.setter
    def profiling_verbosity(self, value):
        self._verbosity = want(value, execution.ProfilingVerbosity, "profiling_verbosity")

    @property
    def progress_monitor(self):
        return self._monitor

    @progress_monitor.setter
    def progress_monitor(self, value):
        if not want(value, execution.IProgressMonitor, "progress_monitor")._ready:
            raise TypeError("tensorrt.IProgressMonitor.__init__() must be called when overriding __init__")
        self._monitor = value

    def get_flag(self, flag):
        return want(flag, self._trt.BuilderFlag, "get_flag") in self._flags

    def set_memory_pool_limit(self, pool, pool_size):
        want(pool, MemoryPoolType, "set_memory_pool_limit")
        self._workspace_bytes = want(pool_size, int, "set_memory_pool_limit")

    def create_timing_cache(self, serialized_timing_cache):
        return ITimingCache(self._trt.__version__, want(serialized_timing_cache, bytes, "create_timing_cache"))

    def set_timing_cache(self, cache, ignore_mismatch):
        want(cache, ITimingCache, "set_timing_cache")
        if cache._version != self._trt.__version__ and not want(ignore_mismatch, bool, "set_timing_cache"):
            return False
        self._cache = cache
        return True

    def get_timing_cache(self):
        return self._cache


class ITimingCache(object):
    __slots__ = ("_entries", "_version")

    def __init__(self, version, blob):
        kept = blob.decode(errors="replace").split(" ")
        self._version, self._entries = (kept[0], int(kept[1])) if len(kept) == 2 else (version, 0)

    def serialize(self):
        return execution.IHostMemory("{} {}".format(self._version, self._entries).encode())


class OnnxParser(object):
    __slots__ = ("_errors", "_logger", "_network")

    def __init__(self, network, logger):
        self._network = want(network, INetworkDefinition, "OnnxParser")
        self._logger, self._errors = execution.used_logger(logger, "OnnxParser"), []

    @property
    def num_errors(self):
        return len(self._errors)

    def parse(self, model, path=None):
        want(model, bytes, "parse")
        try:
            graph = onnx_timing.Graph(model)
        except ValueError as error:
            self._errors.append(ParserError(str(error)))
            execution.say(self._logger, "ERROR", "ModelImporter.cpp: Failed to parse ONNX model")
            return False
        self._network._graph, self._network._data = graph, model
        return True

    def get_error(self, index):
        return self._errors[want(index, int, "get_error")]


class ParserError(object):
    __slots__ = ("_desc",)

    def __init__(self, desc):
        self._desc = desc

    def desc(self):
        return self._desc
