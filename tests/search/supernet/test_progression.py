"""Phases: their shares, what each draws from, and the recipes that are made of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from mosegnet.space import DEPTH, EXPAND, SCALE, STEM_DEPTH, WIDTH
from search.supernet import progression, recipes
from search.supernet.recipes import ALL, Phase

PHASES = (Phase("first", 1.0), Phase("second", 3.0, depth=2), Phase("third", 4.0, depth=ALL, expand=2))


@pytest.mark.parametrize(
    ("progress", "index", "within"),
    [(0.0, 0, 0.0), (0.0625, 0, 0.5), (0.125, 1, 0.0), (0.5, 2, 0.0), (0.75, 2, 0.5), (1.0, 2, 1.0)],
)
def test_shares_divide_the_budget(progress: float, index: int, within: float) -> None:
    assert progression.phase_at(PHASES, progress) == (index, pytest.approx(within))


def test_a_phase_draws_from_its_largest_options_alone() -> None:
    space, rng = spaces.load("paper"), np.random.default_rng(0)
    assert set(map(tuple, progression.sample(space, PHASES[0], 5, rng))) == {tuple(space.largest())}
    X = progression.sample(space, PHASES[1], 200, rng)
    for place in (STEM_DEPTH, *DEPTH):
        assert set(X[:, place]) == {1, 2}
    assert set(X[:, SCALE]) == {2}
    assert all(set(X[:, place]) == {2} for place in WIDTH)
    X = progression.sample(space, PHASES[2], 200, rng)
    assert all(set(X[:, place]) == {0, 1, 2} for place in DEPTH)
    assert all(set(X[:, place]) == {1, 2} for place in EXPAND)
    np.testing.assert_array_equal(X, space.canonical(X))


def test_the_smallest_of_a_phase() -> None:
    space = spaces.load("paper")
    everything = Phase("everything", 1.0, depth=ALL, expand=ALL, width=ALL, scale=ALL)
    np.testing.assert_array_equal(progression.smallest(space, everything), space.smallest())
    np.testing.assert_array_equal(progression.smallest(space, PHASES[0]), space.largest())


def test_the_papers_order_of_activation() -> None:
    """Largest, depths, middle widths, output widths, input scales; two phases each; nothing is closed again."""
    phases = recipes.get("paper-cityscapes").phases
    assert sum(phase.share for phase in phases) == pytest.approx(1.0)
    opened = [[kind for kind in ("depth", "expand", "width", "scale") if getattr(p, kind) > 1] for p in phases]
    assert opened[0] == []
    assert opened[-1] == ["depth", "expand", "width", "scale"]
    for one, two in pairwise(phases):
        assert all(getattr(one, kind) <= getattr(two, kind) for kind in ("depth", "expand", "width", "scale"))
    for first, all_of_them in zip(phases[1::2], phases[2::2], strict=True):
        assert first.share < all_of_them.share
        assert first.rate < all_of_them.rate


@pytest.mark.parametrize(
    ("space", "data", "name"),
    [
        ("tiny", "synthetic", "tiny"),
        ("tiny", "imagenet:x", "tiny-imagenet"),
        ("paper", "imagenet:x", "paper-imagenet"),
        ("paper", "cityscapes:x", "paper-cityscapes"),
        ("paper", "voc:x", "paper-voc"),
        ("paper", "folder:x", "paper-cityscapes"),
    ],
)
def test_the_recipe_follows_space_and_data(space: str, data: str, name: str) -> None:
    assert recipes.choose(spaces.load(space), data) == name


def test_recipes_are_changed_by_name() -> None:
    assert recipes.get("tiny", batch=8, precision=None).batch == 8
    with pytest.raises(UserError, match="unknown recipe 'huge': choose one of tiny, "):
        recipes.get("huge")


@pytest.mark.parametrize("warm_up", [0.0, 0.05])
def test_the_schedule_rises_and_falls(warm_up: float) -> None:
    factors = [progression.schedule(progress, warm_up, 0.9) for progress in np.linspace(0, 1, 101)]
    assert max(factors) == pytest.approx(1.0)
    assert factors[-1] == 0.0
    top = int(np.argmax(factors))
    assert factors[:top] == sorted(factors[:top])
    assert factors[top:] == sorted(factors[top:], reverse=True)
