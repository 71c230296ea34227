"""Painted street scenes: a pure function of seed, split and index, with every class in most pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from search import datasets
from search.datasets import synthetic
from search.datasets.base import SPLITS, Split
from search.datasets.street.canvas import FAR_M, NEAR_M, depth_code, depth_codes

SMALL_HW = (96, 128)


@pytest.fixture(scope="module")
def split() -> Split:
    """Forty scenes at full size."""
    return synthetic.load({"search": 40}).split("search")


def test_the_data_set_by_name() -> None:
    dataset = datasets.load("synthetic")
    assert dataset.name == "synthetic"
    assert dataset.classes[3] == "road"
    assert len(dataset.classes) == len(dataset.palette) == 11


def test_a_scene_depends_on_seed_split_and_index_only() -> None:
    few = synthetic.load({"test": 2}, SMALL_HW).split("test")
    more = synthetic.load({"test": 4}, SMALL_HW).split("test")
    assert torch.equal(few.images, more.images[:2])
    assert torch.equal(few.labels, more.labels[:2])
    assert few.ids == more.ids[:2]
    image, label = synthetic.scene("test", 1, SMALL_HW)
    assert np.array_equal(image, more.images[1].permute(1, 2, 0).numpy())
    assert np.array_equal(label, more.labels[1].numpy())


def test_seeds_splits_and_indices_give_other_scenes() -> None:
    cases = [(name, index, seed) for name in SPLITS for index in (0, 1) for seed in (1, 2)]
    seen = {synthetic.scene(name, index, SMALL_HW, seed)[1].tobytes() for name, index, seed in cases}
    assert len(seen) == len(cases)


@pytest.mark.parametrize("size_hw", [(64, 96), (96, 128), (240, 320)])
def test_any_size_can_be_painted(size_hw: tuple[int, int]) -> None:
    image, label = synthetic.scene("supernet", 3, size_hw)
    assert image.shape == (*size_hw, 3)
    assert label.shape == size_hw
    assert image.dtype == label.dtype == np.uint8


def test_labels_are_classes_and_void_is_rare(split: Split) -> None:
    present = split.labels.unique().tolist()
    assert set(present) <= {*range(11), 255}
    assert (split.labels == 255).float().mean() < 0.02


def test_every_class_is_in_most_pictures(split: Split) -> None:
    for k in range(11):
        assert (split.labels == k).flatten(1).any(1).float().mean() > 0.7, synthetic.CLASSES[k]


def test_no_class_covers_most_of_the_ground(split: Split) -> None:
    shares = torch.bincount(split.labels.flatten(), minlength=256)[:11] / split.labels.numel()
    assert shares.max() < 0.45
    assert shares.min() > 0.002


def test_the_figures_for_normalising_are_the_data_s(split: Split) -> None:
    pixels = split.images.double() / 255
    assert (pixels.mean((0, 2, 3)) - torch.tensor(synthetic.MEAN)).abs().max() < 0.03
    assert (pixels.std((0, 2, 3)) - torch.tensor(synthetic.STD)).abs().max() < 0.03


def test_colour_alone_does_not_tell_the_class(split: Split) -> None:
    """The best guess from a pixel's colour, learnt on half the pictures: far from what a network should reach."""
    colour = (split.images // 32).long()
    key = (colour[:, 0] * 64 + colour[:, 1] * 8 + colour[:, 2]) * 256 + split.labels.long()  # (N, H, W)
    table = torch.bincount(key[::2].flatten(), minlength=512 * 256).view(512, 256)[:, :11]
    guess = table.argmax(1)[key[1::2] // 256]
    right = guess == split.labels[1::2]
    per_class = torch.stack([right[split.labels[1::2] == k].float().mean() for k in range(11)])
    assert per_class.mean() < 0.3


def test_depth_has_one_scale() -> None:
    z = np.linspace(NEAR_M, FAR_M, 50, dtype=np.float32)
    assert depth_codes(z).tolist() == [depth_code(float(v)) for v in z]
    assert depth_code(0.1) == 0
    assert depth_code(1e6) == 254
