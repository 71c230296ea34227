"""Colours of a batch: each factor does its own, each image has its own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from search.datasets.colour import jittered


def _images(count: int = 1) -> Tensor:
    return torch.randint(60, 180, (count, 3, 8, 10), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def _jittered(images: Tensor, *factors: tuple[float, float, float]) -> Tensor:
    filled = torch.ones(len(images), 1, *images.shape[-2:], dtype=torch.bool)
    return jittered(images, filled, torch.tensor(factors))


def test_no_jitter_changes_nothing_and_each_factor_does_its_own() -> None:
    image = _images()
    assert torch.allclose(_jittered(image, (1, 1, 1)), image.float(), atol=1e-3)
    assert torch.allclose(_jittered(image, (1.2, 1, 1)), image * 1.2, atol=1e-3)
    grey = _jittered(image, (1, 1, 0))
    assert (grey[:, 0] - grey[:, 2]).abs().max() < 1e-3
    flat = _jittered(image, (1, 0, 1))
    assert flat.std() < 1e-3
    assert float(flat.mean()) == pytest.approx(float(grey.mean()), abs=0.01)


def test_each_image_has_its_own_factors() -> None:
    images, factors = _images(3), ((1.0, 1.0, 1.0), (1.2, 0.8, 1.1), (0.7, 1.3, 0.0))
    together = _jittered(images, *factors)
    for k, own in enumerate(factors):
        assert torch.allclose(together[k : k + 1], _jittered(images[k : k + 1], own), atol=1e-3)


def test_levels_stay_levels() -> None:
    found = _jittered(_images(), (1.9, 1.9, 1.9))
    assert (found.min(), found.max()) == (0, 255)


def test_empty_borders_do_not_change_the_colours() -> None:
    images = torch.full((1, 3, 4, 8), 100, dtype=torch.uint8)
    images[..., 4:] = 0
    filled = torch.zeros(1, 1, 4, 8, dtype=torch.bool)
    filled[..., :4] = True
    found = jittered(images, filled, torch.tensor([[1.0, 0.5, 1.0]]))
    assert torch.allclose(found[..., :4], torch.tensor(100.0), atol=1e-3)
