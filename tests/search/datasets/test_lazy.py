"""Splits that live in files: what is decoded when, what is kept, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import published_layouts as layouts
import pytest
import torch

from mosegnet.common.errors import UserError
from search.datasets import lazy, memory
from search.datasets.base import Split
from search.datasets.files import CorruptImage, SampleError, plain_table, read_ids, read_rgb
from search.datasets.lazy import FileSplit, Sample
from search.datasets.memory import PixelCache
from search.datasets.sampling import class_counts

BYTES = 4 * 12 * 16  # of one image with its mask


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Five images of 12x16, whose masks are of their number."""
    found = []
    for k in range(5):
        image, mask = tmp_path / f"{k}.png", tmp_path / f"{k}_mask.png"
        layouts.write(image, np.full((12, 16, 3), 40 * k, np.uint8))
        layouts.write(mask, np.full((12, 16), k, np.uint8))
        found.append(Sample(str(k), image, mask))
    return found


def _split(samples: list[Sample], limit_bytes: int = 10**6, vary: bool = False) -> FileSplit:
    table = plain_table(5)
    return FileSplit("s", samples, lambda file: table.classes(file, read_ids(file)), PixelCache(limit_bytes), vary)


def test_nothing_is_decoded_before_it_is_asked_for(samples: list[Sample]) -> None:
    for sample in samples[1:]:
        sample.image.write_bytes(b"")
    split = _split(samples)
    assert len(split) == 5
    assert split.read(0)[1].unique().tolist() == [0]
    assert split.take([0, 0]).labels.shape == (2, 12, 16)
    with pytest.raises(CorruptImage):
        split.read(1)


def test_the_cache_keeps_to_its_limit_and_what_it_keeps_is_not_decoded_again(samples: list[Sample]) -> None:
    split = _split(samples, 3 * BYTES + 1)
    first = [split.read(k) for k in range(5)]
    assert split._more.cache.used_bytes == 3 * BYTES
    for sample in samples:
        sample.image.unlink()
    assert all(torch.equal(split.read(k)[0], first[k][0]) for k in range(3))
    with pytest.raises(CorruptImage):
        split.read(3)


def test_whole_it_is_a_split_like_any_other(samples: list[Sample]) -> None:
    split = _split(samples)
    assert isinstance(split, Split)
    assert split.labels[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert split.images[:, 0, 0, 0].tolist() == [0, 40, 80, 120, 160]
    assert split.images is split.images
    assert split.take([3, 1]).ids == ("3", "1")


def test_a_small_split_settles_in_memory_a_large_one_does_not(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert type(_split(samples).settled()) is Split
    large = _split(samples, limit_bytes=4 * BYTES)
    assert large.settled() is large
    monkeypatch.setattr(lazy, "SMALL_BYTES", 4 * BYTES)
    assert isinstance(_split(samples).settled(), FileSplit)


def test_a_mask_needs_no_image(samples: list[Sample]) -> None:
    samples[2].image.write_bytes(b"")
    assert _split(samples).mask(2).unique().tolist() == [2]


def test_a_sample_is_spread_and_does_without_damaged_images(
    samples: list[Sample], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _split(samples).sample(3).ids == _split(samples).whole().sample(3).ids == ("0", "2", "4")
    samples[2].image.write_bytes(b"")
    samples[4].mask.write_bytes(b"")
    found = _split(samples).sample(3)
    assert found.ids == ("0", "1", "3")
    assert found.labels[:, 0, 0].tolist() == [0, 1, 3]
    assert "2.png is damaged" in capsys.readouterr().err
    assert _split(samples).sample(4).ids == ("0", "1", "3")
    for sample in samples:
        sample.image.write_bytes(b"")
    with pytest.raises(CorruptImage):
        _split(samples).sample(4)


def test_class_counts_of_evenly_spread_masks(samples: list[Sample]) -> None:
    assert class_counts(_split(samples), 5, most=3).tolist() == [192, 0, 192, 0, 192]
    assert class_counts(_split(samples).whole(), 5, most=9).tolist() == [192] * 5
    samples[2].mask.write_bytes(b"")
    assert class_counts(_split(samples), 5, most=3).tolist() == [192, 0, 0, 0, 192]
    for sample in samples:
        sample.mask.write_bytes(b"")
    with pytest.raises(CorruptImage):
        class_counts(_split(samples), 5, most=3)


def test_what_does_not_fit_is_refused_before_it_is_read(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy, "available_bytes", lambda: 4 * BYTES)
    split = _split(samples)
    assert len(split.take(range(4))) == 4
    with pytest.raises(UserError, match="5 images of s take"):
        split.whole()


def test_a_picture_of_another_size_is_named_unless_sizes_vary(samples: list[Sample]) -> None:
    layouts.write(samples[2].image, np.full((10, 20, 3), 80, np.uint8))
    layouts.write(samples[2].mask, np.full((10, 20), 2, np.uint8))
    with pytest.raises(SampleError, match=r"2\.png is \(10, 20\) high and wide, 0\.png is \(12, 16\)"):
        _split(samples).whole()
    whole = _split(samples, vary=True).whole()
    assert whole.images.shape == (5, 3, 12, 20)
    assert whole.labels[2, :10].unique().tolist() == [2]
    assert whole.labels[2, 10:].unique().tolist() == [255]
    assert whole.labels[0, :, 16:].unique().tolist() == [255]
    assert whole.images[0, :, :, 16:].unique().tolist() == [128]  # the mean


def test_pictures_of_any_mode_become_rgb(tmp_path: Path) -> None:
    layouts.write(tmp_path / "grey.png", np.full((2, 3), 7, np.uint8))
    layouts.write(tmp_path / "alpha.png", np.full((2, 3, 4), 7, np.uint8))
    assert all((read_rgb(tmp_path / name) == 7).all() for name in ("grey.png", "alpha.png"))


def test_memory_is_shared_by_the_processes_of_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert memory.cache_bytes() == 400
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert memory.cache_bytes() == 100


def test_this_machine_says_how_much_is_free() -> None:
    assert 10**6 < memory.available_bytes() < 10**14
