"""Expected hypervolume improvement against pymoo's volumes, against Monte Carlo, and greedy batches by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.indicators.hv import HV

from search.evolution.infill.improvement import contribution, corner, expected, expected_improvement
from search.evolution.infill.pool import Pool


def _volume(points: np.ndarray, end: np.ndarray) -> float:
    inside = points[(points < end).all(axis=1)]
    return float(HV(ref_point=end)(inside)) if len(inside) else 0.0


def _added(point: np.ndarray, known: np.ndarray, end: np.ndarray) -> float:
    return _volume(np.concatenate([known, point[None]]), end) - _volume(known, end)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 4), st.integers(0, 12), st.integers(0, 10_000))
def test_without_spread_it_is_the_volume_added(m: int, known: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    A, F = rng.integers(0, 6, (known, m)).astype(float), rng.integers(0, 6, (5, m)).astype(float)
    end = np.full(m, 5.0)  # some points lie beyond it
    got = expected_improvement(F, np.zeros(5), A, end)
    assert got == pytest.approx([_added(f, A, end) for f in F], abs=1e-9)


@pytest.mark.parametrize("m", [2, 3])
def test_with_spread_it_is_the_mean_of_the_volumes_added(m: int) -> None:
    rng = np.random.default_rng(m)
    A, F = rng.uniform(0, 1, (6, m)), rng.uniform(0, 1, (3, m))
    spread, end = np.array([0.05, 0.2, 0.6]), np.ones(m)
    drawn = F[:, 0] + spread * rng.standard_normal((1000, 3))
    samples = [[_added(np.array([x, *f[1:]]), A, end) for x, f in zip(row, F, strict=True)] for row in drawn]
    error = np.std(samples, axis=0) / np.sqrt(len(samples))
    assert (np.abs(expected_improvement(F, spread, A, end) - np.mean(samples, axis=0)) < 4 * error + 1e-6).all()


@pytest.mark.parametrize("m", [2, 3])
def test_each_of_a_batch_adds_most_beside_those_before(m: int) -> None:
    rng = np.random.default_rng(10 + m)
    pool = Pool(rng.uniform(0, 1, (20, m)), rng.uniform(0.3, 1, (8, m)), None, rng)
    known, end = pool.known, corner(pool)
    for row in contribution(pool, 6):
        added = [_added(f, known, end) for f in pool.objectives]
        assert added[row] == pytest.approx(max(added))
        known = np.concatenate([known, pool.objectives[row : row + 1]])


def test_a_promise_that_is_uncertain_is_worth_more() -> None:
    F, known = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([[0.5, 0.4]])
    assert (expected_improvement(F, np.array([0.0, 0.1]), known, np.ones(2)) > 0).tolist() == [False, True]
    pool = Pool(np.array([[0.51, 0.5], [0.52, 0.5]]), known, np.array([0.01, 0.2]), np.random.default_rng(0))
    assert expected(pool, 1).tolist() == [1]


def test_nothing_known_yet() -> None:
    pool = Pool(np.array([[0.2, 0.8], [0.5, 0.1], [0.6, 0.9]]), np.zeros((0, 2)), None, np.random.default_rng(0))
    assert sorted(contribution(pool, 2)) == [0, 1]
