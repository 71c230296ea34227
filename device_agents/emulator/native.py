"""What all functions of pyACL have in common: positional arguments only, of exact types, and a log of the calls."""

import functools

_INT = 1 << 31


class Native(object):
    """Makes functions into ones of the extension module; `path` is a file for the log, or empty."""

    def __init__(self, path):
        self._path = path

    def function(self, module, signature, optional=0):
        """Decorator. signature: a letter an argument: L unsigned long, i int, s str, y bytes, O anything.

        The last `optional` of them may be left out.
        """

        def decorate(function):
            name = "{}.{}".format(module, function.__name__)

            @functools.wraps(function)
            def call(*args, **kwargs):
                if kwargs:
                    raise TypeError("{}() takes no keyword arguments".format(function.__name__))
                if not len(signature) - optional <= len(args) <= len(signature):
                    raise TypeError("{} args parse failed: {} arguments given".format(name, len(args)))
                for k, value in enumerate(args):
                    _check(name, k, signature[k], value)
                result = function(*args)
                self._log(name, args, result)
                return result

            del call.__wrapped__  # nobody looks through it to a signature with names
            return call

        return decorate

    def _log(self, name, args, result):
        if self._path:
            shown = ["<{} bytes>".format(len(arg)) if isinstance(arg, bytes) else repr(arg) for arg in args]
            with open(self._path, "a") as file:
                file.write("{}({}) -> {!r}\n".format(name, ", ".join(shown), result))


def _check(name, k, letter, value):
    kinds: dict = {"L": int, "i": int, "s": str, "y": bytes}
    if letter == "O":
        return
    if letter == "y" and not isinstance(value, bytes):
        raise ValueError("{} args parse failed: argument {} is no bytes".format(name, k + 1))
    if type(value) is not kinds[letter]:  # a bool, or numpy's integers, are no plain int
        raise TypeError("{} args parse failed: argument {} is a {}".format(name, k + 1, type(value).__name__))
    if letter == "i" and not -_INT <= value < _INT:
        raise OverflowError("signed integer is greater than maximum")
