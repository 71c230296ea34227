"""A split piece by piece: as many images of one size as may be scored at once, never all of a large one in memory."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from search.datasets.base import Split
from search.datasets.lazy import FileSplit, decoding_threads


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive images of one size: images (B, 3, H, W) uint8, labels (B, H, W) uint8, from row `start` on."""

    start: int
    images: Tensor
    labels: Tensor


def pieces(split: Split, most: int, most_pixels: int) -> Iterator[Piece]:
    """All of a split in its order, at most `most` images or `most_pixels` pixels at a time, one image at least.

    A split in files is read ahead in threads, and each image has its own size; one in memory is cut up.
    """
    if isinstance(split, FileSplit):
        yield from _read(split, most, most_pixels)
        return
    height, width = split.labels.shape[1:]
    count = _count(most, most_pixels, height * width)
    for start in range(0, len(split), count):
        rows = slice(start, start + count)
        yield Piece(start, split.images[rows], split.labels[rows])


def _read(split: FileSplit, most: int, most_pixels: int) -> Iterator[Piece]:
    waiting: list[tuple[Tensor, Tensor]] = []
    start = 0
    for image, mask in _ahead(split):
        full = len(waiting) >= _count(most, most_pixels, mask.numel())
        if waiting and (full or waiting[0][1].shape != mask.shape):
            yield _piece(start, waiting)
            start, waiting = start + len(waiting), []
        waiting.append((image, mask))
    if waiting:
        yield _piece(start, waiting)


def _ahead(split: FileSplit) -> Iterator[tuple[Tensor, Tensor]]:
    """Images in order, twice as many under way as there are threads to decode them."""
    threads = decoding_threads()
    pool = ThreadPoolExecutor(threads, "decoding", initializer=torch.set_num_threads, initargs=(1,))
    try:
        edges = [*range(0, len(split), threads), len(split)]
        under_way: list[list[Future[tuple[Tensor, Tensor]]]] = []
        for first, last in pairwise(edges):
            under_way.append([pool.submit(split.read, row) for row in range(first, last)])
            if len(under_way) > 1:
                yield from (future.result() for future in under_way.pop(0))
        for futures in under_way:
            yield from (future.result() for future in futures)
    finally:
        pool.shutdown(cancel_futures=True)


def _piece(start: int, waiting: list[tuple[Tensor, Tensor]]) -> Piece:
    return Piece(start, torch.stack([image for image, _ in waiting]), torch.stack([mask for _, mask in waiting]))


def _count(most: int, most_pixels: int, pixels: int) -> int:
    return max(1, min(most, most_pixels // pixels))
