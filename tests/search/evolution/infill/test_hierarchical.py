"""Algorithm 4: the exact Kolmogorov-Smirnov choice against brute force, and what may never be chosen."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from mosegnet.digits import DigitSpace
from search.evolution.infill import choose
from search.evolution.infill.uniform import uniform_subset
from search.evolution.initialisation import everything, key
from search.evolution.problem import Archive, Candidates, Problem


def _statistic(values: np.ndarray, subset: tuple[int, ...]) -> float:
    span = np.ptp(values) or 1.0
    return float(kstest((values[list(subset)] - values.min()) / span, "uniform").statistic)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40).map(float), min_size=1, max_size=9), st.data())
def test_no_subset_is_nearer_to_uniform(latencies: list[float], data: st.DataObject) -> None:
    values = np.array(latencies)
    k = data.draw(st.integers(1, len(values)))
    chosen = uniform_subset(values, k)
    assert len(set(chosen.tolist())) == k
    best = min(_statistic(values, subset) for subset in itertools.combinations(range(len(values)), k))
    assert _statistic(values, tuple(chosen)) == pytest.approx(best, abs=1e-9)


def test_ties_of_the_statistic_are_spread_evenly() -> None:
    # One lonely value decides the statistic; the others are still the nearest to their quantiles.
    assert uniform_subset(np.arange(9.0), 3).tolist() == [1, 4, 7]
    assert uniform_subset([], 0).tolist() == []
    with pytest.raises(ValueError):
        uniform_subset([1.0], 2)


@pytest.fixture
def space() -> DigitSpace:
    return DigitSpace([3, 3, 3])


def _objectives(X: np.ndarray) -> np.ndarray:
    """Digit 0 earns half as much as the others."""
    return np.stack([-0.1 * X.sum(axis=1) + 0.05 * X[:, 0], X.sum(axis=1) + 1.0], axis=1)


def _chosen(space: DigitSpace, X: np.ndarray, k: int, seen: set[bytes]) -> np.ndarray:
    found = Candidates(X, _objectives(X), np.zeros(len(X)))
    nothing = Archive(np.zeros((0, 3), dtype=np.int64), np.zeros((0, 2)))
    rng = np.random.default_rng(0)
    return choose(
        "hierarchical", Problem(space, _objectives), found, k, seen=seen, archive=nothing, spread=None, rng=rng
    )


def test_front_first_then_the_most_accurate(space: DigitSpace) -> None:
    X = everything(space)
    chosen = _chosen(space, X, 10, set())
    # The front is 0 b c, one of each sum, and beyond their reach 1 2 2 and 2 2 2.
    front = {key(x) for x in chosen[:7]}
    assert sorted(int(x.sum()) for x in chosen[:7]) == list(range(7))
    assert sorted(int(x[0]) for x in chosen[:7]) == [0, 0, 0, 0, 0, 1, 2]
    best = sorted(_objectives(np.array([x for x in X if key(x) not in front]))[:, 0])[:3]
    assert _objectives(chosen[7:])[:, 0] == pytest.approx(best)


@pytest.mark.parametrize(("rows", "k", "seen_rows"), [(27, 4, 0), (27, 4, 20), (5, 8, 3), (0, 6, 6), (9, 30, 4)])
def test_never_a_known_network_nor_one_twice(space: DigitSpace, rows: int, k: int, seen_rows: int) -> None:
    seen = {key(x) for x in everything(space)[:seen_rows]}
    chosen = _chosen(space, np.concatenate([everything(space)[:rows]] * 2), k, seen)
    names = [key(x) for x in chosen]
    assert len(set(names)) == len(names) == min(k, 27 - seen_rows)
    assert seen.isdisjoint(names)
