"""TensorRT 10 and 11 on a CUDA device, timed by the device's own events as `trtexec` does."""

import os
from collections import deque
from typing import Any

from device_agents import nvml, standins
from device_agents.cuda import open_device
from device_agents.faults import Fault
from device_agents.runtimes.tensorrt_buffers import Buffers
from device_agents.runtimes.tensorrt_engines import EngineError, Engines, full_name, precision_fault

CACHE = os.path.join("~", ".cache", "mosegnas-hil", "tensorrt")
PRECISIONS = ("fp32", "fp16")
_QUEUE = 2  # inferences: the device never waits for the host between two
_OLDEST = 10


def create(options):
    """A runtime, or a Fault with the way out.

    options: `precision` (fp32 or fp16; fp16 has to be in the ONNX file already), `cuda_graph` (default True: one launch
    an inference), `spin` (default True: the host does not sleep while it waits), `workspace_mb` (default: no limit),
    `cache_dir`, `device` (default 0).
    """
    fault = _unfit(options)
    if fault:
        return fault
    cuda = open_device(options.get("device", 0))  # before anything of TensorRT, which dies without a device
    if isinstance(cuda, Fault):
        return cuda
    try:
        trt = standins.import_module("tensorrt")
    except (ImportError, OSError) as error:
        remedy = "pip install 'tensorrt>=10' on the device"
        return Fault("runtime", "the package tensorrt cannot be imported ({}): {}".format(error, remedy))
    if int(trt.__version__.split(".")[0]) < _OLDEST:
        return Fault("runtime", "TensorRT {} is too old: 10 or 11 is needed".format(trt.__version__))
    gpu = dict(cuda.describe(), tensorrt=trt.__version__)
    cache_dir = os.path.expanduser(options.get("cache_dir") or CACHE)
    try:
        engines = Engines(trt, options.get("precision", "fp32"), options.get("workspace_mb"), cache_dir, gpu)
    except TypeError as error:  # how the bindings say that the library made no object
        return Fault("runtime", "TensorRT cannot be used on this device: {}".format(error))
    return TensorRt(trt, cuda, engines, gpu, options)


def _unfit(options):
    if options.get("precision", "fp32") not in PRECISIONS:
        return Fault("protocol", "precision must be fp32 or fp16, not {!r}".format(options["precision"]))
    workspace_mb = options.get("workspace_mb")
    if workspace_mb is not None and (not isinstance(workspace_mb, int) or workspace_mb < 1):
        return Fault("protocol", "workspace_mb must be a whole number of 1 or more, not {!r}".format(workspace_mb))
    return None


class TensorRt(object):
    """See `device_agents.runtimes`."""

    clock = "device"

    def __init__(self, trt, cuda, engines, gpu, options):
        self._trt, self._cuda, self._engines, self._gpu = trt, cuda, engines, gpu
        self._precision = options.get("precision", "fp32")
        self._graph, self._spin = bool(options.get("cuda_graph", True)), bool(options.get("spin", True))
        self._workspace_mb = options.get("workspace_mb")
        self.card = nvml.open_card(cuda.bus_id())

    def describe(self):
        """What the numbers of this runtime depend on."""
        found = {
            "name": "tensorrt",
            "kind": "gpu",
            "version": self._trt.__version__,
            "precision": self._precision,
            "batch": 1,
            "spin": self._spin,
            "cuda_graph": self._graph,
            "workspace_mb": self._workspace_mb,
            "queue_depth": _QUEUE,
            "data_transfers": False,
            "strongly_typed": True,
            "tf32": self._engines.tf32,
        }
        found.update(self._gpu)
        if not isinstance(self.card, Fault):
            found.update(self.card.identity())
        if standins.loaded():
            found["simulated"] = True
        return found

    def say_alive(self, alive):
        """Have `alive` called while an engine is being built."""
        self._engines.alive = alive

    def telemetry(self):
        """What the card says of itself now, with units in the names."""
        return {"gpu_fault": self.card.detail} if isinstance(self.card, Fault) else self.card.read()

    def load(self, data):
        """A model from the bytes of an ONNX file, or a Fault; the engine is built or found, and warmed up."""
        return self._loaded(data, self._graph)

    def build(self, data):
        """The engine of a model's ONNX bytes as bytes, for this card and this version of TensorRT; or a Fault."""
        model = self.load(data)  # an engine that does not run is none
        if isinstance(model, Fault):
            return model
        model.close()
        return self._engines.plan(data)

    def profile(self, data, warm_up, runs, alive):
        """See `device_agents.profiling`: by layer of the engine, which is one or several nodes of the graph fused."""
        model = self._loaded(data, False)
        if isinstance(model, Fault):
            return model
        try:
            return model.profile(warm_up, runs, alive)
        finally:
            model.close()

    def _loaded(self, data, graph):
        try:
            return self._load(data, graph)
        except EngineError as error:
            return error.fault
        except Exception as error:
            return Fault.of(error, "load")

    def _load(self, data, graph):
        engine = self._engines.engine(data)
        if isinstance(engine, Fault):
            return engine
        layers = self._engines.layers(engine)
        fault = precision_fault(layers, self._precision)
        return fault or Model(self._trt, self._cuda, self._engines, engine, layers, self._spin, graph)


