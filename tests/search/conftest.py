"""A space, a data set and a supernet small enough to be trained inside a test."""

from __future__ import annotations

import pytest
import torch

from mosegnet import space as spaces
from search.datasets.base import Dataset, Split

MICRO = {"preset": "tiny", "name": "micro", "scales": [[32, 64], [64, 96], [64, 128]], "classes": 3}


@pytest.fixture(scope="session")
def micro_space() -> spaces.Space:
    """The 29 digits over three very small inputs and three classes."""
    return spaces.load(MICRO)


@pytest.fixture(scope="session")
def micro_dataset() -> Dataset:
    """Noise with bright and dark boxes: class 0 behind, 1 bright, 2 dark, and a void border."""

    def load_split(name: str) -> Split:
        generator = torch.Generator().manual_seed({"supernet": 1, "search": 2, "test": 3}[name])
        images = torch.randint(90, 160, (12, 3, 64, 128), generator=generator, dtype=torch.uint8)
        labels = torch.zeros(12, 64, 128, dtype=torch.uint8)
        for k in range(12):
            for label, level in ((1, 250), (2, 5)):
                y, x = (int(torch.randint(4, high, (), generator=generator)) for high in (40, 90))
                images[k, :, y : y + 18, x : x + 28] = level
                labels[k, y : y + 18, x : x + 28] = label
        labels[:, 0] = 255
        return Split(name, images, labels, tuple(f"{name}{k}" for k in range(12)))

    grey = (0.5, 0.5, 0.5)
    return Dataset("boxes", ("back", "bright", "dark"), ((0, 0, 0), (255, 255, 255), (9, 9, 9)), grey, grey, load_split)
