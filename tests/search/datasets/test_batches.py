"""Batches from any step on: the same whoever asks, whenever, and over however many processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mosegnet.common.errors import UserError
from search.datasets.base import Dataset, Split
from search.datasets.batches import Batches
from search.datasets.files import plain_table, read_ids
from search.datasets.lazy import FileSplit, Sample
from search.datasets.memory import PixelCache
from search.datasets.order import Order
from search.datasets.recipes import PLAIN, TINY, Recipe
from search.metrics import VOID

GREY = (0.5, 0.5, 0.5)
COUNT = 7
CROPS = Recipe((24, 32), (0.5, 1.0, 2.0), "pixels", 0.3)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Seven images of grey level 30 * k, whose masks are of class k."""
    samples = []
    for k in range(COUNT):
        image, mask = tmp_path / f"{k}.png", tmp_path / f"{k}_mask.png"
        Image.fromarray(np.full((40, 60, 3), 30 * k, np.uint8)).save(image)
        Image.fromarray(np.full((40, 60), k, np.uint8)).save(mask)
        samples.append(Sample(str(k), image, mask))
    table = plain_table(COUNT)

    def load_split(name: str) -> Split:
        return FileSplit(name, samples, lambda file: table.classes(file, read_ids(file)), PixelCache(10**6))

    names = tuple("abcdefg")
    return Dataset("levels", names, ((0, 0, 0),) * COUNT, GREY, (0.25, 0.25, 0.25), load_split, CROPS)


def _same(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_shapes_types_and_void(dataset: Dataset) -> None:
    images, masks = Batches(dataset, "supernet", 3, seed=0).at(5)
    assert images.shape == (3, 3, 24, 32)
    assert images.dtype == torch.float32
    assert masks.shape == (3, 24, 32)
    assert masks.dtype == torch.int64
    assert images.movedim(1, -1)[masks == VOID].abs().sum() == 0


def test_any_step_alone_equals_the_walk_to_it(dataset: Dataset) -> None:
    walk = Batches(dataset, "supernet", 3, seed=1)
    walked = [walk.at(step) for step in range(6)]
    for step in (4, 0, 5):
        assert _same(Batches(dataset, "supernet", 3, seed=1).at(step), walked[step])
    later = Batches(dataset, "supernet", 3, seed=1).from_step(4)
    assert _same(next(later), walked[4])
    assert _same(next(later), walked[5])
    assert not _same(Batches(dataset, "supernet", 3, seed=2).at(0), walked[0])


def test_ranks_together_see_what_one_process_sees(dataset: Dataset) -> None:
    for step in (0, 3):
        alone = Batches(dataset, "supernet", 6, seed=1).at(step)
        parts = [Batches(dataset, "supernet", 6, seed=1, rank=rank, world_size=3).at(step) for rank in range(3)]
        assert _same(alone, tuple(torch.cat(part) for part in zip(*parts, strict=True)))


def test_a_batch_that_cannot_be_divided_is_refused(dataset: Dataset) -> None:
    with pytest.raises(UserError, match="5 images cannot be divided among 2"):
        Batches(dataset, "supernet", 5, seed=0, world_size=2)


def test_every_image_once_an_epoch(dataset: Dataset) -> None:
    order = Order(COUNT, seed=3)
    epochs = [[order.row(COUNT * epoch + k) for k in range(COUNT)] for epoch in range(5)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    again = Order(COUNT, seed=3)
    assert [again.row(COUNT * 3 + k) for k in range(COUNT)] == epochs[3]
    seen = []
    plain = Batches(dataset, "supernet", 3, seed=0, size_hw=(40, 60), recipe=PLAIN)
    for step in range(len(plain)):
        seen += plain.at(step)[1][:, 0, 0].tolist()
    assert seen == [0, 1, 2, 3, 4, 5, 6, 0, 1]


def test_batches_of_varying_length_and_size_continue_one_sequence(dataset: Dataset) -> None:
    batches = Batches(dataset, "supernet", 2, seed=0, recipe=TINY, size_hw=(20, 30))
    found = [batches.draw(0, 4, (10, 16))[1], batches.draw(4, 2)[1], batches.draw(6, 4, (10, 16))[1]]
    assert [tuple(masks.shape) for masks in found] == [(4, 10, 16), (2, 20, 30), (4, 10, 16)]
    seen = [int(mask[0, 0]) for masks in found for mask in masks]
    assert sorted(seen[:COUNT]) == list(range(COUNT))


def test_without_a_size_there_is_nothing_to_cut(dataset: Dataset) -> None:
    with pytest.raises(UserError, match="no crop size"):
        Batches(dataset, "supernet", 2, seed=0, recipe=TINY)


def test_a_damaged_image_stops_by_default(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "4.png").write_bytes(b"\x89PNG nothing")
    batches = Batches(dataset, "supernet", COUNT, seed=0)
    with pytest.raises(UserError, match=r"4\.png is damaged or no image"):
        batches.at(0)


def test_a_damaged_image_can_be_skipped_named_and_counted(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "4.png").write_bytes((tmp_path / "4.png").read_bytes()[:60])
    batches = Batches(dataset, "supernet", COUNT, seed=0, on_corrupt="skip")
    walked = [batches.at(step) for step in range(4)]
    assert list(batches.corrupt) == [str(tmp_path / "4.png")]
    assert capsys.readouterr().err.count("4.png is damaged") == 1
    for _, masks in walked:
        classes = sorted(int(mask[mask != VOID][0]) for mask in masks)
        assert 4 not in classes
        assert len(set(classes)) == COUNT - 1  # one of the others twice
    resumed = Batches(dataset, "supernet", COUNT, seed=0, on_corrupt="skip").at(3)
    assert _same(resumed, walked[3])


def test_too_many_damaged_images_stop_even_so(dataset: Dataset, tmp_path: Path) -> None:
    for k in (2, 5):
        (tmp_path / f"{k}.png").write_bytes(b"")
    batches = Batches(dataset, "supernet", COUNT, seed=0, on_corrupt="skip")
    with pytest.raises(UserError, match=r"2 of 7 images of levels supernet are damaged, more than the 1"):
        batches.at(0)


def test_an_unknown_id_stops_whatever_the_policy(dataset: Dataset, tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 60), 99, np.uint8)).save(tmp_path / "3_mask.png")
    with pytest.raises(UserError, match=r"3_mask\.png has the unknown class id 99"):
        Batches(dataset, "supernet", COUNT, seed=0, on_corrupt="skip").at(0)
