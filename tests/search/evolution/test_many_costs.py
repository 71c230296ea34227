"""Fronts, hypervolumes and knees of more than one cost, against what can be counted by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosegnet.common.errors import UserError
from search.evolution.hypervolume import ReferencePoint, hypervolume, hypervolume_of_costs
from search.evolution.pareto import non_dominated, non_dominated_by
from search.evolution.tradeoff import choose, knee, tradeoff_values

CELLS = 4
networks = st.lists(st.tuples(*[st.integers(0, CELLS)] * 3), min_size=1, max_size=7)


@given(networks)
def test_the_hypervolume_is_the_share_of_cells_that_a_network_covers(rows: list[tuple[int, int, int]]) -> None:
    F = np.array(rows)
    miou, costs = F[:, 0] / CELLS, F[:, 1:].astype(float)
    covered = sum(
        any(m > a and x <= b and y <= c for m, x, y in rows) for a, b, c in itertools.product(range(CELLS), repeat=3)
    )
    found = hypervolume_of_costs(miou, costs, ReferencePoint(0.0, CELLS, (CELLS,)))
    assert found == pytest.approx(covered / CELLS**3)


@given(networks)
def test_one_cost_is_the_usual_front_and_area(rows: list[tuple[int, int, int]]) -> None:
    F = np.array(rows, dtype=float)
    reference = ReferencePoint(0.0, 3.5)
    np.testing.assert_array_equal(non_dominated_by(F[:, 0], F[:, 1:2]), non_dominated(F[:, 0], F[:, 1]))
    assert hypervolume_of_costs(F[:, 0], F[:, 1], reference) == hypervolume(F[:, 0], F[:, 1], reference)
    np.testing.assert_array_equal(tradeoff_values(F[:, 0], F[:, 1]), tradeoff_values(F[:, 0], F[:, 1:2]))


@given(networks)
def test_no_network_of_a_front_is_beaten_and_every_other_is(rows: list[tuple[int, int, int]]) -> None:
    F = np.array(rows, dtype=float)
    front = non_dominated_by(F[:, 0], F[:, 1:])
    G = F * [-1, 1, 1]
    beaten = [any((other <= row).all() and (other < row).any() for other in G) for row in G]
    assert sorted(front.tolist()) == [k for k, lost in enumerate(beaten) if not lost]
    assert (np.diff(F[front, 1]) >= 0).all()


def test_a_failed_network_is_on_no_front_and_adds_nothing() -> None:
    miou, costs = [0.5, np.nan], [[1.0, 1.0], [0.0, 0.0]]
    assert non_dominated_by(miou, costs).tolist() == [0]
    assert hypervolume_of_costs(miou, costs, ReferencePoint(0.0, 2.0, (2.0,))) == pytest.approx(0.5 * 0.25)


def test_a_reference_of_another_number_of_costs_is_refused() -> None:
    with pytest.raises(UserError, match="a reference point of 2 costs for networks of 1"):
        hypervolume_of_costs([0.5], [[1.0]], ReferencePoint(0.0, 2.0, (2.0,)))
    with pytest.raises(UserError, match="above zero"):
        hypervolume_of_costs([0.5], [[1.0, 1.0]], ReferencePoint(0.0, 2.0, (0.0,)))


def test_the_knee_is_where_the_front_bulges() -> None:
    miou = np.array([0.0, 0.8, 0.9, 1.0])
    costs = np.array([[0.0, 0.0], [0.1, 0.1], [0.6, 0.5], [1.0, 1.0]])
    assert knee(miou, costs) == 1
    assert knee([0.0, 1.0], [0.0, 1.0]) is None
    assert knee([], []) is None
    assert {0, 3} <= set(choose(miou, costs, at_least=3).tolist())
