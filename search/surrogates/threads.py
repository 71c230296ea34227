"""One thread for the small sums: the same result on any number of cores, and no slower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch and the linear algebra under numpy and scikit-learn on one thread, then as before.

    How a sum is shared among threads decides its last bits, and the last bits decide ties in a search.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)
