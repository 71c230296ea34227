"""The 29 digits: bounds, canonical form, counts, units, and the facts of the paper's Table 1."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from mosegnet.digits import DigitSpace

PAPER, TINY = spaces.load("paper"), spaces.load("tiny")
seeds = st.integers(0, 2**32 - 1)


def test_channels_of_the_paper() -> None:
    assert PAPER.stem_middles == (24, 24, 32)
    assert PAPER.stem_channels == (40, 48, 64)
    assert PAPER.stage_channels == ((168, 208, 256), (336, 408, 512), (664, 816, 1024), (1328, 1640, 2048))
    assert PAPER.stage_middles[0] == ((32, 40, 56), (40, 56, 72), (48, 64, 88))
    assert PAPER.stage_middles[1] == ((64, 88, 120), (80, 104, 144), (104, 128, 176))
    assert PAPER.stage_middles[2] == ((136, 168, 232), (160, 208, 288), (208, 256, 360))
    assert PAPER.stage_middles[3] == ((264, 336, 464), (328, 408, 576), (408, 512, 720))


@pytest.mark.parametrize("space", [PAPER, TINY], ids=lambda s: s.name)
def test_counts(space: spaces.Space) -> None:
    assert space.cardinalities == [3] * 29
    assert space.count() == 3 * 351**3 * 3159 * 9
    assert len(space.units) == 3 * 180
    kinds = [unit.kind for unit in space.units]
    assert [kinds.count(kind) // 3 for kind in ("stem", "first", "layer", "decoder")] == [9, 108, 36, 27]
    assert len({unit.key for unit in space.units}) == len(space.units)
    assert all(side % 32 == 0 for scale in space.scales for side in scale)


@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_canonical_form_is_one_spelling_of_one_network(seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 3, size=(20, 29))
    canonical = TINY.canonical(raw)
    np.testing.assert_array_equal(TINY.canonical(canonical), canonical)
    np.testing.assert_array_equal(TINY.unit_indices(canonical), TINY.unit_indices(raw))
    for before, after in zip(raw, canonical, strict=True):
        assert TINY.decode(before) == TINY.decode(after)


@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_different_canonical_encodings_are_different_networks(seed: int) -> None:
    """Flip one active digit: the network changes."""
    rng = np.random.default_rng(seed)
    x = TINY.sample(1, rng)[0]
    digit = int(rng.integers(29))
    y = x.copy()
    y[digit] = (y[digit] + 1 + rng.integers(2)) % 3
    if (TINY.canonical(y)[0] != x).any():
        assert TINY.decode(y).units != TINY.decode(x).units


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_units_fit_together(seed: int) -> None:
    """Each unit takes what the one before gives, and the vectorised rows name the decoded units."""
    x = PAPER.sample(1, np.random.default_rng(seed))[0]
    architecture = PAPER.decode(x)
    layers = architecture.units[:-1]
    for before, after in itertools.pairwise(layers):
        assert after.input_shapes == (before.output_shape,)
    ends = [list(stage)[-1].output_shape for stage in architecture.stages()]
    assert architecture.decoder.input_shapes == ((3, *architecture.input_hw), *ends[1:])
    rows = [row for row in PAPER.unit_indices(x)[0] if row < len(PAPER.units)]
    assert tuple(PAPER.units[row] for row in rows) == architecture.units
    assert architecture.encoding == tuple(x)


def test_every_unit_is_reached_by_some_network() -> None:
    rows = TINY.unit_indices(TINY.sample(3000, np.random.default_rng(0)))
    assert set(np.unique(rows)) == set(range(len(TINY.units) + 1))


def test_largest_and_smallest() -> None:
    assert TINY.decode(TINY.smallest()).input_hw == TINY.scales[0]
    assert TINY.decode(TINY.largest()).input_hw == TINY.scales[-1]
    assert TINY.decode(TINY.largest(scale=1)).input_hw == TINY.scales[1]
    assert TINY.decode(TINY.smallest()).depths == (2, 2, 4, 2)
    assert TINY.decode(TINY.largest()).depths == (4, 4, 6, 4)


@given(cardinalities=st.lists(st.integers(1, 6), min_size=1, max_size=12), n=st.integers(1, 20), seed=seeds)
def test_one_hot_of_any_digits(cardinalities: list[int], n: int, seed: int) -> None:
    space = DigitSpace(cardinalities)
    X = space.sample(n, np.random.default_rng(seed))
    hot = space.one_hot(X)
    assert hot.shape == (n, sum(cardinalities))
    np.testing.assert_array_equal(hot.sum(axis=1), len(cardinalities))
    start = np.concatenate([[0], np.cumsum(cardinalities)[:-1]])
    assert (np.take_along_axis(hot, X + start, axis=1) == 1).all()
    assert space.count() == np.prod(cardinalities, dtype=object)


def test_sampling_repeats_with_the_seed() -> None:
    first, again = (TINY.sample(10, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    ("X", "said"),
    [
        ([[0] * 28], "29 digits, not 28"),
        ([[0] * 28 + [3]], "digit 28 is 3"),
        ([[0] * 29, [-1] + [0] * 28], "encoding 1: digit 0 is -1"),
        ([[0.5] * 29], "whole numbers"),
        (["a" * 29], "whole numbers"),
        ([[0] * 29, [0] * 28], "whole numbers"),
        ([[float("nan")] * 29], "whole numbers"),
    ],
)
def test_bad_encodings(X: list, said: str) -> None:
    with pytest.raises(UserError, match=said):
        TINY.canonical(X)


def test_space_files(tmp_path) -> None:
    path = tmp_path / "space.json"
    path.write_text(json.dumps({"preset": "paper", "classes": 171, "name": "coco"}))
    space = spaces.load(path)
    assert (space.classes, space.name, space.scales) == (171, "coco", PAPER.scales)
    assert space.fingerprint != PAPER.fingerprint
    assert spaces.load(space.to_dict()).fingerprint == space.fingerprint


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"preset": "huge"}, "unknown preset 'huge'"),
        ({"preset": "tiny", "depth": 3}, "no field 'depth'"),
        ({"name": "x"}, "'scales' is missing"),
        ({"preset": "tiny", "scales": [[100, 128]]}, "100x128: both sides must be multiples of 32"),
        ({"preset": "tiny", "scales": [[96, 128], [96, 128]]}, "small to large"),
        ({"preset": "tiny", "scales": [[192, 256], [96, 128]]}, "small to large"),
        ({"preset": "tiny", "divisor": 8}, "same network"),
        ({"preset": "tiny", "classes": "many"}, "numbers elsewhere"),
        ({"preset": "tiny", "scales": []}, "an input scale"),
    ],
)
def test_bad_spaces(value: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        spaces.load(value)


def test_unknown_preset_or_file(tmp_path) -> None:
    with pytest.raises(UserError, match="unknown space 'huge': name paper or tiny"):
        spaces.load("huge")
    broken = tmp_path / "space.json"
    broken.write_text("{")
    with pytest.raises(UserError, match="damaged or not JSON"):
        spaces.load(broken)
