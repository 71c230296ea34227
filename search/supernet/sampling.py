"""The batch of a step, as a function of (seed, step) alone.

Nothing is remembered between steps, so a training goes on anywhere with the images it would have seen. Each image has
a generator of its own, so that a batch is the same however it is spread over processes and parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from search.datasets.base import Split

Size = tuple[int, int]
Augment = Callable[[Tensor, Tensor, Size, torch.Generator], tuple[Tensor, Tensor]]


class Batches(Protocol):
    """What a training asks its data for."""

    def __len__(self) -> int:
        """How many images an epoch has."""
        ...

    def at(self, step: int, scale: int, part: int, parts: int) -> tuple[Tensor, Tensor]:
        """Part `part` of `parts` of a step's batch at one input scale: images (B, 3, h, w) float32, labels int64."""
        ...

    def ids(self, step: int, scale: int) -> list[str]:
        """The names of the whole batch's images."""
        ...


class MaskBatches:
    """Images and masks of a split in memory, augmented at the largest input and reduced to the step's.

    Args:
        split: where rows are drawn from, with repetition.
        batch: images a step at the largest input, over all parts.
        sizes: the inputs (h, w), small to large; a small one has more images, at most `most` times as many.
        reduction: every so many-th label of each side is kept.
    """

    def __init__(
        self,
        split: Split,
        augment: Augment,
        batch: int,
        seed: int,
        sizes: tuple[Size, ...],
        most: int = 1,
        reduction: int = 1,
    ) -> None:
        self._split, self._augment, self._batch, self._seed = split, augment, batch, seed
        self._sizes, self._most, self._reduction = sizes, most, reduction

    def __len__(self) -> int:
        return len(self._split)

    def at(self, step: int, scale: int, part: int, parts: int) -> tuple[Tensor, Tensor]:
        """Images (B, 3, h, w) float32 at this scale; labels (B, H', W') int64 of the same regions, of one size."""
        rows = self._rows(step, scale)
        own = range(part * len(rows) // parts, (part + 1) * len(rows) // parts)
        largest, size = self._sizes[-1], self._sizes[scale]
        made = [self._one(step, k, rows[k]) for k in own]
        images, labels = (torch.cat(pieces) for pieces in zip(*made, strict=True))
        if size != largest:
            images = F.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)
        first, every = self._reduction // 2, self._reduction
        return images, labels[:, first::every, first::every].long()

    def ids(self, step: int, scale: int) -> list[str]:
        """The names of the whole batch's images."""
        return [self._split.ids[row] for row in self._rows(step, scale)]

    def _rows(self, step: int, scale: int) -> list[int]:
        largest, size = self._sizes[-1], self._sizes[scale]
        more = (largest[0] * largest[1]) // (size[0] * size[1])
        count = self._batch * min(more, self._most)
        rows = torch.randint(len(self._split), (count,), generator=generator(self._seed, step))
        return [int(row) for row in rows]

    def _one(self, step: int, k: int, row: int) -> tuple[Tensor, Tensor]:
        images, labels = self._split.images[row : row + 1], self._split.labels[row : row + 1]
        return self._augment(images, labels, self._sizes[-1], generator(self._seed, step, 1 + k))


def generator(*words: int) -> torch.Generator:
    """A generator of its own for every tuple of whole numbers."""
    seed = np.random.SeedSequence(words).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed))
