"""An engine's inputs and outputs on the device, with their values as the host has them."""

import ctypes
import random
import struct

_FLOATS = {"FLOAT": ("f", 4), "HALF": ("e", 2)}
_WHOLE = {"INT32": ("i", 4), "UINT8": ("B", 1), "INT64": ("q", 8)}  # of outputs alone: maps of classes
_PATTERN = 4096  # values that a filled input repeats


class Buffers(object):
    """One device buffer for each tensor that goes in or out.

    Raises ValueError for an input that is not of floats in a fixed shape: nobody knows what to put in it.
    """

    def __init__(self, trt, cuda, engine):
        self._cuda, self._tensors = cuda, []
        try:
            for k in range(engine.num_io_tensors):
                self._tensors.append(_Tensor(trt, cuda, engine, engine.get_tensor_name(k)))
        except BaseException:
            self.close()
            raise

    def addresses(self):
        """(name, address on the device) of every tensor."""
        return [(tensor.name, tensor.address) for tensor in self._tensors]

    def fill(self, stream):
        """Put values between 0.5 and 1.5 into the inputs: no activation dies out, and no power is saved by zeros."""
        rng = random.Random(0)
        values = [0.5 + rng.random() for _ in range(_PATTERN)]
        for tensor in self._tensors:
            if tensor.is_input:
                tensor.fill(values, stream)

    def upload(self, inputs, stream):
        """Flat lists of floats by name, one for every input."""
        for tensor in self._tensors:
            if tensor.is_input:
                tensor.upload(inputs[tensor.name], stream)

    def download(self, stream):
        """Flat lists of floats by name of the output."""
        return {tensor.name: tensor.download(stream) for tensor in self._tensors if not tensor.is_input}

    def close(self):
        """Free the device's memory."""
        for tensor in self._tensors:
            self._cuda.call("cudaFree", tensor.address)
        self._tensors = []


class _Tensor(object):
    def __init__(self, trt, cuda, engine, name):
        self._cuda, self.name = cuda, name
        self.is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        kind, shape = engine.get_tensor_dtype(name).name, tuple(engine.get_tensor_shape(name))
        formats = _FLOATS if self.is_input else dict(_FLOATS, **_WHOLE)
        if kind not in formats or not all(size > 0 for size in shape):
            raise ValueError(
                "tensor {!r} is {} {}: only floats of fixed shape can be timed".format(name, kind, list(shape))
            )
        self.count = 1
        for size in shape:
            self.count *= size
        self._format, value_bytes = formats[kind]
        self._size = self.count * value_bytes
        self.address = cuda.call("cudaMalloc", self._size)

    def upload(self, values, stream):
        if len(values) != self.count:
            raise ValueError("cannot reshape {} values into the {} of {!r}".format(len(values), self.count, self.name))
        self._upload(self._pack(values), stream)

    def fill(self, values, stream):
        """Repeat the values as often as they fit: packing millions one by one would take seconds."""
        pattern = self._pack(values)
        self._upload((pattern * (self._size // len(pattern) + 1))[: self._size], stream)

    def download(self, stream):
        host = (ctypes.c_char * self._size)()
        self._cuda.download(host, self.address, stream)
        return list(struct.unpack("<{}{}".format(self.count, self._format), host.raw))

    def _pack(self, values):
        return struct.pack("<{}{}".format(len(values), self._format), *values)

    def _upload(self, data, stream):
        self._cuda.upload(self.address, (ctypes.c_char * self._size).from_buffer_copy(data), stream)
