"""The batch of a step, from the endless sequence of a data set's images; the position in it is all there is to keep."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mosegnet.common.errors import UserError
from mosegnet.space import SIZE_MULTIPLE, Space
from search.datasets.base import Dataset
from search.datasets.batches import Batches
from search.datasets.order import Order
from search.supernet.ranks import Ranks
from search.supernet.recipes import Recipe

Size = tuple[int, int]


class Sampler:
    """Batches at every input size, drawn at the largest and reduced, so that a size changes nothing but resolution.

    Raises:
        UserError: the batch cannot be divided among the processes and parts.
    """

    def __init__(self, dataset: Dataset, recipe: Recipe, sizes: tuple[Size, ...], seed: int, ranks: Ranks) -> None:
        self.sizes, self._recipe, self._device = sizes, recipe, ranks.device
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
            dataset, "supernet", self._chunk, seed, sizes[-1], rank=ranks.rank, world_size=ranks.world,
            on_corrupt=recipe.on_corrupt, device=ranks.device,
        )  # fmt: skip

    def __len__(self) -> int:
        """How many images an epoch has."""
        return len(self._split)

    def count(self, scale: int) -> int:
        """Images a step at one input scale, over all processes and parts: more where the input is small."""
        (height, width), (h, w) = self.sizes[-1], self.sizes[scale]
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
        if self.sizes[scale] != self.sizes[-1]:
            images = F.interpolate(images, size=self.sizes[scale], mode="bilinear", antialias=True, align_corners=False)
        if labels.ndim == 3:
            every = self._recipe.label_reduction
            labels = labels[:, every // 2 :: every, every // 2 :: every]
        layout = torch.channels_last if self._recipe.channels_last else torch.contiguous_format
        return images.to(self._device, memory_format=layout), labels.to(self._device)

    def ids(self, position: int, scale: int) -> list[str]:
        """The names of a whole step's images."""
        return [self._split.ids[self._order.row(position + k)] for k in range(self.count(scale))]


def input_sizes(space: Space, recipe: Recipe, dataset: Dataset) -> tuple[Size, ...]:
    """What the networks see in training, small to large: the space's scales, crops of them, or the recipe's squares.

    A data set's own crop belongs to the largest scale; at a smaller one the same part is seen, smaller.
    """
    if recipe.sizes:
        return tuple((size, size) for size in recipe.sizes)
    if dataset.recipe.crop_hw is None:
        return space.scales
    (height, width), (largest_h, largest_w) = dataset.recipe.crop_hw, space.scales[-1]
    height, width = min(height, largest_h), min(width, largest_w)
    return tuple((_multiple(height * h / largest_h), _multiple(width * w / largest_w)) for h, w in space.scales)


def _multiple(side: float) -> int:
    return max(1, round(side / SIZE_MULTIPLE)) * SIZE_MULTIPLE
