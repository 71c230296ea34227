"""Stand-in for `tensorrt` 10 and 11: loggers, and the part that loads engines and runs them on the virtual card."""

import json
from typing import Any

from device_agents.standins import cuda_runtime, onnx_timing
from device_agents.standins.strict import die, enumeration, want

DataType = enumeration(
    "DataType", {"FLOAT": 0, "HALF": 1, "INT8": 2, "INT32": 3, "BOOL": 4, "UINT8": 5, "BF16": 7, "INT64": 8}
)
TensorIOMode = enumeration("TensorIOMode", {"NONE": 0, "INPUT": 1, "OUTPUT": 2})
ProfilingVerbosity = enumeration("ProfilingVerbosity", {"LAYER_NAMES_ONLY": 0, "NONE": 1, "DETAILED": 2})
LayerInformationFormat = enumeration("LayerInformationFormat", {"ONELINE": 0, "JSON": 1})
_BYTES = {"FLOAT": 4, "HALF": 2, "INT64": 8, "INT32": 4, "UINT8": 1}
_NUMPY = {"FLOAT": "float32", "HALF": "float16", "INT64": "int64", "INT32": "int32", "UINT8": "uint8"}
_WORDS = {"FLOAT": "FP32", "HALF": "FP16", "INT64": "Int64", "INT32": "Int32", "UINT8": "UInt8"}

NAMES = (
    "DataType", "TensorIOMode", "ProfilingVerbosity", "LayerInformationFormat", "ILogger", "IProfiler",
    "IProgressMonitor", "IHostMemory",
    "ICudaEngine", "IExecutionContext", "EngineInspector",
)  # fmt: skip


class ILogger(object):
    """The base of a logger; `__init__` has to be called, as pybind11 insists."""

    Severity = enumeration("Severity", {"INTERNAL_ERROR": 0, "ERROR": 1, "WARNING": 2, "INFO": 3, "VERBOSE": 4})
    _ready = False

    def __init__(self):
        self._ready = True


class IProfiler(object):
    """The base of a profiler."""

    _ready = False

    def __init__(self):
        self._ready = True


class IProgressMonitor(object):
    """The base of a monitor of builds."""

    _ready = False

    def __init__(self):
        self._ready = True


def used_logger(logger, call):
    """The logger, if it is one and was made properly."""
    if not want(logger, ILogger, call)._ready:
        raise TypeError("tensorrt.ILogger.__init__() must be called when overriding __init__")
    return logger


def say(logger, severity, message):
    """What the library tells its logger."""
    logger.log(getattr(ILogger.Severity, severity), message)


def has_device():
    """Whether this host has a GPU."""
    return bool(cuda_runtime.cudaGetDeviceCount()[1])


class IHostMemory(object):
    __slots__ = ("_data",)

    def __init__(self, data):
        self._data = data

    @property
    def nbytes(self):
        return len(self._data)

    def __bytes__(self):
        return self._data


class Runtime(object):
    """Made without complaint where there is no device; what it loads then ends the process."""

    __slots__ = ("_logger",)
    _version = ""

    def __init__(self, logger):
        self._logger = used_logger(logger, "Runtime")
        if not has_device():
            say(logger, "ERROR", "CUDA initialization failure with error: 35")

    def deserialize_cuda_engine(self, serialized_engine):
        want(serialized_engine, bytes, "deserialize_cuda_engine")
        if not has_device():
            die("deserialize_cuda_engine: there is no CUDA device")
        if serialized_engine[:4] != b"ftrt":
            say(self._logger, "ERROR", "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (magic tag)")
            return None
        plan = json.loads(serialized_engine[4:].decode())
        if plan["version"] != self._version:
            say(self._logger, "ERROR", "The engine plan file is not compatible with this version of TensorRT")
            return None
        return ICudaEngine(self._logger, plan)


class ICudaEngine(object):
    __slots__ = ("_data", "_graph", "_kernels", "_logger", "_plan", "_tensors")

    def __init__(self, logger, plan):
        self._logger, self._plan, self._data = logger, plan, bytes.fromhex(plan["model"])
        self._graph = onnx_timing.Graph(self._data)
        self._kernels = onnx_timing.fused(self._graph.layers)
        self._tensors = {}
        for tensors, mode in ((self._graph.inputs, TensorIOMode.INPUT), (self._graph.outputs, TensorIOMode.OUTPUT)):
            for name, kind, shape in tensors:
                self._tensors[name] = (mode, kind, shape)

    def _eleven(self):
        return self._plan["version"].startswith("11")

    def _name(self, kernel):
        """The name that TensorRT gives fused layers; that of a stretch tells its ends, or nothing of the graph."""
        if not is_stretch(kernel):
            return " + ".join(layer.name for layer in kernel)
        if self._eleven():
            return "__myl_{}_myl0_{}".format("".join(layer.op[:4] for layer in kernel), self._kernels.index(kernel))
        return "{{ForeignNode[{}...{}]}}".format(kernel[0].name, kernel[-1].name)

    @property
    def num_io_tensors(self):
        return len(self._tensors)

    def get_tensor_name(self, index):
        return list(self._tensors)[want(index, int, "get_tensor_name")]

    def get_tensor_mode(self, name):
        return self._tensors[want(name, str, "get_tensor_mode")][0]

    def get_tensor_dtype(self, name):
        return getattr(DataType, self._tensors[want(name, str, "get_tensor_dtype")][1])

    def get_tensor_shape(self, name):
        return self._tensors[want(name, str, "get_tensor_shape")][2]

    def create_execution_context(self):
        return IExecutionContext(self)

    def create_engine_inspector(self):
        return EngineInspector(self)


