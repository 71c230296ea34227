"""Looking at a part of a large split: evenly spread images, decoded in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from search.datasets.base import Split, class_pixels, spread
from search.datasets.files import CorruptImage
from search.datasets.lazy import decoding_threads

_Result = TypeVar("_Result")


def in_threads(work: Callable[[int], _Result], rows: Sequence[int]) -> Iterator[_Result]:
    """`work` of every row, in their order; interrupted, nothing more is begun."""
    pool = ThreadPoolExecutor(decoding_threads())
    try:
        yield from pool.map(work, rows)
    finally:
        pool.shutdown(cancel_futures=True)


def class_counts(split: Split, classes: int, most: int) -> Tensor:
    """How many pixels each class has in up to `most` evenly spread masks: (classes,) int64, void left out.

    Masks that cannot be decoded are left out: whether they matter is for the training to say, which meets them again.

    Raises:
        SampleError: a mask has unknown ids, or not one can be decoded.
    """

    def counts(row: int) -> Tensor | CorruptImage:
        try:
            return class_pixels(split.mask(row), classes)
        except CorruptImage as fault:
            return fault

    found = list(in_threads(counts, spread(len(split), most)))
    total = sum((own for own in found if isinstance(own, Tensor)), torch.zeros(classes, dtype=torch.int64))
    faults = [own for own in found if isinstance(own, CorruptImage)]
    if len(faults) == len(found):
        raise faults[0]
    return total
