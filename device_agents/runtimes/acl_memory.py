"""Bytes of this process and pointers of the ACL, with whatever the board's Python and pyACL have for it.

pyACL of boards with CANN before 5.1 has no bytes_to_ptr; numpy_to_ptr is on its way out on new ones; a Python built by
hand, as boards often have, may lack ctypes, and numpy is not always there. One of the three is.
"""

from device_agents.runtimes.acl_calls import MEMCPY_DEVICE_TO_DEVICE, MEMCPY_DEVICE_TO_HOST, MEMCPY_HOST_TO_DEVICE

_NUMPY_UINT8 = 2  # the number of the type in numpy's C headers


class Copies(object):
    """Copies between Python and the device. `on_board`: host and device are one memory, and all copies are within."""

    def __init__(self, calls, on_board):
        self._calls = calls
        self._to_device = MEMCPY_DEVICE_TO_DEVICE if on_board else MEMCPY_HOST_TO_DEVICE
        self._to_host = MEMCPY_DEVICE_TO_DEVICE if on_board else MEMCPY_DEVICE_TO_HOST

    def to_device(self, pointer, data):
        """Write bytes to device memory."""
        keep, source = self._pointer_of(data)
        self._calls.do("rt.memcpy", pointer, len(data), source, len(data), self._to_device)
        del keep  # until here the object had to live

    def from_device(self, pointer, size):
        """Bytes of device memory."""
        host = self._calls.get("rt.malloc_host", size)
        try:
            self._calls.do("rt.memcpy", host, size, pointer, size, self._to_host)
            return self._bytes_at(host, size)
        finally:
            self._calls.do("rt.free_host", host)

    def _pointer_of(self, data):
        """(what must be kept alive, its address)."""
        if self._calls.has("util.bytes_to_ptr"):
            return data, self._calls.value("util.bytes_to_ptr", data)
        try:
            import ctypes
        except ImportError:
            import numpy

            array = numpy.frombuffer(data, dtype=numpy.uint8)
            return array, self._calls.value("util.numpy_to_ptr", array)
        buffer = ctypes.create_string_buffer(data, len(data))
        return buffer, ctypes.addressof(buffer)

    def _bytes_at(self, pointer, size):
        if self._calls.has("util.ptr_to_bytes"):
            return self._calls.value("util.ptr_to_bytes", pointer, size)
        try:
            import ctypes
        except ImportError:
            return self._calls.value("util.ptr_to_numpy", pointer, (size,), _NUMPY_UINT8).tobytes()
        return ctypes.string_at(pointer, size)
