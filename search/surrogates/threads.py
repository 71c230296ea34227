"""One thread for the small sums: the same result on any number of cores, and no slower."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

_inside = threading.local()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch and the linear algebra under numpy and scikit-learn on one thread, then as before.

    How a sum is shared among threads decides its last bits, and the last bits decide ties in a search. Within another
    `one_thread` nothing is left to do, unless a library was imported since: to look for them takes 5 ms.
    """
    known: int | None = getattr(_inside, "modules", None)
    if known == len(sys.modules):
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            _inside.modules = len(sys.modules)
            yield
    finally:
        _inside.modules = known
        torch.set_num_threads(before)
