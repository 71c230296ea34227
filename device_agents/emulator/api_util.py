"""The functions of `acl.util`: between Python objects and pointers."""

import ctypes

_NUMPY_LETTERS = "?bBhHiIlLqQfdg"  # its types in the order that its C headers count them


def functions(process, native):
    """By name; boards of the old profile have only those of numpy."""
    entry, memory = native.function, process.memory

    @entry("acl.util", "y")
    def bytes_to_ptr(data):
        return memory.lend(data, ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value, len(data))

    @entry("acl.util", "LL")
    def ptr_to_bytes(pointer, size):
        return memory.read(pointer, size, "ptr_to_bytes")

    @entry("acl.util", "O")
    def numpy_to_ptr(array):
        if not hasattr(array, "ctypes"):
            raise TypeError("acl.util.numpy_to_ptr args parse failed")
        return memory.lend(array, int(array.ctypes.data), int(array.nbytes))

    @entry("acl.util", "LOi")
    def ptr_to_numpy(pointer, shape, type_number):
        import numpy

        if type(shape) is not tuple:
            raise TypeError("acl.util.ptr_to_numpy args parse failed")
        kind = numpy.dtype(_NUMPY_LETTERS[type_number])
        count = kind.itemsize
        for size in shape:
            count *= size
        return numpy.frombuffer(memory.read(pointer, count, "ptr_to_numpy"), kind).reshape(shape)

    found = [numpy_to_ptr, ptr_to_numpy]
    if not process.is_old:
        found += [bytes_to_ptr, ptr_to_bytes]
    return {function.__name__: function for function in found}
