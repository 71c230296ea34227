"""Looking at a part of a large split: evenly spread images, decoded in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from search.datasets.lazy import decoding_threads

_Result = TypeVar("_Result")


def spread(count: int, most: int) -> list[int]:
    """At most so many of 0 … count - 1, evenly spread with both ends; all of them where they are few enough."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def in_threads(work: Callable[[int], _Result], rows: Sequence[int]) -> Iterator[_Result]:
    """`work` of every row, in their order; interrupted, nothing more is begun."""
    pool = ThreadPoolExecutor(decoding_threads())
    try:
        yield from pool.map(work, rows)
    finally:
        pool.shutdown(cancel_futures=True)
