"""Splits that live in files: pixels are decoded when asked for, in threads, and kept as far as memory allows."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import torch
from torch import Tensor

from mosegnet.common.console import progress_bar, warn
from mosegnet.common.errors import UserError
from search.datasets.base import Split, Triple, spread
from search.datasets.files import ByteArray, CorruptImage, SampleError, read_rgb, size_hw
from search.datasets.memory import PixelCache, available_bytes, local_processes
from search.metrics import VOID

SMALL_BYTES = 2**30  # a split of so many decoded bytes is simply kept in memory
_MOST_THREADS = 16
_PIXEL_BYTES = 4  # three of colour, one of class


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and its mask, not yet read."""

    id: str
    image: Path
    mask: Path


class Samples(Sequence[Sample]):
    """Samples made when asked for, where there are so many that their paths would fill the memory."""

    def __init__(self, ids: Sequence[str], make: Callable[[str], Sample]) -> None:
        self.ids, self._make = tuple(ids), make

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        found = self.ids[index]
        return self._make(found) if isinstance(found, str) else Samples(found, self._make)


class FileSplit(Split):
    """A split whose pixels are read when asked for; in everything else a `Split`.

    `read` gives one image in its own size; `take`, `images` and `labels` give tensors, so they need one size: where
    images `vary` they are laid on a canvas of the largest height and width, the mean colour and void around them.

    Raises:
        SampleError: from every method that decodes; names the file.
    """

    _more: _More

    def __init__(
        self,
        name: str,
        samples: Sequence[Sample],
        read_mask: Callable[[Path], ByteArray],
        cache: PixelCache,
        vary: bool = False,
        mean: Triple = (0.5, 0.5, 0.5),
    ) -> None:
        ids = samples.ids if isinstance(samples, Samples) else tuple(sample.id for sample in samples)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "_more", _More(samples, read_mask, cache, vary, mean))

    def __getattr__(self, attribute: str) -> Tensor:
        # The slots of `Split` stay empty until the whole split is asked for.
        if attribute in ("images", "labels"):
            whole = self.whole()
            object.__setattr__(self, "images", whole.images)
            object.__setattr__(self, "labels", whole.labels)
            return object.__getattribute__(self, attribute)
        raise AttributeError(attribute)

    @property
    def samples(self) -> Sequence[Sample]:
        """The files, in the split's order."""
        return self._more.samples

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """One image (3, H, W) uint8 and its mask (H, W) uint8, from the cache where it is there."""
        pixels = self._once(index)
        self._more.cache.keep((self.name, index), pixels)
        return pixels

    def decode(self, index: int) -> tuple[Tensor, Tensor]:
        """As `read`, from the files."""
        sample = self._more.samples[index]
        image, mask = read_rgb(sample.image), self._more.read_mask(sample.mask)
        if image.shape[:2] != mask.shape:
            raise SampleError(
                sample.mask,
                "sizes differ",
                f"{sample.mask} is {mask.shape} high and wide, its image {sample.image.name} {image.shape[:2]}",
            )
        return torch.from_numpy(image).permute(2, 0, 1).contiguous(), torch.from_numpy(np.ascontiguousarray(mask))

    def mask(self, index: int) -> Tensor:
        """As `read`, without decoding the image."""
        kept = self._more.cache.get((self.name, index))
        return kept[1] if kept else torch.from_numpy(self._more.read_mask(self._more.samples[index].mask))

    def sample(self, count: int) -> Split:
        """As `Split.sample`; an image that cannot be decoded gives its place to another, and is named.

        Raises:
            SampleError: an image is of no use for another reason, or not one can be decoded.
        """
        rows = spread(len(self), count)
        spare = iter(sorted(set(range(len(self))) - set(rows)))
        while True:
            try:
                return self.take(rows)
            except CorruptImage as fault:
                place = next(k for k, row in enumerate(rows) if fault.file in self._files(row))
                substitute = next(spare, None)
                warn(f"{fault}; the sample does without it")
                rows[place : place + 1] = [] if substitute is None else [substitute]
                if not rows:
                    raise

    def take(self, indices: Sequence[int]) -> Split:
        """These images in memory, in their order."""
        rows = [int(k) for k in indices]
        height, width = self._canvas_hw(rows)
        self._refuse_too_many(len(rows) * height * width * _PIXEL_BYTES)
        ground = (255 * torch.tensor(self._more.mean)).round().to(torch.uint8)[None, :, None, None]
        images = ground.repeat(len(rows), 1, height, width)
        labels = torch.full((len(rows), height, width), VOID, dtype=torch.uint8)

        def lay(place: int) -> None:
            image, mask = self._once(rows[place])
            rows_put, columns_put = mask.shape
            images[place, :, :rows_put, :columns_put] = image
            labels[place, :rows_put, :columns_put] = mask

        with ThreadPoolExecutor(decoding_threads()) as pool, progress_bar(f"decoding {self.name}", len(rows)) as bar:
            try:
                for _ in pool.map(lay, range(len(rows))):
                    bar.advance()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return Split(self.name, images, labels, tuple(self.ids[k] for k in rows))

    def whole(self) -> Split:
        """All of it in memory.

        Raises:
            UserError: it does not fit.
        """
        return self.take(range(len(self)))

    def settled(self) -> Split:
        """All of it in memory where it is small, itself otherwise."""
        height, width = size_hw(self._more.samples[0].image)
        estimate = len(self) * height * width * _PIXEL_BYTES
        small = not self._more.vary and estimate <= min(SMALL_BYTES, self._more.cache.limit_bytes)
        return self.whole() if small else self

    def _files(self, index: int) -> tuple[Path, Path]:
        sample = self._more.samples[index]
        return sample.image, sample.mask

    def _once(self, index: int) -> tuple[Tensor, Tensor]:
        """As `read`, but nothing more is kept: for pixels that are copied at once."""
        return self._more.cache.get((self.name, index)) or self.decode(index)

    def _canvas_hw(self, rows: Sequence[int]) -> tuple[int, int]:
        first = self._more.samples[rows[0]].image
        height, width = size_hw(first)
        for k in rows[1:]:
            image = self._more.samples[k].image
            own = size_hw(image)
            if own == (height, width):
                continue
            if not self._more.vary:
                message = f"{image} is {own} high and wide, {first.name} is {(height, width)}"
                raise SampleError(image, "sizes differ", message)
            height, width = max(height, own[0]), max(width, own[1])
        return height, width

    def _refuse_too_many(self, needed_bytes: int) -> None:
        free = available_bytes()
        if needed_bytes > free:
            raise UserError(
                f"{len(self)} images of {self.name} take {needed_bytes / 2**30:.1f} GiB decoded, "
                f"{free / 2**30:.1f} GiB are free: use fewer images or a machine with more memory"
            )


@dataclass(frozen=True, slots=True)
class _More:
    samples: Sequence[Sample]
    read_mask: Callable[[Path], ByteArray]
    cache: PixelCache
    vary: bool
    mean: Triple


def decoding_threads() -> int:
    """Threads that decode for one process; Pillow lets the others run while it decodes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST_THREADS, cores // local_processes()))
