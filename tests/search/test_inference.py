"""Scales, mirror images and windows against what they mean, and splits in pieces against whole ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from mosegnet.common.errors import UserError
from search import metrics
from search.datasets.base import Dataset, resized
from search.datasets.files import read_ids
from search.datasets.lazy import FileSplit, Sample
from search.datasets.memory import PixelCache
from search.export import random_network
from search.inference import Method, label_logits, starts
from search.pieces import pieces
from search.scoring import Scorer, folded

IMAGE_HW = (96, 160)


@pytest.fixture
def network(micro_space):
    network = random_network(micro_space, micro_space.smallest())  # its input is 32x64
    generator = torch.Generator().manual_seed(3)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1, generator=generator)
        elif name.endswith("running_var"):
            tensor.uniform_(0.2, 2.0, generator=generator)
    return network


@pytest.fixture
def images():
    return torch.rand(2, 3, *IMAGE_HW, generator=torch.Generator().manual_seed(1)) * 4 - 2


def asked(network, images, method, label_hw=IMAGE_HW):
    with torch.no_grad():
        return label_logits(network, lambda hw: resized(images, hw), IMAGE_HW, label_hw, method)


def test_scales_and_mirror_images_are_averaged(network, images) -> None:
    parts = []
    for hw in ((32, 64), (64, 96)):  # 1 and 1.5, rounded to what the network can take
        for mirrored in (False, True):
            x = resized(images, hw)
            with torch.no_grad():
                y = network.forward_eighth(x.flip(3) if mirrored else x)[0]
            y = F.interpolate(y, IMAGE_HW, mode="bilinear")
            parts.append(y.flip(3) if mirrored else y)
    found = asked(network, images, Method((1.0, 1.5), flip=True))
    torch.testing.assert_close(found, torch.stack(parts).mean(0), rtol=1e-4, atol=1e-5)


def test_a_mirrored_image_gives_mirrored_logits(network, images) -> None:
    both = Method(flip=True)
    mirrored = asked(network, images.flip(3), both).flip(3)
    torch.testing.assert_close(asked(network, images, both), mirrored, rtol=1e-4, atol=1e-5)


def test_a_window_as_large_as_the_image_is_the_whole_image(network, images) -> None:
    with torch.no_grad():
        whole = network(images)
    torch.testing.assert_close(asked(network, images, Method(window_hw=IMAGE_HW)), whole, rtol=1e-4, atol=1e-5)


def test_windows_are_averaged_where_they_overlap(network, images) -> None:
    found = asked(network, images, Method(window_hw=(96, 96)))
    with torch.no_grad():
        left, right = (network(images[..., x : x + 96]) for x in (0, 64))
    total, seen = torch.zeros_like(found), torch.zeros(160)
    for x, part in ((0, left), (64, right)):
        total[..., x : x + 96] += part
        seen[x : x + 96] += 1
    torch.testing.assert_close(found, total / seen, rtol=1e-4, atol=1e-5)


def test_an_image_smaller_than_the_window_lies_on_the_mean_colour(network, images) -> None:
    with torch.no_grad():
        padded = network(F.pad(images, (0, 32, 0, 32)))[..., :96, :160]
    torch.testing.assert_close(asked(network, images, Method(window_hw=(128, 192))), padded, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("length", "window"), [(1024, 512), (100, 32), (33, 32), (32, 32), (10, 32), (2048, 768)])
def test_windows_reach_everything_and_overlap(length: int, window: int) -> None:
    begun = starts(length, window)
    assert begun[0] == 0
    assert begun[-1] == max(0, length - window)
    assert all(0 < b - a <= window * 2 / 3 for a, b in pairwise(begun))


@pytest.mark.parametrize("wrong", [{"scales": ()}, {"scales": (0.0,)}, {"scales": (99.0,)}, {"window_hw": (100, 64)}])
def test_methods_that_cannot_be(wrong) -> None:
    with pytest.raises(UserError):
        Method(**wrong)


def test_folded_networks_compute_the_same(network, images) -> None:
    with torch.no_grad():
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        expected, found = network(images), folded(network)(images)
        torch.testing.assert_close(
            folded(network)(images), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max())
        )
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any("bn" in name for name in folded(network).state_dict())


def file_split(folder, sizes, cache_bytes=0):
    rng = np.random.default_rng(0)
    samples = []
    for k, (h, w) in enumerate(sizes):
        image, mask = folder / f"{k}.png", folder / f"{k}_mask.png"
        Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)).save(image)
        Image.fromarray(rng.integers(0, 3, (h, w), dtype=np.uint8)).save(mask)
        samples.append(Sample(str(k), image, mask))
    return FileSplit("test", samples, read_ids, PixelCache(cache_bytes), vary=len(set(sizes)) > 1)


def test_a_split_in_files_comes_in_pieces_of_one_size(tmp_path) -> None:
    sizes = [(40, 60)] * 5 + [(60, 40)] * 2 + [(40, 60)] * 4
    split = file_split(tmp_path, sizes)
    found = list(pieces(split, 3, 10**9))
    assert [(piece.start, tuple(piece.images.shape)) for piece in found] == [
        (0, (3, 3, 40, 60)), (3, (2, 3, 40, 60)), (5, (2, 3, 60, 40)), (7, (3, 3, 40, 60)), (10, (1, 3, 40, 60)),
    ]  # fmt: skip
    rows = torch.cat([piece.labels.flatten(1).long().sum(1) for piece in found])
    assert rows.tolist() == [int(split.read(k)[1].long().sum()) for k in range(11)]
    assert [len(piece.images) for piece in pieces(split, 16, 2 * 40 * 60)] == [2, 2, 1, 2, 2, 2]


def test_large_splits_score_as_small_ones_and_are_never_decoded_at_once(tmp_path, network, monkeypatch) -> None:
    split = file_split(tmp_path, [(64, 96)] * 7)
    whole = split.whole()
    grey = (0.5, 0.5, 0.5)

    def scored(one):
        dataset = Dataset("files", ("a", "b", "c"), ((0, 0, 0),) * 3, grey, grey, lambda name: one)
        return Scorer(dataset).confusions(network, "test", Method((1.0, 1.5), flip=True))

    expected = scored(whole)
    monkeypatch.setattr(FileSplit, "settled", lambda self: self)
    monkeypatch.setattr(FileSplit, "take", None)  # what decodes many at once
    found = scored(split)
    assert (found - expected).abs().sum() <= 4
    assert found.sum() == 7 * 64 * 96
    assert metrics.miou(found.sum(0)) > 0
