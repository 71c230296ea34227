"""What sessions of ONNX Runtime have in common, whatever the provider."""

import os
import tempfile
import time

from device_agents.faults import Fault
from device_agents.timing import thread_cpu_s


def session_options(onnxruntime, threads):
    """One operator after the other, on so many threads, with every optimization."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    return options


def feeds(numpy, session):
    """(name, array) of each input. Raises ValueError for inputs that cannot be made.

    Between 0.5 and 1.5: no activation dies out into denormal numbers, which are slow, and no power is saved by zeros.
    """
    rng = numpy.random.RandomState(0)
    for tensor in session.get_inputs():
        if tensor.type != "tensor(float)" or not all(isinstance(size, int) for size in tensor.shape):
            raise ValueError(
                "input {!r} is {} {}: only float inputs of fixed shape can be timed".format(
                    tensor.name, tensor.type, tensor.shape
                )
            )
        yield tensor.name, (rng.rand(*tensor.shape) + 0.5).astype("float32")


def record(make_model, options, warm_up, runs, alive, read):
    """Run a model under the runtime's own profiler, which counts in whole microseconds of wall time.

    make_model: from options to a model. read: what becomes of the file that the profiler leaves; gets its path.
    Returns (what `read` gave, wall time over the thread's processor time of each run after the warm-up), or a Fault
    where the model cannot be made.
    """
    with tempfile.TemporaryDirectory() as folder:
        options.enable_profiling = True
        options.profile_file_prefix = os.path.join(folder, "profile")
        try:
            model = make_model(options)
        except Exception as error:
            return Fault.of(error, "load")
        contention = []
        try:
            for _ in range(warm_up + runs):
                wall, cpu = time.perf_counter(), thread_cpu_s()
                model.run()
                contention.append((time.perf_counter() - wall) / max(1e-9, thread_cpu_s() - cpu))
                alive()
        finally:
            path = model.end_profiling()
            model.close()
        return read(path), contention[warm_up:]
