"""ONNX Runtime on the processor, with the number of threads chosen and recorded."""

import os
import tempfile
import time

from device_agents import profiling
from device_agents.faults import Fault
from device_agents.timing import has_thread_clock, thread_cpu_s

PROVIDER = "CPUExecutionProvider"


def create(options):
    """options: `threads` (default 1) and `spinning` (default False: idle threads sleep). Runtime or Fault."""
    import numpy
    import onnxruntime

    threads = options.get("threads", 1)
    if not isinstance(threads, int) or threads < 1:
        return Fault("protocol", "threads must be a whole number of 1 or more, not {!r}".format(threads))
    return OnnxRuntime(onnxruntime, numpy, threads, bool(options.get("spinning", False)))


class OnnxRuntime(object):
    """See `device_agents.runtimes`."""

    def __init__(self, onnxruntime, numpy, threads, spinning):
        self._ort, self._numpy = onnxruntime, numpy
        self._threads, self._spinning = threads, spinning
        # With one thread all the work is in the calling thread, and its own clock is blind to the load of others.
        self.clock = "thread_cpu" if threads == 1 and has_thread_clock() else "wall"

    def describe(self):
        """What the numbers of this runtime depend on."""
        return {
            "name": "onnxruntime",
            "kind": "cpu",
            "version": self._ort.__version__,
            "providers": [PROVIDER],
            "threads": self._threads,
            "spinning": self._spinning,
            "graph_optimization": "all",
            "precision": "fp32",
            "batch": 1,
        }

    def load(self, data):
        """A session from the bytes of an ONNX file, or a Fault; constants are folded now, not in the first run."""
        try:
            return self._model(data, self._options())
        except Exception as error:
            return Fault.of(error, "load")

    def profile(self, data, warm_up, runs, alive):
        """See `device_agents.profiling`; the runtime's own profiler counts in whole microseconds of wall time."""
        with tempfile.TemporaryDirectory() as folder:
            options = self._options()
            options.enable_profiling = True
            options.profile_file_prefix = os.path.join(folder, "profile")
            try:
                model = self._model(data, options)
            except Exception as error:
                return Fault.of(error, "load")
            contention = []
            for _ in range(warm_up + runs):
                wall, cpu = time.perf_counter(), thread_cpu_s()
                model.run()
                contention.append((time.perf_counter() - wall) / max(1e-9, thread_cpu_s() - cpu))
                alive()
            found = profiling.onnxruntime_nodes(model.end_profiling(), warm_up)
            model.close()
        if self._threads == 1 and not isinstance(found, Fault):
            found["contention"] = [round(ratio, 3) for ratio in contention[warm_up:]]
        return found

    def _options(self):
        options = self._ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = self._ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = self._ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if self._spinning else "0")
        options.log_severity_level = 3
        return options

    def _model(self, data, options):
        session = self._ort.InferenceSession(data, options, providers=[PROVIDER])
        chosen = session.get_providers()
        if chosen != [PROVIDER]:  # it falls back to others without a word
            raise RuntimeError("wanted {}, the runtime chose {}".format(PROVIDER, ", ".join(chosen)))
        return _Model(self._numpy, session)


class _Model(object):
    def __init__(self, numpy, session):
        self._numpy, self._session = numpy, session
        self._shapes = {}
        for tensor in session.get_inputs():
            if tensor.type != "tensor(float)" or not all(isinstance(size, int) for size in tensor.shape):
                raise ValueError(
                    "input {!r} is {} {}: only float inputs of fixed shape can be timed".format(
                        tensor.name, tensor.type, tensor.shape
                    )
                )
            self._shapes[tensor.name] = tensor.shape
        rng = numpy.random.RandomState(0)
        # between 0.5 and 1.5: no activation dies out into denormal numbers, which are slow
        self._feed = {name: (rng.rand(*shape) + 0.5).astype("float32") for name, shape in self._shapes.items()}

    def run(self):
        self._session.run(None, self._feed)

    def infer(self, inputs):
        feed = {
            name: self._numpy.asarray(values, dtype="float32").reshape(self._shapes[name])
            for name, values in inputs.items()
        }
        names = [tensor.name for tensor in self._session.get_outputs()]
        return {name: self._session.run([name], feed)[0].ravel().tolist() for name in names}

    def end_profiling(self):
        return self._session.end_profiling()

    def close(self):
        del self._session, self._feed
