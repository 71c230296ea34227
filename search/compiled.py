"""Functions compiled to machine code, once: later processes find them in the cache beside the file or the user's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def helper(function: Function) -> Function:
    """Compiled into the functions that call it; these must be in the same file, whose change makes the cache stale."""
    return numba.njit(function)


def compiled(function: Function) -> Function:
    """Compiled at its first call and kept for other processes, where there is a place to keep it.

    Other threads go on while it runs.
    """
    try:
        fast = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither the file's folder nor the user's is writable
        return numba.njit(nogil=True)(function)  # type: ignore[return-value]

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return fast(*arguments)
        except OSError:  # the disk is full: compiled it is, only not kept
            return fast(*arguments)

    return call  # type: ignore[return-value]
