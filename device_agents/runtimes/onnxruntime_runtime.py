"""ONNX Runtime on the processor, with the number of threads chosen and recorded."""

from device_agents import profiling
from device_agents.faults import Fault
from device_agents.runtimes import onnxruntime_sessions as sessions
from device_agents.timing import has_thread_clock

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
        """See `device_agents.profiling`."""
        recorded = sessions.record(
            lambda options: self._model(data, options),
            self._options(),
            warm_up,
            runs,
            alive,
            lambda path: profiling.onnxruntime_nodes(path, warm_up),
        )
        if isinstance(recorded, Fault):
            return recorded
        found, contention = recorded
        if self._threads == 1 and not isinstance(found, Fault):
            found["contention"] = [round(ratio, 3) for ratio in contention]
        return found

    def _options(self):
        options = sessions.session_options(self._ort, self._threads)
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if self._spinning else "0")
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
        self._feed = dict(sessions.feeds(numpy, session))

    def run(self):
        self._session.run(None, self._feed)

    def infer(self, inputs):
        feed = {
            name: self._numpy.asarray(values, dtype="float32").reshape(self._feed[name].shape)
            for name, values in inputs.items()
        }
        names = [tensor.name for tensor in self._session.get_outputs()]
        return {name: self._session.run([name], feed)[0].ravel().tolist() for name in names}

    def end_profiling(self):
        return self._session.end_profiling()

    def close(self):
        del self._session, self._feed
