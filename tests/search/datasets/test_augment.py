"""Image and mask move together, for any draw."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search.datasets.augment import Augmentation, jittered, window
from search.metrics import VOID

PLAIN = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
LEVEL = 20  # grey level of class k is 20 * k


def _tiles(side: int = 8) -> torch.Tensor:
    """Labels (1, 64, 96): tiles of classes 0..9."""
    rows, columns = torch.arange(64)[:, None] // side, torch.arange(96) // side
    return ((rows * 3 + columns * 7) % 10).to(torch.uint8)[None]


def _image_of(labels: torch.Tensor) -> torch.Tensor:
    return (labels * LEVEL)[:, None].expand(-1, 3, -1, -1).contiguous()


def _levels(images: torch.Tensor) -> torch.Tensor:
    """Normalised images back to 0..255."""
    return (images * 0.25 + 0.5) * 255


@given(st.integers(0, 10_000), st.sampled_from([(32, 48), (64, 96), (96, 128), (33, 47)]))
@settings(max_examples=60, deadline=None)
def test_image_and_labels_move_together(seed: int, size_hw: tuple[int, int]) -> None:
    """Grey levels tell the class, so wherever the neighbourhood is of one class the image must agree with the mask."""
    labels = _tiles(32)
    images, truth = Augmentation(*PLAIN, colour=0.0)(_image_of(labels), labels, size_hw, _generator(seed))
    assert images.shape == (1, 3, *size_hw)
    assert truth.shape == (1, *size_hw)
    assert truth.dtype == torch.uint8
    inside = _interior(truth[0], reach=1 + 4 * size_hw[0] // 64)  # as far as bilinear weights reach, and one more
    assert inside.any()
    found, expected = _levels(images[0, 0])[inside], truth[0][inside].float() * LEVEL
    assert (found - expected).abs().max() <= 1.5  # bytes are rounded once


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_where_there_is_no_image_there_is_void_and_the_mean(seed: int) -> None:
    labels = _tiles()
    images, truth = Augmentation(*PLAIN, (0.5, 0.9))(_image_of(labels), labels, (64, 96), _generator(seed))
    empty = truth[0] == VOID
    assert empty.any()
    assert images[0][:, empty].abs().max() == 0
    rows, columns = (~empty).any(1).nonzero(), (~empty).any(0).nonzero()
    content = truth[0, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert not (content == VOID).any()  # a rectangle


def test_above_scale_one_nothing_is_empty() -> None:
    labels = _tiles().expand(8, -1, -1).contiguous()
    _, truth = Augmentation(*PLAIN, (1.0, 2.0))(_image_of(labels), labels, (32, 48), _generator(0))
    assert not (truth == VOID).any()


def test_every_scale_and_both_directions_occur() -> None:
    """A picture that brightens from left to right falls half the time; its slope tells the scale."""
    ramp = torch.linspace(0, 240, 96).round().to(torch.uint8).expand(200, 3, 64, 96).contiguous()
    labels = torch.zeros(200, 64, 96, dtype=torch.uint8)
    images, truth = Augmentation(*PLAIN, colour=0.0)(ramp, labels, (64, 96), _generator(0))
    levels = _levels(images[:, 0])
    slopes = []
    for level, valid in zip(levels, truth != VOID, strict=True):
        row = level[valid.any(1)][5][valid.any(0)]
        slopes.append(float(row[-1] - row[0]) / (len(row) - 1) * 95 / 240)
    slope = torch.tensor(slopes)
    assert 60 < int((slope > 0).sum()) < 140
    scale = 1 / slope.abs()
    assert scale.min() < 0.85
    assert scale.max() > 1.8
    assert ((scale > 0.7) & (scale < 2.1)).all()


def test_the_generator_decides_everything() -> None:
    labels = _tiles().expand(4, -1, -1).contiguous()
    augment = Augmentation(*PLAIN)
    first, again, other = (augment(_image_of(labels), labels, (32, 48), _generator(s)) for s in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_the_source_is_left_alone() -> None:
    labels = _tiles()
    images = _image_of(labels)
    before = images.clone(), labels.clone()
    Augmentation(*PLAIN)(images, labels, (32, 48), _generator(0))
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])


def test_no_jitter_changes_nothing_and_each_factor_does_its_own() -> None:
    image = torch.randint(60, 180, (3, 8, 8), generator=_generator(0), dtype=torch.uint8)
    assert torch.allclose(jittered(image, 1, 1, 1), image.float(), atol=1e-3)
    assert torch.allclose(jittered(image, 1.2, 1, 1), image * 1.2, atol=1e-3)
    grey = jittered(image, 1, 1, 0)
    assert (grey[0] - grey[2]).abs().max() < 1e-3
    flat = jittered(image, 1, 0, 1)
    assert flat.std() < 1e-3
    assert float(flat.mean()) == pytest.approx(float(jittered(image, 1, 1, 0).mean()), abs=0.01)


@given(st.integers(1, 500), st.integers(1, 500), st.floats(0.3, 3.0), st.floats(0, 1, exclude_max=True))
def test_windows_stay_inside(source: int, target: int, scale: float, draw: float) -> None:
    taken, put = window(source, target, scale, draw)
    assert 0 <= taken.start < taken.stop <= source
    assert 0 <= put.start < put.stop <= target
    assert (taken == slice(0, source)) or (put == slice(0, target))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _interior(truth: torch.Tensor, reach: int) -> torch.Tensor:
    """Pixels all of whose neighbours up to `reach` away are of the same class, and none void."""
    padded = truth.float()[None, None]
    highest = torch.nn.functional.max_pool2d(padded, 2 * reach + 1, 1, reach)[0, 0]
    lowest = -torch.nn.functional.max_pool2d(-padded, 2 * reach + 1, 1, reach)[0, 0]
    return (highest == lowest) & (truth != VOID)
