"""What every criterion promises, and what sets each apart."""

from __future__ import annotations

import numpy as np
import pytest

from mosegnet.common.errors import UserError
from mosegnet.digits import DigitSpace
from search.evolution.infill import NAMES, check, choose
from search.evolution.infill.binary_ga import hierarchical_ga
from search.evolution.infill.hierarchical import hierarchical
from search.evolution.infill.pool import Pool
from search.evolution.infill.spread_out import gap, latency, survival
from search.evolution.infill.uniform import statistic
from search.evolution.initialisation import everything, key
from search.evolution.problem import Archive, Candidates, Problem

SPACE = DigitSpace([3, 3, 3, 3])
ALL = everything(SPACE)


def _problem(m: int, runs: object = None) -> Problem:
    weights = np.random.default_rng(5).uniform(0.2, 1, (m, 4)) * np.array([-1.0] + [1.0] * (m - 1))[:, None]

    def objectives(X: np.ndarray) -> np.ndarray:
        return np.sin(X @ weights.T) + X @ weights.T

    return Problem(SPACE, objectives, runs=runs or (lambda X: np.ones(len(X), dtype=bool)))  # type: ignore[arg-type]


def _choose(name: str, problem: Problem, rows: list[int], k: int, seen_rows: list[int], seed: int = 0) -> np.ndarray:
    X = ALL[np.array(rows, dtype=int)]
    found = Candidates(X, problem.objectives(X), np.maximum(0.0, X[:, 3] - 1.0))
    known = Archive(ALL[seen_rows], problem.objectives(ALL[seen_rows]))
    spread = np.linspace(0.01, 0.2, len(X))
    seen = {key(x) for x in ALL[seen_rows]}
    rng = np.random.default_rng(seed)
    return choose(name, problem, found, k, seen=seen, archive=known, spread=spread, rng=rng)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("m", [2, 3])
def test_new_distinct_and_as_many_as_there_are(name: str, m: int) -> None:
    problem = _problem(m)
    for rows, k, seen in [
        (list(range(60)), 5, [0, 3, 80]),
        ([*range(20), *range(20)], 8, list(range(17))),  # candidates twice, most of them known: chance fills up
        ([], 4, [1, 2]),
        (list(range(81)), 90, [7, 8]),  # more than the space has
    ]:
        chosen = _choose(name, problem, rows, k, seen)
        names = {key(x) for x in chosen}
        assert len(names) == len(chosen) == min(k, 81 - len(seen))
        assert names.isdisjoint(key(ALL[row]) for row in seen)


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_decides_and_nothing_else(name: str) -> None:
    problem = _problem(2)
    one = _choose(name, problem, list(range(70)), 6, [1], seed=3)
    np.random.seed(1)
    assert (_choose(name, problem, list(range(70)), 6, [1], seed=3) == one).all()


@pytest.mark.parametrize("name", NAMES)
def test_inside_the_constraints_first_and_never_what_may_not_be_evaluated(name: str) -> None:
    problem = _problem(2, runs=lambda X: X[:, 0] < 2)
    chosen = _choose(
        name, problem, list(range(81)), 40, []
    )  # 36 are inside and may be evaluated: digits 0 and 3 below 2
    assert (chosen[:, 0] < 2).all()
    assert (chosen[:36, 3] < 2).all()
    assert (chosen[36:, 3] == 2).all()


def test_an_unknown_criterion_is_told() -> None:
    with pytest.raises(UserError, match="unknown in-fill criterion 'best'"):
        check("best")


def _front(n: int = 40) -> np.ndarray:
    cost = np.sort(np.random.default_rng(8).uniform(0, 1, n) ** 2)
    return np.stack([-np.sqrt(cost), cost], axis=1)


def _pool(F: np.ndarray, known: np.ndarray) -> Pool:
    return Pool(F, known, None, np.random.default_rng(0))


def test_the_binary_ga_comes_near_the_exact_choice() -> None:
    F = _front()
    exact, near = (statistic(F[:, 1], choice(_pool(F, F[:0]), 8)) for choice in (hierarchical, hierarchical_ga))
    chance = statistic(F[:, 1], np.random.default_rng(1).permutation(len(F))[:8])
    assert exact <= near < 0.7 * chance


def test_survival_keeps_the_first_fronts_and_the_ends() -> None:
    F = np.concatenate([_front(), _front() + 0.1])
    chosen = survival(_pool(F, F[:0]), 8)
    assert chosen.max() < 40
    assert {0, 39} <= set(chosen.tolist())


def test_latency_looks_at_nothing_but_the_cost() -> None:
    F = np.stack([np.random.default_rng(0).normal(size=9), np.arange(9.0)], axis=1)
    assert latency(_pool(F, F[:0]), 3).tolist() == [1, 4, 7]


def test_gap_fills_the_widest_gap_first() -> None:
    F = np.stack([-np.arange(11.0), np.arange(11.0)], axis=1)
    assert gap(_pool(F, F[[0, 1, 2, 3, 10]]), 2).tolist()[0] in (6, 7)
    assert sorted(gap(_pool(F, F[[0, 10]]), 3)) in ([2, 5, 7], [2, 5, 8], [3, 5, 8], [3, 5, 7])