class EngineInspector(object):
    __slots__ = ("_engine",)

    def __init__(self, engine):
        self._engine = engine

    def get_engine_information(self, format):
        want(format, LayerInformationFormat, "get_engine_information")
        detailed = self._engine._plan["verbosity"] == "DETAILED"
        kernels = self._engine._kernels
        layers = [self._layer(kernel) if detailed else self._engine._name(kernel) for kernel in kernels]
        borders = "I/O Tensors" if self._eleven() else "Bindings"
        return json.dumps({"Layers": layers, borders: list(self._engine._tensors)})

    def _layer(self, kernel):
        kind = "CaskConvolution" if kernel[0].op == "Conv" else "PointWiseV2"
        kind = "Reformat" if kernel[0].op == "Reformat" else "Myelin" if is_stretch(kernel) else kind
        inside = [self._tensor(name, kernel[0].kind, ()) for name in kernel[0].inputs]
        outside = [self._tensor(kernel[-1].output, kernel[-1].kind, kernel[-1].shape)]
        found = {"Name": self._engine._name(kernel), "LayerType": kind, "Inputs": inside, "Outputs": outside}
        if self._eleven() and kernel[0].op != "Reformat":
            found["Metadata"] = "\x1f".join("[ONNX Layer: {}]".format(layer.name) for layer in kernel)
        return found

    def _tensor(self, name, kind, shape):
        found = {"Name": name, "Dimensions": list(shape)}
        if self._eleven():
            return dict(found, Format="Row major linear", Datatype=_WORDS[kind])
        return dict(found, **{"Format/Datatype": "Row major linear {} format".format(_WORDS[kind])})

    def _eleven(self):
        return self._engine._eleven()


def is_stretch(kernel):
    """Whether the compiler for fused stretches of a graph made this kernel."""
    return len(kernel) > 1 and kernel[0].op != "Conv"


class IExecutionContext(object):
    __slots__ = ("_addresses", "_engine", "_profiler", "_unreported", "enqueue_emits_profile")

    def __init__(self, engine):
        self._engine, self._addresses = engine, {}
        self._profiler: Any = None
        self._unreported, self.enqueue_emits_profile = False, True

    @property
    def profiler(self):
        return self._profiler

    @profiler.setter
    def profiler(self, value):
        if not want(value, IProfiler, "profiler")._ready:
            raise TypeError("tensorrt.IProfiler.__init__() must be called when overriding __init__")
        self._profiler = value

    def set_tensor_address(self, name, memory):
        want(memory, int, "set_tensor_address")
        if want(name, str, "set_tensor_address") not in self._engine._tensors:
            say(self._engine._logger, "ERROR", "setTensorAddress given invalid tensor name: {}".format(name))
            return False
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle):
        stream = cuda_runtime._use_stream(stream_handle, "execute_async_v3")
        blocks = {}
        for name, (_, kind, shape) in self._engine._tensors.items():
            if name not in self._addresses:
                say(self._engine._logger, "ERROR", "enqueueV3: no address set for tensor {}".format(name))
                return False
            size = _BYTES[kind]
            for extent in shape:
                size *= extent
            blocks[name] = cuda_runtime._block(self._addresses[name], size, "enqueueV3")[0]
        works: list = [(_fused_ms(kernel), None) for kernel in self._engine._kernels]
        works[-1] = (works[-1][0], lambda: self._mark(blocks))
        cuda_runtime._launch(stream, works)
        self._unreported = True
        if self._profiler is not None and self.enqueue_emits_profile:
            self._report()
        return True

    def report_to_profiler(self):
        if self._profiler is None or self.enqueue_emits_profile or not self._unreported:
            say(self._engine._logger, "ERROR", "reportToProfiler: nothing to report")
            return False
        self._report()
        return True

    def _report(self):
        self._unreported = False
        for kernel in self._engine._kernels:
            self._profiler.report_layer_time(self._engine._name(kernel), _fused_ms(kernel))

    def _mark(self, blocks):
        """The outputs are those of these inputs; they are computed when somebody looks."""

        def compute():
            self._compute(blocks)

        for name, (mode, _, _) in self._engine._tensors.items():
            if mode == TensorIOMode.OUTPUT:
                blocks[name].compute = compute
                cuda_runtime.DEVICE.pending.append(blocks[name])

    def _compute(self, blocks):
        import numpy
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(self._engine._data, options, providers=["CPUExecutionProvider"])
        feed, names = {}, []
        for name, (mode, kind, shape) in self._engine._tensors.items():
            if mode == TensorIOMode.INPUT:
                feed[name] = numpy.frombuffer(bytes(blocks[name].data), dtype=_NUMPY[kind]).reshape(shape)
            else:
                names.append(name)
        for name, values in zip(names, session.run(names, feed)):  # noqa: B905 - Python 3.6
            blocks[name].compute = None
            blocks[name].data[:] = values.tobytes()


def _fused_ms(kernel):
    """A kernel's milliseconds: what is fused into it costs next to nothing."""
    return kernel[0].ms + 0.05 * sum(layer.ms for layer in kernel[1:])
