"""TensorRT engines: built on the device, kept by content, checked for the precision that was asked for.

Only names that TensorRT 10 and 11 share, or probes of those that one of them lacks: networks are strongly typed (the
only kind that 11 has), so precision comes from the ONNX file and no builder flag sets it.
"""

import hashlib
import json
import os
import re
import tempfile
from typing import Any

from device_agents.faults import Fault

_DIGEST_BYTES = 32
_ONNX_NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_OF_PRECISION = {"fp32": "FLOAT", "fp16": "HALF"}
_FLOATING = ("FLOAT", "HALF", "BF16", "FP8", "FP4")


class EngineError(RuntimeError):
    """TensorRT refused something; `fault` is what it said."""

    def __init__(self, fault):
        RuntimeError.__init__(self, fault.detail)
        self.fault = fault


class Engines(object):
    """Makes engines of ONNX models. `identity` is all of the device and the libraries that an engine depends on.

    A built engine stays in `cache_dir`: visits to the same unit then time the same kernels, which a second build may
    choose otherwise. A plan is code, so the folder is its owner's alone.
    """

    def __init__(self, trt, precision, workspace_mb, cache_dir, identity):
        self.alive = lambda: None  # called at every step of a build, which may take minutes
        self._trt, self._precision, self._workspace_mb = trt, precision, workspace_mb
        self._folder = cache_dir
        self._identity = json.dumps([identity, precision, workspace_mb, "detailed"], sort_keys=True)
        self._logger = _logger(trt)
        self._runtime = trt.Runtime(self._logger)
        self._builder = trt.Builder(self._logger)
        # whether fp32 convolutions may multiply with 10 bits of mantissa; None where this version does not tell
        self.tf32 = _flag(trt, self._builder.create_builder_config(), "TF32")

    def engine(self, data):
        """An engine of the model's ONNX bytes, from the cache or built now; or a Fault."""
        plan = _read(self._plan_path(data))
        if plan is not None:
            engine = self._deserialize(plan)
            if not isinstance(engine, Fault):
                return engine
        plan = self._build(data)
        if isinstance(plan, Fault):
            return plan
        _write(self._plan_path(data), plan)
        return self._deserialize(plan)

    def plan(self, data):
        """The bytes of the engine that `engine` gives: of the cache, in which it has just been found or put."""
        plan = _read(self._plan_path(data))
        return Fault("load", "the engine cannot be read from " + self._folder) if plan is None else plan

    def fault(self, kind, doing):
        """What TensorRT last complained of, as a Fault; it returns None or False and tells its logger why."""
        said = self._logger.last or "TensorRT gave no reason"
        short = "outofmemory" in said.lower().replace(" ", "")
        return Fault("memory" if short else kind, doing + ": " + said)

    def layers(self, engine):
        """The engine's layers as the inspector tells them, a list of dicts; empty where it does not."""
        inspector = engine.create_engine_inspector()
        if inspector is None:
            return []
        try:
            found = json.loads(inspector.get_engine_information(self._trt.LayerInformationFormat.JSON))["Layers"]
        except (ValueError, KeyError, TypeError):
            return []
        return [layer if isinstance(layer, dict) else {"Name": str(layer)} for layer in found]

    def _deserialize(self, plan):
        self._logger.last = ""
        engine = self._runtime.deserialize_cuda_engine(plan)
        return self.fault("load", "the engine cannot be loaded") if engine is None else engine

    def _build(self, data):
        trt, self._logger.last = self._trt, ""
        network = self._builder.create_network(_strongly_typed(trt))
        config = self._builder.create_builder_config()
        if network is None or config is None:
            return self.fault("load", "no network can be made")
        parser = trt.OnnxParser(network, self._logger)
        if not data:
            return Fault("load", "the model is an empty file")
        if not parser.parse(data):
            errors = [parser.get_error(k).desc() for k in range(parser.num_errors)]
            return Fault("load", "TensorRT cannot read this model: " + ("; ".join(errors) or self._logger.last or "?"))
        unfit = self._unfit(network)
        if unfit:
            return Fault("load", unfit)
        if self._workspace_mb:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, self._workspace_mb << 20)
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # else the inspector tells no types
        self._use_timing_cache(config)
        monitor = _monitor(self._trt, self.alive)
        if monitor is not None:
            config.progress_monitor = monitor
        plan = self._builder.build_serialized_network(network, config)
        if plan is None:
            return self.fault("load", "no engine can be built")
        self._keep_timing_cache(config)
        return bytes(plan)

    def _unfit(self, network):
        """Why the network would not give the figure that is asked for, or nothing."""
        wanted = getattr(self._trt.DataType, _OF_PRECISION[self._precision])
        floating = [
            kind for kind in (getattr(self._trt.DataType, name, None) for name in _FLOATING) if kind is not None
        ]
        convolution = self._trt.LayerType.CONVOLUTION
        for k in range(network.num_layers):
            layer = network.get_layer(k)
            if layer.type != convolution:
                continue
            if layer.num_inputs > 1:
                return "the weights of {} are computed in the model: write them as initialisers".format(layer.name)
            kind = layer.get_output(0).dtype
            if kind in floating and kind != wanted:
                return "{} computes in {}, but {} was asked for: write the precision into the ONNX file".format(
                    layer.name, kind.name, self._precision
                )
        return None

    def _use_timing_cache(self, config):
        kept = _read(self._path("timing", ""))
        for blob in (kept, b"") if kept else (b"",):
            cache = config.create_timing_cache(blob)
            if cache is not None and config.set_timing_cache(cache, False):
                return

    def _keep_timing_cache(self, config):
        cache = config.get_timing_cache()
        blob = cache.serialize() if cache is not None else None
        if blob is not None:
            _write(self._path("timing", ""), bytes(blob))

    def _plan_path(self, data):
        return self._path("engine", hashlib.sha256(data).hexdigest())

    def _path(self, what, digest):
        # the timing cache fits every model of the same device and library
        key = hashlib.sha256((self._identity + digest).encode()).hexdigest()[:40]
        return os.path.join(self._folder, "{}-{}.bin".format(what, key))


