"""What every data set is to the rest of the search: named splits of uint8 images and labels in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mosegnet.common.errors import UserError
from search.datasets.recipes import TINY, Recipe
from search.metrics import VOID

SPLITS = ("supernet", "search", "test")  # trains the supernet, ranks networks, reports final numbers

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Split:
    """Images and labels of one split, decoded, in a fixed order.

    images (N, 3, H, W) uint8 RGB · labels (N, H, W) uint8, 255 = void · ids one name per image.
    """

    name: str
    images: Tensor
    labels: Tensor
    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        count, _, height, width = self.images.shape
        if self.images.dtype != torch.uint8 or self.labels.dtype != torch.uint8:
            raise ValueError("images and labels must be uint8")
        if self.labels.shape != (count, height, width) or len(self.ids) != count:
            raise ValueError(
                f"{tuple(self.images.shape)} images, {tuple(self.labels.shape)} labels, {len(self.ids)} ids"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """One image (3, H, W) uint8 and its labels (H, W) uint8."""
        return self.images[index], self.labels[index]

    def mask(self, index: int) -> Tensor:
        """The labels (H, W) uint8 of one image."""
        return self.labels[index]

    def sample(self, count: int) -> Split:
        """So many images in memory, evenly spread and always the same; all of them where there are fewer."""
        return self.take(spread(len(self), count))

    def settled(self) -> Split:
        """The split as it is best used whole: one that lives in files comes into memory where it is small."""
        return self

    def take(self, indices: Sequence[int]) -> Split:
        """The split cut down to `indices`, in their order."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        return Split(self.name, self.images[index], self.labels[index], tuple(self.ids[i] for i in index.tolist()))


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set: what its classes are, how its images are normalised, and its splits, loaded when first asked for.

    mean and std are per channel (RGB) of values in 0..1.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    mean: Triple
    std: Triple
    load_split: Callable[[str], Split] = field(repr=False)
    recipe: Recipe = TINY  # how training images are varied
    task: Literal["segmentation", "classification"] = "segmentation"
    _read: dict[str, Split] = field(default_factory=dict, init=False, repr=False, compare=False)
    _loaded: dict[str, Split] = field(default_factory=dict, init=False, repr=False, compare=False)

    def split(self, name: str) -> Split:
        """The split `name`: kept in memory from the first call on where it is small, else read from its files.

        Raises:
            UserError: there is no such split, or its files cannot be read.
        """
        if name not in self._loaded:
            self._loaded[name] = self.files(name).settled()
        return self._loaded[name]

    def files(self, name: str) -> Split:
        """The split `name` as `read` wants it: nothing is decoded before it is asked for.

        Raises:
            UserError: there is no such split.
        """
        if name not in SPLITS:
            raise UserError(f"data set {self.name} has no split {name!r}: choose one of {', '.join(SPLITS)}")
        if name not in self._read:
            self._read[name] = self.load_split(name)
        return self._read[name]

    def to_input(self, images: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Images as a network takes them: (N, 3, H, W) uint8 to (N, 3, h, w) float32, resized and normalised."""
        return normalised(resized(images, size_hw), self.mean, self.std)


def spread(count: int, most: int) -> list[int]:
    """At most so many of 0 … count - 1, evenly spread with both ends; all of them where they are few enough."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()


def resized(images: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """(N, 3, H, W) uint8 to (N, 3, h, w), bilinear, antialiased where it reduces; uint8 stays uint8 on a CPU."""
    if tuple(images.shape[-2:]) == tuple(size_hw):
        return images
    if images.device.type != "cpu":
        images = images.float()  # only the CPU resizes bytes, several times faster than floats
    return F.interpolate(images, size_hw, mode="bilinear", antialias=True, align_corners=False)


def normalised(images: Tensor, mean: Triple, std: Triple) -> Tensor:
    """(..., 3, H, W) of 0..255 to float32 of mean 0 and deviation 1 over the data set."""
    scale = torch.tensor([1 / (255 * s) for s in std], device=images.device)[:, None, None]
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=images.device)[:, None, None]
    return torch.addcmul(shift, images.float(), scale)


def reduced_labels(labels: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """(N, H, W) uint8 to (N, h, w) uint8, the label nearest to each pixel's centre."""
    if tuple(labels.shape[-2:]) == tuple(size_hw):
        return labels
    return F.interpolate(labels[:, None], size_hw, mode="nearest-exact")[:, 0]


def class_pixels(labels: Tensor, classes: int) -> Tensor:
    """How many pixels each class has: (N, H, W) uint8 to (classes,) int64, void left out."""
    counts = torch.bincount(labels.flatten(), minlength=VOID + 1)
    return counts[:classes]
