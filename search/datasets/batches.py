"""Training batches from any step on: decoded and cropped in background threads, finished on the device.

What a batch holds is a pure function of the data set, the recipe, the seed and the position of its first image in the
endless sequence of images; a training resumes exactly with the number of images it has seen. Under several processes
every rank takes its slice of the batch that one process would see.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import torch
from torch import Tensor

from mosegnet.common.console import warn
from mosegnet.common.errors import UserError
from search.datasets.base import Dataset, normalised
from search.datasets.colour import jittered
from search.datasets.crops import Crop, centre_crop, crop, stacked
from search.datasets.files import CorruptImage
from search.datasets.lazy import decoding_threads
from search.datasets.order import Order
from search.datasets.recipes import PLAIN, Recipe

MOST_CORRUPT_SHARE = 0.01  # of a split's images; at least one may be skipped
_AHEAD = 2  # batches

OnCorrupt = Literal["stop", "skip"]
_Key = tuple[int, int, tuple[int, int]]  # position, count, size


class Batches:
    """The endless sequence of batches of one split.

    Args:
        dataset: where the images come from.
        split: its split.
        batch: images a step, over all ranks.
        seed: decides order and augmentation.
        size_hw: the size of the images; None takes the recipe's crops.
        recipe: how images are varied; None takes the data set's own. `PLAIN` changes nothing and keeps the split's
            order, so that one pass over it visits every image once.
        rank, world_size: which slice of every batch is wanted.
        on_corrupt: `stop` raises at the first image that cannot be decoded; `skip` takes the next one of the epoch
            instead, names it once, counts it in `corrupt`, and raises when more than a hundredth are like that.
        device: where colours are changed and the batch is left.

    Raises:
        UserError: the batch cannot be divided by the ranks; no size is given.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        batch: int,
        seed: int,
        size_hw: tuple[int, int] | None = None,
        recipe: Recipe | None = None,
        rank: int = 0,
        world_size: int = 1,
        on_corrupt: OnCorrupt = "stop",
        device: torch.device | str = "cpu",
    ) -> None:
        self.batch, self.recipe = batch, recipe or dataset.recipe
        self.corrupt: dict[str, str] = {}  # file → what is wrong with it
        size_hw = size_hw or self.recipe.crop_hw
        if size_hw is None:
            raise UserError(f"data set {dataset.name} has no crop size of its own: give one")
        self.size_hw = size_hw
        self._split, self._name = dataset.files(split), f"{dataset.name} {split}"
        self._classification = dataset.task == "classification"
        self._mean, self._std = dataset.mean, dataset.std
        self._order = Order(len(self._split), seed, shuffle=self.recipe != PLAIN)
        self._rank, self._world_size = rank, world_size
        self._on_corrupt, self._device = on_corrupt, torch.device(device)
        self._corrupt_rows: set[int] = set()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(
            decoding_threads(), "decoding", initializer=torch.set_num_threads, initargs=(1,)
        )
        self._ahead: dict[_Key, list[Future[Crop]]] = {}
        self._slice(batch)

    def __len__(self) -> int:
        """Batches an epoch, the last one filled up from the next epoch."""
        return math.ceil(len(self._split) / self.batch)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of one step; the steps that follow are prepared meanwhile.

        Returns:
            Images (B, 3, h, w) float32, normalised, 0 (the mean) where there is no image; masks (B, h, w) int64, void
            there; of a data set for classification class indices (B,) int64. B is this rank's share.

        Raises:
            UserError: an image cannot be used, see `on_corrupt`.
        """
        return self.draw(step * self.batch, self.batch)

    def draw(self, position: int, count: int, size_hw: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
        """As `at`, with `count` images from `position` on, at another size: for trainings whose batches vary."""
        key = (position, count, size_hw or self.size_hw)
        crops = [future.result() for future in self._asked(key)]
        self._refuse_many_corrupt()
        images, targets, filled, colours = (part.to(self._device) for part in stacked(crops))
        if self.recipe.colour:
            images = jittered(images, filled, colours)
        return normalised(images, self._mean, self._std).mul_(filled), targets.long()

    def from_step(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """`at(step)`, `at(step + 1)`, … without end."""
        while True:
            yield self.at(step)
            step += 1

    def close(self) -> None:
        """End the threads; what was prepared is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _asked(self, key: _Key) -> list[Future[Crop]]:
        """The crops of a batch; the likely next ones are begun as well, guesses that failed are dropped."""
        position, count, size_hw = key
        wanted = [(position + k * count, count, size_hw) for k in range(_AHEAD + 1)]
        for old in set(self._ahead) - set(wanted):
            for future in self._ahead.pop(old):
                future.cancel()
        for one in wanted:
            if one not in self._ahead:
                places = [one[0] + k for k in self._slice(one[1])]
                self._ahead[one] = [self._pool.submit(self._crop, place, size_hw) for place in places]
        return self._ahead.pop(key)

    def _slice(self, count: int) -> range:
        share, rest = divmod(count, self._world_size)
        if rest or not share:
            raise UserError(f"a batch of {count} images cannot be divided among {self._world_size} processes")
        return range(self._rank * share, (self._rank + 1) * share)

    def _crop(self, position: int, size_hw: tuple[int, int]) -> Crop:
        image, target = self._readable(position)
        if self._classification and self.recipe == PLAIN:
            return centre_crop(image, target, size_hw)
        return crop(image, target, size_hw, self.recipe, self._order.generator(position))

    def _readable(self, position: int) -> tuple[Tensor, Tensor]:
        """The image at a position, or the next one of its epoch that can be read: whoever reads it finds the same."""
        for further in range(len(self._split)):
            row = self._order.row(position, further)
            if row in self._corrupt_rows:
                continue
            try:
                return self._split.read(row)
            except CorruptImage as error:
                if self._on_corrupt == "stop":
                    raise
                self._count(row, error)
        raise UserError(f"not one image of {self._name} can be read")

    def _count(self, row: int, error: CorruptImage) -> None:
        with self._lock:
            if row in self._corrupt_rows:
                return
            self._corrupt_rows.add(row)
            self.corrupt[str(error.file)] = str(error)
            found = len(self.corrupt)
        warn(f"{error}; skipped, {found} so far")

    def _refuse_many_corrupt(self) -> None:
        """Asked with every batch: the thread that meets the last one too many may work for a batch nobody takes."""
        found = len(self.corrupt)
        most = max(1, int(MOST_CORRUPT_SHARE * len(self._split)))
        if found > most:
            raise UserError(
                f"{found} of {len(self._split)} images of {self._name} are damaged, more than the {most} that may be "
                f"skipped; one is {next(iter(self.corrupt))}: mend the data set, "
                f"`search data check --images {len(self._split)}` names them all"
            )
