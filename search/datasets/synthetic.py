"""Street scenes painted on the spot, in no need of a download: `synthetic`.

A scene is a pure function of (seed, split, index): it does not depend on how many there are or in which order they
are made. Classes, their order and void are CamVid's, so that one space and one table serve both.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch

from mosegnet.common.console import progress_bar
from search.datasets.base import SPLITS, Dataset, Split
from search.datasets.camvid import CLASSES, PALETTE
from search.datasets.street.scene import render

SIZE_HW = (240, 320)  # a little more than the largest input of the space `tiny`
COUNTS: Mapping[str, int] = MappingProxyType({"supernet": 400, "search": 96, "test": 96})
SEED = 2026
# Per channel over the 400 images of the split supernet.
MEAN = (0.398, 0.391, 0.386)
STD = (0.197, 0.196, 0.205)


def load(counts: Mapping[str, int] = COUNTS, size_hw: tuple[int, int] = SIZE_HW, seed: int = SEED) -> Dataset:
    """The synthetic data set; a split is painted when it is first asked for, a few hundred scenes in some seconds."""

    def load_split(name: str) -> Split:
        count = counts[name]
        images = torch.empty((count, 3, *size_hw), dtype=torch.uint8)
        labels = torch.empty((count, *size_hw), dtype=torch.uint8)
        with progress_bar(f"painting synthetic {name}", count) as bar:
            for index in range(count):
                image, label = scene(name, index, size_hw, seed)
                images[index] = torch.from_numpy(image).permute(2, 0, 1)
                labels[index] = torch.from_numpy(label)
                bar.advance()
        return Split(name, images, labels, tuple(f"{name}_{index:05d}" for index in range(count)))

    return Dataset("synthetic", CLASSES, PALETTE, MEAN, STD, load_split)


def scene(
    split: str, index: int, size_hw: tuple[int, int] = SIZE_HW, seed: int = SEED
) -> tuple[np.ndarray, np.ndarray]:
    """One scene: image (H, W, 3) uint8 RGB, label (H, W) uint8."""
    return render(np.random.default_rng([seed, SPLITS.index(split), index]), size_hw)
