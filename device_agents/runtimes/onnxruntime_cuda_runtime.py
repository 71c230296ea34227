"""ONNX Runtime on a CUDA device, by its CUDA or its TensorRT provider; inputs and outputs lie on the device.

ONNX Runtime falls back to the processor without a word, as a whole or node by node. Here that is a fault, never a
number: the provider asked for must come first in the session, and every node of a run must be its own.
"""

import os

from device_agents import nvml, profiling
from device_agents.faults import Fault
from device_agents.runtimes import onnxruntime_sessions as sessions

PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
_TYPES = {"fp32": "float", "fp16": "float16"}  # as profiles call them
_HARMLESS = ("Constant", "ConstantOfShape", "Shape", "Size")  # no work on tensors: wherever they run
_REMEDY = "pip install onnxruntime-gpu on the device, in place of onnxruntime"
_CACHE = os.path.join("~", ".cache", "mosegnas-hil", "onnxruntime-tensorrt")


def create(options):
    """A runtime, or a Fault with the way out.

    options: `provider` (cuda or tensorrt, default cuda), `precision` (fp32 or fp16; fp16 has to be in the ONNX file
    already), `device` (default 0), `cache_dir` (of the TensorRT provider's engines).
    """
    import numpy
    import onnxruntime

    provider = PROVIDERS.get(options.get("provider", "cuda"))
    if provider is None:
        return Fault("protocol", "provider must be cuda or tensorrt, not {!r}".format(options["provider"]))
    if options.get("precision", "fp32") not in _TYPES:
        return Fault("protocol", "precision must be fp32 or fp16, not {!r}".format(options["precision"]))
    device = options.get("device", 0)
    if not isinstance(device, int) or device < 0:
        return Fault("protocol", "device must be a whole number of 0 or more, not {!r}".format(device))
    there = onnxruntime.get_available_providers()
    if provider not in there:
        return Fault(
            "runtime",
            "this onnxruntime {} has no {}, only {}: {}".format(
                onnxruntime.__version__, provider, ", ".join(there), _REMEDY
            ),
        )
    return OnnxRuntimeCuda(onnxruntime, numpy, provider, dict(options, device=device))


class OnnxRuntimeCuda(object):
    """See `device_agents.runtimes`."""

    clock = "wall"  # of a call that returns when the device is done

    def __init__(self, onnxruntime, numpy, provider, options):
        self._ort, self._numpy, self._provider = onnxruntime, numpy, provider
        self._device, self._precision = options["device"], options.get("precision", "fp32")
        self._cache = os.path.expanduser(options.get("cache_dir") or _CACHE)
        self.card = nvml.open_only_card()

    def describe(self):
        """What the numbers of this runtime depend on."""
        found = {
            "name": "onnxruntime-cuda",
            "kind": "gpu",
            "version": self._ort.__version__,
            "providers": [self._provider],
            "precision": self._precision,
            "batch": 1,
            "graph_optimization": "all",
            "device": self._device,
            "data_transfers": False,
            "io_binding": True,
        }
        if self._provider == PROVIDERS["cuda"]:
            found.update(cudnn_algorithms="exhaustive", tf32=True)
        if not isinstance(self.card, Fault):
            found.update(self.card.identity())
        return found

    def telemetry(self):
        """What the card says of itself now, with units in the names."""
        return {"gpu_fault": self.card.detail} if isinstance(self.card, Fault) else self.card.read()

    def load(self, data):
        """A session from the bytes of an ONNX file, or a Fault; one run of another session shows where nodes go."""
        found = self.profile(data, 1, 1, lambda: None)
        if isinstance(found, Fault):
            return found
        try:
            return self._model(data, self._options())
        except Exception as error:
            return Fault.of(error, "load")

    def profile(self, data, warm_up, runs, alive):
        """See `device_agents.profiling`; a Fault where a node runs elsewhere than asked for."""
        recorded = sessions.record(
            lambda options: self._model(data, options),
            self._options(),
            warm_up,
            runs,
            alive,
            lambda path: self._nodes(path, warm_up),
        )
        return recorded if isinstance(recorded, Fault) else recorded[0]

    def _nodes(self, path, warm_up):
        strays = profiling.strays(path, self._provider, _HARMLESS)
        if strays:
            return Fault("load", "wanted all of it on {}, but {}".format(self._provider, "; ".join(strays)))
        types = profiling.convolution_types(path)
        if types - {_TYPES[self._precision]}:
            words = "convolutions compute in {}, but {} was asked for: write the precision into the ONNX file"
            return Fault("load", words.format(", ".join(sorted(types)), self._precision))
        return profiling.onnxruntime_nodes(path, warm_up)

    def _options(self):
        return sessions.session_options(self._ort, 1)

    def _model(self, data, options):
        session = self._ort.InferenceSession(data, options, providers=[(self._provider, self._provider_options())])
        chosen = session.get_providers()
        if not chosen or chosen[0] != self._provider:  # the CPU provider stands last in every list
            raise RuntimeError(
                "wanted {}, the runtime chose {}: its CUDA libraries do not load or do not fit".format(
                    self._provider, ", ".join(chosen)
                )
            )
        return _Model(self._ort, self._numpy, session, self._device)

    def _provider_options(self):
        found = {"device_id": str(self._device)}
        if self._provider == PROVIDERS["cuda"]:
            found.update(cudnn_conv_algo_search="EXHAUSTIVE", use_tf32="1")
        else:
            os.makedirs(self._cache, 0o700, exist_ok=True)
            found.update(trt_engine_cache_enable="True", trt_engine_cache_path=self._cache)
            found.update(trt_timing_cache_enable="True", trt_timing_cache_path=self._cache)
            found["trt_fp16_enable"] = "True" if self._precision == "fp16" else "False"
        return found


class _Model(object):
    def __init__(self, onnxruntime, numpy, session, device):
        self._ort, self._numpy, self._session, self._device = onnxruntime, numpy, session, device
        self._shapes = {}
        self._binding = session.io_binding()
        for name, array in sessions.feeds(numpy, session):
            self._shapes[name] = array.shape
            self._bind_input(name, array)
        self._names = [tensor.name for tensor in session.get_outputs()]
        for name in self._names:
            self._binding.bind_output(name, "cuda", device)

    def run(self):
        self._session.run_with_iobinding(self._binding)  # returns when the outputs are there

    def infer(self, inputs):
        for name, values in inputs.items():
            self._bind_input(name, self._numpy.asarray(values, dtype="float32").reshape(self._shapes[name]))
        self._session.run_with_iobinding(self._binding)
        outputs = self._binding.copy_outputs_to_cpu()
        return {name: value.ravel().tolist() for name, value in zip(self._names, outputs)}  # noqa: B905 - Python 3.6

    def end_profiling(self):
        return self._session.end_profiling()

    def close(self):
        del self._binding, self._session

    def _bind_input(self, name, array):
        value = self._ort.OrtValue.ortvalue_from_numpy(array, "cuda", self._device)
        self._binding.bind_ortvalue_input(name, value)
