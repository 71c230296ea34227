"""The front, its area, and the networks pointed out on it, against definitions and pymoo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymoo.indicators.hv import HV
from pymoo.mcdm.high_tradeoff import HighTradeoffPoints

from search.evolution.hypervolume import ReferencePoint, hypervolume
from search.evolution.pareto import non_dominated
from search.evolution.tradeoff import choose, tradeoff_values

levels = st.integers(0, 6).map(float)
points = st.lists(st.tuples(levels, levels), max_size=25).map(lambda rows: np.array(rows, dtype=float).reshape(-1, 2))


@given(points)
def test_front_holds_exactly_what_nothing_dominates(rows: np.ndarray) -> None:
    miou, latency = rows.T
    better = (miou[:, None] >= miou) & (latency[:, None] <= latency)
    strictly = (miou[:, None] > miou) | (latency[:, None] < latency)
    expected = np.flatnonzero(~(better & strictly).any(axis=0))
    front = non_dominated(miou, latency)
    assert sorted(front) == expected.tolist()
    assert (np.diff(latency[front]) >= 0).all()
    assert (np.diff(miou[front]) >= 0).all()


def test_failed_networks_are_on_no_front() -> None:
    assert non_dominated([0.5, np.nan, 0.4], [2.0, 0.1, np.nan]).tolist() == [0]
    assert non_dominated([], []).tolist() == []


@given(points)
def test_hypervolume_equals_pymoo(rows: np.ndarray) -> None:
    reference = ReferencePoint(miou=1.0, latency_ms=5.0)
    miou, latency = rows.T
    inside = rows[(miou > 1.0) & (latency < 5.0)]
    expected = HV(ref_point=np.array([-1.0, 5.0]))(inside * [-1, 1]) if len(inside) else 0.0
    assert hypervolume(miou, latency, reference) == pytest.approx(float(expected))


def test_hypervolume_of_two_steps_by_hand() -> None:
    # 0.5 from 1 ms to 4 ms, and 0.2 more from 3 ms to 4 ms; what lies beyond the corner adds nothing
    area = hypervolume([0.5, 0.7, 0.9, 0.2], [1.0, 3.0, 4.5, 2.0], ReferencePoint(0.0, 4.0))
    assert area == pytest.approx(0.5 * 3 + 0.2 * 1)


def _knee() -> tuple[np.ndarray, np.ndarray]:
    """A front of forty networks with one clear knee at row 10."""
    latency = np.linspace(1.0, 5.0, 40)
    miou = np.where(np.arange(40) <= 10, 0.2 + 0.05 * np.arange(40), 0.7 + 0.004 * (np.arange(40) - 10))
    return miou, latency


def test_tradeoff_finds_the_knee() -> None:
    miou, latency = _knee()
    assert 10 in choose(miou, latency)
    assert len(choose(miou, latency)) < 6


def test_tradeoff_values_equal_pymoo_on_a_scaled_front() -> None:
    rng = np.random.default_rng(4)
    latency = np.sort(rng.uniform(0, 1, 60))
    miou = np.sort(rng.uniform(0, 1, 60))
    latency = (latency - latency[0]) / np.ptp(latency)
    miou = (miou - miou[0]) / np.ptp(miou)
    F = np.stack([1 - miou, latency], axis=1)
    theirs = HighTradeoffPoints().do(F)
    ours = tradeoff_values(miou, latency)
    threshold = np.nanmean(ours) + 2 * np.nanstd(ours)
    assert theirs is not None
    assert set(np.flatnonzero(ours >= threshold)) == {int(row) for row in theirs}


@pytest.mark.parametrize(
    ("miou", "latency", "expected"),
    [
        ([], [], []),
        ([0.5], [1.0], [0]),
        ([0.5, 0.6], [1.0, 2.0], [0, 1]),
        ([0.5, 0.5, 0.5], [1.0, 1.0, 1.0], [0, 1, 2]),  # twins only: no trade-off anywhere
        ([0.1, 0.2, 0.3, 0.4, 0.5], [1.0, 2.0, 3.0, 4.0, 5.0], [0, 2, 4]),  # a straight line: ends, then by value
    ],
)
def test_a_front_without_outliers_still_gives_networks(miou: list, latency: list, expected: list) -> None:
    chosen = choose(miou, latency, at_least=3)
    assert len(chosen) == len(expected)
    assert set(chosen) >= set(expected[:1] + expected[-1:])
    assert choose(miou, latency).tolist() == []


@given(points, st.integers(0, 8))
def test_chosen_networks_are_distinct_rows_by_rising_latency(rows: np.ndarray, at_least: int) -> None:
    miou, latency = rows.T
    chosen = choose(miou, latency, at_least)
    assert len(set(chosen.tolist())) == len(chosen) >= min(at_least, len(rows))
    assert (np.diff(latency[chosen]) >= 0).all()
