"""A model loaded on the emulated board: what it takes, and what it computes."""

FLOAT, FLOAT16, INT32, UINT8, INT64 = 0, 1, 3, 4, 9  # acl's numbers
TYPE_BYTES = {0: 4, 1: 2, 2: 1, 3: 4, 4: 1, 9: 8}
WRONG_GAIN, WRONG_OFFSET = 1.25, 0.1  # of a wrong conversion


class Model(object):
    """definition, onnx_bytes: of `om.unpack`. undisturbed_ms: of one run."""

    def __init__(self, definition, onnx_bytes, undisturbed_ms, wrong):
        self.definition, self.undisturbed_ms = definition, undisturbed_ms
        self.runs = 0
        self._onnx_bytes, self._wrong = onnx_bytes, wrong
        self._session = None

    @property
    def memory_bytes(self):
        """Weights and work memory."""
        return self.definition["weights_bytes"] + self.definition["work_bytes"]

    def compute(self, inputs):
        """Bytes of each output for the bytes of each input; through fp16, as the device computes.

        Zeros where ONNX Runtime cannot be had, as on an old interpreter.
        """
        try:
            import numpy
            import onnxruntime
        except ImportError:
            return [bytes(size_bytes(tensor)) for tensor in self.definition["outputs"]]
        if self._session is None:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            options.log_severity_level = 3
            self._session = onnxruntime.InferenceSession(self._onnx_bytes, options, providers=["CPUExecutionProvider"])
        feed = {}
        for tensor, data in zip(self.definition["inputs"], inputs):  # noqa: B905 - `strict` came with Python 3.10
            array = numpy.frombuffer(data, _letter(tensor)).reshape(tensor["shape"])
            feed[tensor["name"]] = array.astype("float16").astype("float32")
        results = self._session.run([tensor["name"] for tensor in self.definition["outputs"]], feed)
        found = []
        for tensor, result in zip(self.definition["outputs"], results):  # noqa: B905
            if self._wrong:
                result = result * WRONG_GAIN + WRONG_OFFSET  # noqa: PLW2901
            found.append(result.astype("float16").astype(_letter(tensor)).tobytes())
        return found


def size_bytes(tensor):
    """Bytes of a tensor of the definition."""
    total = TYPE_BYTES[tensor["dtype"]]
    for size in tensor["shape"]:
        total *= size
    return total


def _letter(tensor):
    return {FLOAT: "<f4", FLOAT16: "<f2", INT32: "<i4", UINT8: "|u1", INT64: "<i8"}[tensor["dtype"]]
