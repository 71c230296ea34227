"""Splits, resizing and counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mosegnet.common.errors import UserError
from search import datasets
from search.datasets.base import Dataset, Split, class_pixels, normalised, reduced_labels, resized

GREY = (0.5, 0.5, 0.5)


def _split(name: str = "search", count: int = 5) -> Split:
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 4, 6).contiguous()
    return Split(name, images, torch.zeros(count, 4, 6, dtype=torch.uint8), tuple(f"i{k}" for k in range(count)))


def test_a_split_is_loaded_once_and_only_when_asked_for() -> None:
    asked = []

    def load(name: str) -> Split:
        asked.append(name)
        return _split(name)

    dataset = Dataset("d", ("a",), ((0, 0, 0),), GREY, GREY, load)
    assert asked == []
    assert dataset.split("test") is dataset.split("test")
    assert asked == ["test"]


def test_an_unknown_split_names_the_known_ones() -> None:
    dataset = Dataset("d", ("a",), ((0, 0, 0),), GREY, GREY, _split)
    with pytest.raises(UserError, match="no split 'val': choose one of supernet, search, test"):
        dataset.split("val")


def test_take_keeps_order_and_ids_together() -> None:
    taken = _split().take([3, 0])
    assert taken.ids == ("i3", "i0")
    assert taken.images[:, 0, 0, 0].tolist() == [3, 0]
    assert len(taken) == 2


def test_a_split_of_unequal_parts_is_a_bug() -> None:
    whole = _split()
    with pytest.raises(ValueError, match="labels"):
        Split("x", whole.images, whole.labels[:, :3], whole.ids)
    with pytest.raises(ValueError, match="uint8"):
        Split("x", whole.images.float(), whole.labels, whole.ids)


@pytest.mark.parametrize("size_hw", [(24, 32), (60, 80), (48, 64), (37, 91)])
def test_resizing_agrees_with_pillow(size_hw: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (1, 3, 48, 64), generator=generator, dtype=torch.uint8)
    pil = Image.fromarray(image[0].permute(1, 2, 0).numpy()).resize(size_hw[::-1], Image.Resampling.BILINEAR)
    expected = torch.from_numpy(np.array(pil)).permute(2, 0, 1)
    assert (resized(image, size_hw)[0].int() - expected.int()).abs().max() <= 1


def test_input_is_normalised_float() -> None:
    dataset = Dataset("d", ("a",), ((0, 0, 0),), (0.5, 0.25, 0.0), (0.5, 0.25, 1.0), _split)
    white = torch.full((2, 3, 4, 6), 255, dtype=torch.uint8)
    found = dataset.to_input(white, (2, 3))
    assert found.dtype == torch.float32
    assert found.shape == (2, 3, 2, 3)
    assert torch.allclose(found[0, :, 0, 0], torch.tensor([1.0, 3.0, 1.0]), atol=1e-5)


def test_normalising_the_data_by_its_own_figures_gives_mean_0_and_deviation_1() -> None:
    images = torch.randint(0, 256, (4, 3, 30, 30), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    shares = images.double() / 255
    mean, std = (tuple(f((0, 2, 3)).tolist()) for f in (shares.mean, shares.std))
    found = normalised(images, mean, std)
    assert found.mean((0, 2, 3)).abs().max() < 1e-4
    assert (found.std((0, 2, 3)) - 1).abs().max() < 1e-4


def test_reduced_labels_are_labels() -> None:
    labels = torch.tensor([[0, 0, 255, 255], [0, 0, 255, 255]], dtype=torch.uint8)[None]
    assert reduced_labels(labels, (1, 2)).tolist() == [[[0, 255]]]
    assert reduced_labels(labels, (2, 4)) is labels


def test_class_pixels_leave_void_out() -> None:
    labels = torch.tensor([[[0, 2, 255], [2, 2, 255]]], dtype=torch.uint8)
    assert class_pixels(labels, 3).tolist() == [1, 0, 3]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("kitti:/data", "unknown data set 'kitti:/data': choose one of synthetic, camvid:PATH"),
        ("", "unknown data set ''"),
        ("camvid", "needs its folder: write camvid:PATH"),
        ("camvid:", "needs its folder"),
        ("synthetic:20", "takes no path"),
    ],
)
def test_a_wrong_specification_says_what_would_be_right(spec: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        datasets.load(spec)
