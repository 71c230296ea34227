"""A model on an Ascend device: loaded from an OM, its buffers ready, run, and given back in the order that is due."""

import os
import random
import re
import struct
import tempfile

from device_agents.faults import Fault, FaultError
from device_agents.runtimes.acl_calls import FLOAT, FLOAT16, INT32, INT64, MALLOC_HUGE_FIRST, UINT8, AclError

_FLOATS = {FLOAT: ("f", 4), FLOAT16: ("e", 2)}
_WHOLE = {INT32: ("i", 4), UINT8: ("B", 1), INT64: ("q", 8)}  # of outputs alone: maps of classes
_FORMATS = dict(_FLOATS)
_FORMATS.update(_WHOLE)
_OM_NAME = re.compile(r".*:\d+:(.+)", re.DOTALL)  # the converter calls outputs node:index:tensor


class _Tensor(object):
    """An input or output: its name in the ONNX file, data type, values, and the device's memory for it."""

    __slots__ = ("buffer", "count", "data_type", "name", "pointer", "size")

    def __init__(self, name, data_type, count, size):
        self.name, self.data_type, self.count, self.size = name, data_type, count, size
        self.pointer = self.buffer = 0


class AclModel(object):
    """See `device_agents.runtimes`. session: of `acl_runtime`. data: the bytes of an OM file.

    Raises AclError or ValueError where it cannot be made, having given all back.
    """

    def __init__(self, session, data):
        self._session, self._calls, self._copies, self._stream = session, session.calls, session.copies, session.stream
        self._id = None
        self._desc = 0
        self._tensors: dict = {"input": [], "output": []}
        self._datasets: dict = {"input": 0, "output": 0}
        # where the board's events tell nothing, this is not a way to run
        self.run_by_events = self._run_by_events if session.events else None
        try:
            self._prepare(data)
        except Exception:
            self._give_back()
            raise
        session.models.append(self)

    def run(self):
        """One synchronous inference; the clock is the caller's. The call keeps the interpreter's lock meanwhile."""
        code = self._execute(self._id, self._inputs, self._outputs)
        if code:
            self._fail("mdl.execute", code)

    def _run_by_events(self):
        """One more inference, on the stream; milliseconds between the device's events before and after it.

        Another quantity than the time of `run`: it holds no call from the host and no waking up.
        """
        try:
            start, end = self._session.events
            self._calls.do("rt.record_event", start, self._stream)
            self._calls.do("mdl.execute_async", self._id, self._inputs, self._outputs, self._stream)
            self._calls.do("rt.record_event", end, self._stream)
            self._calls.do("rt.synchronize_stream", self._stream)
            ms = self._calls.get("rt.event_elapsed_time", start, end)
        except AclError as error:
            raise FaultError(self._session.fault(error, "run")) from None
        if ms <= 0:  # events that ran in the wrong order are no error to the ACL
            raise FaultError(Fault("clock", "the device's events are {} ms apart".format(ms)))
        return ms

    def infer(self, inputs):
        """See `device_agents.runtimes`."""
        try:
            self._write(inputs)
            self.run()
            found = {}
            for tensor in self._tensors["output"]:
                data = self._copies.from_device(tensor.pointer, tensor.size)
                letter, width = _FORMATS[tensor.data_type]
                found[tensor.name] = list(
                    struct.unpack("<{}{}".format(tensor.count, letter), data[: width * tensor.count])
                )
            self._rest()
            return found
        except AclError as error:
            raise FaultError(self._session.fault(error, "run")) from None

    def close(self):
        """Give everything back. Raises FaultError for the first thing that could not be."""
        if self in self._session.models:
            self._session.models.remove(self)
        error = self._give_back()
        if error is not None:
            raise FaultError(self._session.fault(error, "run"))

    def _fail(self, call, code):
        raise FaultError(self._session.fault(AclError(call, code, self._calls.message()), "run"))

    def _prepare(self, data):
        calls = self._calls
        self._id = _load(calls, data)
        self._desc = calls.make("mdl.create_desc")
        calls.do("mdl.get_desc", self._desc, self._id)
        for side in ("input", "output"):
            self._tensors[side] = self._describe(side)
            self._datasets[side] = calls.make("mdl.create_dataset")
            for tensor in self._tensors[side]:
                tensor.pointer = calls.get("rt.malloc", tensor.size, MALLOC_HUGE_FIRST)
                tensor.buffer = calls.make("create_data_buffer", tensor.pointer, tensor.size)
                calls.get("mdl.add_dataset_buffer", self._datasets[side], tensor.buffer)
        self._rest()
        self._execute = calls.function("mdl.execute")
        self._inputs, self._outputs = self._datasets["input"], self._datasets["output"]

    def _describe(self, side):
        calls, found = self._calls, []
        for k in range(calls.value("mdl.get_num_{}s".format(side), self._desc)):
            name = calls.value("mdl.get_{}_name_by_index".format(side), self._desc, k)
            data_type = calls.value("mdl.get_{}_data_type".format(side), self._desc, k)
            dims = calls.get("mdl.get_{}_dims".format(side), self._desc, k)["dims"]
            size = calls.value("mdl.get_{}_size_by_index".format(side), self._desc, k)
            count = 1
            for length in dims:
                count *= length
            if data_type not in (_FLOATS if side == "input" else _FORMATS) or min(dims or [1]) <= 0:
                text = "{} {!r} is of type {} and shape {}: only float and half of fixed shape can be timed"
                raise ValueError(text.format(side, name, data_type, dims))
            if size < count * _FORMATS[data_type][1]:
                raise ValueError("{} {!r} has {} values in {} bytes".format(side, name, count, size))
            long_name = _OM_NAME.match(name) if side == "output" else None
            found.append(_Tensor(long_name.group(1) if long_name else name, data_type, count, size))
        if not found:
            raise ValueError("the model has no {}".format(side))
        return found

    def _write(self, inputs):
        if sorted(inputs) != sorted(tensor.name for tensor in self._tensors["input"]):
            raise ValueError(
                "inputs are {}, not {}".format(", ".join(t.name for t in self._tensors["input"]), ", ".join(inputs))
            )
        for tensor in self._tensors["input"]:
            values = inputs[tensor.name]
            if len(values) != tensor.count:
                text = "cannot reshape {} values to the {} of input {!r}"
                raise ValueError(text.format(len(values), tensor.count, tensor.name))
            letter = _FORMATS[tensor.data_type][0]
            data = struct.pack("<{}{}".format(tensor.count, letter), *values)
            self._copies.to_device(tensor.pointer, data + bytes(_padding(tensor)))

    def _rest(self):
        """Inputs as they lie while runs are timed: between 0.5 and 1.5, as other runtimes have them."""
        for tensor in self._tensors["input"]:
            letter, width = _FORMATS[tensor.data_type]
            data = _STRETCH[letter] * (tensor.count // _STRETCH_VALUES + 1)
            self._copies.to_device(tensor.pointer, data[: width * tensor.count] + bytes(_padding(tensor)))

    def _give_back(self):
        """Data buffers, data sets, memory, description, model: the order of 2.4. The first AclError, or None."""
        steps = []
        tensors = self._tensors["input"] + self._tensors["output"]
        steps += [("destroy_data_buffer", tensor.buffer) for tensor in tensors if tensor.buffer]
        steps += [("mdl.destroy_dataset", dataset) for dataset in self._datasets.values() if dataset]
        steps += [("rt.free", tensor.pointer) for tensor in tensors if tensor.pointer]
        steps += [("mdl.destroy_desc", self._desc)] if self._desc else []
        steps += [("mdl.unload", self._id)] if self._id is not None else []
        self._tensors, self._datasets = {"input": [], "output": []}, {"input": 0, "output": 0}
        self._desc, self._id = 0, None
        first = None
        for name, argument in steps:
            try:
                self._calls.do(name, argument)
            except AclError as error:  # the rest is given back all the same
                first = first or error
        return first


def _load(calls, data):
    """A file, for loading from memory wants the bytes on the device on some boards and on the host on others."""
    handle, path = tempfile.mkstemp(prefix="mosegnas-", suffix=".om")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        return calls.get("mdl.load_from_file", path)
    finally:
        os.remove(path)


def _padding(tensor):
    """Bytes that the device wants after the values."""
    return tensor.size - tensor.count * _FORMATS[tensor.data_type][1]


def _stretch(letter):
    # repeated to fill an input: a board's Python would be long at making millions of numbers
    chance = random.Random(0)
    values = [0.5 + chance.random() for _ in range(_STRETCH_VALUES)]
    return struct.pack("<{}{}".format(_STRETCH_VALUES, letter), *values)


_STRETCH_VALUES = 4093  # a prime: rows of an image do not repeat
_STRETCH = {letter: _stretch(letter) for letter, _ in _FLOATS.values()}