def precision_fault(layers, precision):
    """A Fault where layers of a built engine compute in another precision than asked for; None where all is well.

    layers: of `Engines.layers`. The convolutions decide. Where the inspector's words are unknown it says nothing: the
    network was checked before the build, and strongly typed networks keep their types.
    """
    words = {"fp32": ("Half", "FP16"), "fp16": ("Float", "FP32")}[precision]
    for layer in layers:
        if "conv" not in str(layer.get("LayerType", "")).lower():
            continue
        sources = layer.get("Inputs") or [{}]
        said = sources[0] if isinstance(sources[0], dict) else {}
        kind = str(said.get("Datatype") or said.get("DataType") or said.get("Format/Datatype") or "")
        if any(word in kind for word in words):
            return Fault("load", "{} runs in {}, not in {}".format(layer.get("Name"), kind, precision))
    return None


def full_name(name, layer):
    """A layer's name, and in brackets the nodes of the ONNX graph in it that the name does not tell.

    layer: of `Engines.layers`. Its metadata is `[ONNX Layer: NAME]` for each node, with separators in between; kernels
    of the compiler for fused stretches have names of their own, such as __myl_ConvAdd_myl0_3.
    """
    inside = _ONNX_NODE.findall(str(layer.get("Metadata", "")))
    if all(node in name for node in inside):
        return name
    return "{} ({})".format(name, " + ".join(inside))


def _strongly_typed(trt):
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)  # its number differs between versions


def _flag(trt, config, name):
    flag = getattr(trt.BuilderFlag, name, None)
    return None if flag is None else bool(config.get_flag(flag))


def _logger(trt):
    base: Any = trt.ILogger
    errors = (base.Severity.ERROR, base.Severity.INTERNAL_ERROR)

    class Logger(base):
        """Keeps the last error."""

        def __init__(self):
            base.__init__(self)
            self.last = ""

        def log(self, severity, msg):
            if severity in errors:
                self.last = msg

    return Logger()


def _monitor(trt, alive):
    base: Any = getattr(trt, "IProgressMonitor", None)
    if base is None:
        return None

    class Monitor(base):
        def __init__(self):
            base.__init__(self)

        def phase_start(self, phase_name, parent_phase, num_steps):
            alive()

        def step_complete(self, phase_name, step):
            alive()
            return True  # go on

        def phase_finish(self, phase_name):
            alive()

    return Monitor()


def _read(path):
    """What `_write` left whole, or None: a damaged plan may end the process."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    digest, payload = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return payload if hashlib.sha256(payload).digest() == digest else None


def _write(path, payload):
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=os.path.dirname(path), suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(payload).digest() + payload)
        os.replace(part, path)
    except OSError:
        os.unlink(part)
        raise
