"""What the stand-ins are strict with: types of arguments, enums that are no numbers, and deaths of the process."""

import os
import sys
from typing import Any


def die(message):
    """End the process as the real library would, with the reason on standard error."""
    sys.stderr.write("stand-in: {}\n".format(message))
    sys.stderr.flush()
    os.abort()


def want(value, kind, call):
    """The value, if it is of this very kind, as the bindings insist."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError("{}(): incompatible function arguments: {!r}".format(call, value))
    return value


def enumeration(name, members):
    """An enum as pybind11 makes them: named members with a number, no arithmetic, unequal to other enums.

    members: name to number.
    """
    kind: Any = type(name, (_Member,), {"__slots__": ()})
    kind.__members__ = {}
    for word, number in members.items():
        member = kind.__members__[word] = kind(word, number)
        setattr(kind, word, member)
    return kind


class _Member(object):
    __slots__ = ("name", "value")

    def __init__(self, name, value):
        self.name, self.value = name, value

    def __int__(self):
        return self.value

    __index__ = __int__

    def __eq__(self, other):
        return type(self) is type(other) and self.value == other.value

    def __hash__(self):
        return hash((type(self).__name__, self.value))

    def __repr__(self):
        return "<{}.{}: {}>".format(type(self).__name__, self.name, self.value)
