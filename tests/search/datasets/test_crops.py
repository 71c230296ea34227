"""Crops: image and mask move together, at the scale and place that were drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search.datasets.crops import centre_crop, crop, stacked, window
from search.datasets.recipes import CITYSCAPES, COCOSTUFF, IMAGENET, PLAIN, VOC, Recipe
from search.metrics import VOID

LEVEL = 20  # grey level of class k is 20 * k
BISENET = (0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
PIXELS = Recipe((48, 64), BISENET, "pixels", 0.0)
IMAGE = Recipe(None, (0.75, 2.0), "image", 0.0)


def _tiles(height: int, width: int, side: int = 32) -> torch.Tensor:
    rows, columns = torch.arange(height)[:, None] // side, torch.arange(width) // side
    return ((rows * 3 + columns * 7) % 10).to(torch.uint8)


def _image_of(labels: torch.Tensor) -> torch.Tensor:
    return (labels * LEVEL).expand(3, -1, -1).contiguous()


@given(
    st.integers(0, 10**6),
    st.sampled_from([PIXELS, IMAGE]),
    st.tuples(st.integers(20, 140), st.integers(20, 140)),
    st.tuples(st.integers(16, 90), st.integers(16, 90)),
)
@settings(max_examples=150, deadline=None)
def test_image_and_mask_move_together(
    seed: int, recipe: Recipe, source_hw: tuple[int, int], size_hw: tuple[int, int]
) -> None:
    labels = _tiles(*source_hw)
    found = crop(_image_of(labels), labels, size_hw, recipe, np.random.default_rng(seed))
    assert found.image.shape == (3, *size_hw)
    assert found.target.shape == size_hw
    inside = torch.zeros(size_hw, dtype=torch.bool)
    inside[found.filled] = True
    assert torch.equal(found.target == VOID, ~inside)
    assert not found.image[:, ~inside].any()
    growth = max(size / source for size, source in zip(size_hw, source_hw, strict=True))
    flat = _interior(found.target, reach=2 + round(2 * max(1, growth)))  # as far as bilinear weights reach
    difference = found.image[0].int() - found.target.int() * LEVEL
    assert (difference[flat].abs() <= 1).all()


@given(st.integers(1, 500), st.integers(1, 500), st.floats(0.3, 3.0), st.floats(0, 1, exclude_max=True))
def test_windows_stay_inside(source: int, target: int, scale: float, draw: float) -> None:
    taken, put = window(source, target, scale, draw)
    assert 0 <= taken.start < taken.stop <= source
    assert 0 <= put.start < put.stop <= target
    assert (taken == slice(0, source)) or (put == slice(0, target))


def test_scale_of_pixels_keeps_the_image_s_own_pixels() -> None:
    """A ramp of one level a pixel rises by 1 / scale in the crop, whatever the sizes."""
    ramp = torch.arange(200, dtype=torch.uint8).expand(3, 150, 200).contiguous()
    labels = torch.zeros(150, 200, dtype=torch.uint8)
    found: dict[float, int] = {}
    flips = 0
    for seed in range(300):
        one = crop(ramp, labels, (48, 64), PIXELS, np.random.default_rng(seed)).image[0, 24].float()
        slope = float(one[-8] - one[8]) / 48
        flips += slope < 0
        scale = min(BISENET, key=lambda own: abs(1 / own - abs(slope)))
        assert abs(slope) == pytest.approx(1 / scale, abs=0.03)
        found[scale] = found.get(scale, 0) + 1
    assert set(found) == set(BISENET)
    assert min(found.values()) > 25
    assert 110 < flips < 190


def test_crops_lie_everywhere() -> None:
    columns = torch.arange(200, dtype=torch.uint8).expand(3, 150, 200).contiguous()
    labels = torch.zeros(150, 200, dtype=torch.uint8)
    recipe = Recipe((50, 50), (1.0,), "pixels", 0.0, flip=False)
    firsts = [int(crop(columns, labels, (50, 50), recipe, np.random.default_rng(k)).image[0, 0, 0]) for k in range(400)]
    assert min(firsts) < 8
    assert max(firsts) > 142
    assert 65 < np.mean(firsts) < 85


def test_nothing_drawn_shows_the_whole_image_as_it_is() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 30, 40), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 9, (30, 40), generator=generator, dtype=torch.uint8)
    for seed in range(5):
        found = crop(image, labels, (30, 40), PLAIN, np.random.default_rng(seed))
        assert torch.equal(found.image, image)
        assert torch.equal(found.target, labels)
        assert found.colours == (1.0, 1.0, 1.0)


def test_parts_of_an_area_for_classification() -> None:
    """Rows and columns of two ramps tell which part was taken."""
    image = torch.zeros(3, 120, 160, dtype=torch.uint8)
    image[0] = torch.arange(120, dtype=torch.uint8)[:, None]
    image[1] = torch.arange(160, dtype=torch.uint8)
    shares, aspects = [], []
    for seed in range(400):
        found = crop(image, torch.tensor(3), (24, 24), IMAGENET, np.random.default_rng(seed))
        assert int(found.target) == 3
        height = float(found.image[0, -3, 12].int() - found.image[0, 2, 12].int()) / 19 * 24
        width = abs(float(found.image[1, 12, -3].int() - found.image[1, 12, 2].int())) / 19 * 24
        shares.append(height * width / (120 * 160))
        aspects.append(width / height)
    assert min(shares) < 0.12
    assert max(shares) > 0.75
    assert np.quantile(aspects, [0.05, 0.95]) == pytest.approx([0.78, 1.3], abs=0.12)


def test_a_very_long_image_is_cut_in_the_middle() -> None:
    image = torch.arange(250, dtype=torch.uint8)[:, None].expand(3, 250, 4).contiguous()
    narrow = Recipe((8, 8), (0.9, 1.0), "area", 0.0)
    found = crop(image, torch.tensor(0), (8, 8), narrow, np.random.default_rng(0))
    assert 121 <= int(found.image.min()) <= int(found.image.max()) <= 128


def test_a_classifier_is_tested_on_the_middle() -> None:
    columns = torch.arange(160, dtype=torch.uint8).expand(3, 100, 160).contiguous()
    found = centre_crop(columns, torch.tensor(1), (224, 224))
    assert found.image.shape == (3, 224, 224)
    assert (int(found.image.min()), int(found.image.max())) == (36, 123)  # 88 of 100, about the middle of 160


def test_colours_are_drawn_about_one() -> None:
    image, labels = torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(8, 8, dtype=torch.uint8)
    recipe = Recipe((8, 8), (1.0,), "pixels", 0.3)
    drawn = np.array([crop(image, labels, (8, 8), recipe, np.random.default_rng(k)).colours for k in range(500)])
    assert drawn.min(0) == pytest.approx([0.7] * 3, abs=0.02)
    assert drawn.max(0) == pytest.approx([1.3] * 3, abs=0.02)


def test_a_batch_knows_where_its_images_are() -> None:
    labels = _tiles(20, 30)
    crops = [crop(_image_of(labels), labels, (40, 40), PIXELS, np.random.default_rng(k)) for k in range(4)]
    images, targets, filled, colours = stacked(crops)
    assert images.shape == (4, 3, 40, 40)
    assert torch.equal(filled[:, 0], targets != VOID)
    assert colours.shape == (4, 3)


def test_the_paper_s_recipes() -> None:
    assert [recipe.crop_hw for recipe in (CITYSCAPES, COCOSTUFF, VOC)] == [(768, 1536), (640, 640), (512, 512)]
    assert all(recipe.scales == BISENET and recipe.scale_of == "pixels" for recipe in (CITYSCAPES, COCOSTUFF, VOC))


def _interior(truth: torch.Tensor, reach: int) -> torch.Tensor:
    """Pixels all of whose neighbours up to `reach` away are of the same class, and none void."""
    padded = torch.nn.functional.pad(truth.float()[None, None], (reach,) * 4, value=VOID)
    highest = torch.nn.functional.max_pool2d(padded, 2 * reach + 1, 1)[0, 0]
    lowest = -torch.nn.functional.max_pool2d(-padded, 2 * reach + 1, 1)[0, 0]
    return (highest == lowest) & (truth != VOID)