class Model(object):
    """One engine with its context, buffers and stream; with `graph`, its inference is one launch."""

    def __init__(self, trt, cuda, engines, engine, layers, spin, graph):
        self._trt, self._cuda, self._engines, self._engine = trt, cuda, engines, engine
        self._layers, self._spin = layers, spin
        self._context: Any = None
        self._stream: Any = None
        self._graph: Any = None
        self._buffers: Any = None
        self._pairs: list = []  # of events, before and after an inference
        self._queued: deque = deque()  # those of inferences that are under way
        try:
            self._prepare(graph)
        except BaseException:
            try:
                self.close()
            except RuntimeError:
                pass  # after a broken context every call fails; the first error says more
            raise

    def run(self):
        """Put one more inference into the queue and wait for the oldest; its milliseconds on the device.

        The events stand right before and after the inference: no data is moved between them, and as another inference
        is still at work when this one is queued, none of the host's time is either.
        """
        self._begin()
        if len(self._queued) < _QUEUE:
            self._begin()
        return self._finish()

    def infer(self, inputs):
        self._drain()
        self._buffers.upload(inputs, self._stream)
        self._begin()
        self._finish()
        return self._buffers.download(self._stream)

    def profile(self, warm_up, runs, alive):
        """Milliseconds by layer, one for each run after `warm_up`."""
        collector = _collector(self._trt)
        self._context.profiler = collector
        self._context.enqueue_emits_profile = False
        known = {layer.get("Name"): layer for layer in self._layers}
        names, taken, total_ms = [], [], []
        for run in range(warm_up + runs):
            collector.layers = []
            self._begin()
            spent_ms = self._finish()
            if not self._context.report_to_profiler():
                return self._engines.fault("profile", "TensorRT's profiler reports nothing")
            alive()
            if run >= warm_up:
                names.append([name for name, _ in collector.layers])
                taken.append([ms for _, ms in collector.layers])
                total_ms.append(round(spent_ms, 6))
        if not names or not names[0] or any(found != names[0] for found in names):
            return Fault("profile", "the runs do not consist of the same layers in the same order")
        return {
            "nodes": [
                {
                    "name": full_name(name, known.get(name, {})),
                    "op": str(known.get(name, {}).get("LayerType", "")),
                    "ms": [round(ms[k], 6) for ms in taken],
                }
                for k, name in enumerate(names[0])
            ],
            "total_ms": total_ms,
        }

    def close(self):
        """Give everything back: what uses a thing before the thing."""
        cuda, stream = self._cuda, self._stream
        if stream is not None:
            cuda.call("cudaStreamSynchronize", stream)
        if self._graph is not None:
            cuda.call("cudaGraphExecDestroy", self._graph)
        self._graph = self._context = None
        for pair in self._pairs:
            for event in pair:
                cuda.call("cudaEventDestroy", event)
        self._pairs, self._queued = [], deque()
        if self._buffers is not None:
            self._buffers.close()
        self._buffers = self._engine = None
        if stream is not None:
            cuda.call("cudaStreamDestroy", stream)
        self._stream = None

    def _prepare(self, graph):
        cuda = self._cuda
        self._stream = cuda.stream()
        self._pairs = [(cuda.event(self._spin), cuda.event(self._spin)) for _ in range(_QUEUE)]
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise EngineError(self._engines.fault("load", "no execution context"))
        self._buffers = Buffers(self._trt, cuda, self._engine)
        for name, address in self._buffers.addresses():
            if not self._context.set_tensor_address(name, address):
                raise RuntimeError("TensorRT refuses a buffer for {}".format(name))
        self._buffers.fill(self._stream)
        self._enqueue()  # the first one makes what later ones use, and must not be in the graph
        cuda.call("cudaStreamSynchronize", self._stream)
        if graph:
            try:
                self._graph = cuda.capture(self._stream, self._enqueue)
            except RuntimeError as error:
                raise RuntimeError(
                    "no CUDA graph can be made of this model (cuda_graph = false): {}".format(error)
                ) from error

    def _enqueue(self):
        if self._graph is not None:
            self._cuda.call("cudaGraphLaunch", self._graph, self._stream)
        elif not self._context.execute_async_v3(int(self._stream)):
            raise EngineError(self._engines.fault("run", "the inference cannot be started"))

    def _begin(self):
        start, stop = pair = next(pair for pair in self._pairs if pair not in self._queued)
        self._cuda.call("cudaEventRecord", start, self._stream)
        self._enqueue()
        self._cuda.call("cudaEventRecord", stop, self._stream)
        self._queued.append(pair)

    def _finish(self):
        start, stop = self._queued[0]
        self._cuda.wait(stop, self._spin)
        self._queued.popleft()
        return self._cuda.call("cudaEventElapsedTime", start, stop)

    def _drain(self):
        while self._queued:
            self._finish()


def _collector(trt):
    base: Any = trt.IProfiler

    class Collector(base):
        def __init__(self):
            base.__init__(self)
            self.layers: list = []

        def report_layer_time(self, layer_name, ms):
            self.layers.append((layer_name, ms))

    return Collector()
