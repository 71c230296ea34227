"""The batch of a step, from the endless sequence of a data set's images; the position in it is all there is to keep."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mosegnet.common.errors import UserError
from mosegnet.family import Family
from mosegnet.space import SIZE_MULTIPLE
from search.datasets.base import Dataset
from search.datasets.batches import Batches
from search.datasets.order import Order
from search.supernet.ranks import Ranks
from search.supernet.recipes import Recipe

Size = tuple[int, int]


class Sampler:
    """Batches at every input size, drawn at one size and reduced, so that a size changes nothing but resolution.

    Raises:
        UserError: the batch cannot be divided among the processes and parts.
    """

    def __init__(
        self, dataset: Dataset, recipe: Recipe, sizes: tuple[Size, ...], drawn: Size, seed: int, ranks: Ranks
    ) -> None:
        self.sizes, self._drawn, self._recipe, self._device = sizes, drawn, recipe, ranks.device
        parts = ranks.world * recipe.accumulate
        if recipe.accumulate < 1 or recipe.batch < 1 or recipe.batch % parts:
            raise UserError(
                f"a batch of {recipe.batch} cannot be spread over {ranks.world} processes and {recipe.accumulate} "
                f"parts each: take a --batch that {parts} divides"
            )
        self._chunk = recipe.batch // recipe.accumulate  # images a draw, the same in every step: draws are prepared
        if self._chunk < 2:
            raise UserError(
                f"a batch of {recipe.batch} in {recipe.accumulate} parts leaves one image a part, too few for batch "
                "norm: take a larger --batch or a smaller --accumulate"
            )
        self._split = dataset.files("supernet")
        self._order = Order(len(self._split), seed)
        self._batches = Batches(
            dataset, "supernet", self._chunk, seed, drawn, rank=ranks.rank, world_size=ranks.world,
            on_corrupt=recipe.on_corrupt, device=ranks.device,
        )  # fmt: skip

    def __len__(self) -> int:
        """How many images an epoch has."""
        return len(self._split)

    def count(self, scale: int) -> int:
        """Images a step at one input scale, over all processes and parts: more where the input is small."""
        (height, width), (h, w) = self._drawn, self.sizes[scale]
        return self._recipe.batch * min(height * width // (h * w), self._recipe.small_input_batches)

    def at(self, position: int, scale: int, part: int) -> tuple[Tensor, Tensor]:
        """This process' share of one part of a step's batch.

        Returns:
            Images (B, 3, h, w) float32; of masks (B, H', W') int64, of one size at all scales, or classes (B,) int64.
        """
        chunks = self.count(scale) // self._recipe.batch
        first = position + part * chunks * self._chunk
        drawn = [self._batches.draw(first + k * self._chunk, self._chunk) for k in range(chunks)]
        images, labels = (torch.cat(pieces) for pieces in zip(*drawn, strict=True))
        if self.sizes[scale] != self._drawn:
            images = F.interpolate(images, size=self.sizes[scale], mode="bilinear", antialias=True, align_corners=False)
        if labels.ndim == 3:
            every = self._recipe.label_reduction
            labels = labels[:, every // 2 :: every, every // 2 :: every]
        layout = torch.channels_last if self._recipe.channels_last else torch.contiguous_format
        return images.to(self._device, memory_format=layout), labels.to(self._device)

    def ids(self, position: int, scale: int) -> list[str]:
        """The names of a whole step's images."""
        return [self._split.ids[self._order.row(position + k)] for k in range(self.count(scale))]


def drawn_size(family: Family, recipe: Recipe, dataset: Dataset) -> Size:
    """The size at which images are drawn: the data set's own crop where it has one, no larger than the full input."""
    if recipe.sizes:
        return recipe.sizes[-1], recipe.sizes[-1]
    full_h, full_w = family.full_hw
    if dataset.recipe.crop_hw is None:
        return full_h, full_w
    height, width = dataset.recipe.crop_hw
    return _multiple(min(height, full_h)), _multiple(min(width, full_w))


def input_sizes(family: Family, recipe: Recipe, dataset: Dataset) -> tuple[Size, ...]:
    """What the networks see in training, small to large: the space's scales, crops of them, or the recipe's squares.

    A data set's own crop belongs to the full input; at a smaller one the same part is seen, smaller.
    """
    if recipe.sizes:
        return tuple((size, size) for size in recipe.sizes)
    if dataset.recipe.crop_hw is None:
        return family.scales
    (height, width), (full_h, full_w) = dataset.recipe.crop_hw, family.full_hw
    height, width = min(height, full_h), min(width, full_w)
    return tuple((_multiple(height * h / full_h), _multiple(width * w / full_w)) for h, w in family.scales)


def _multiple(side: float) -> int:
    return max(1, round(side / SIZE_MULTIPLE)) * SIZE_MULTIPLE
