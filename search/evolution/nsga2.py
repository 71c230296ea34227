"""The inner search: NSGA-II over the predicted objectives, or the whole space where it is small."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymoo.core.problem
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.operators.crossover.ux import UniformCrossover

from search.evolution.initialisation import IntArray, SearchSpace, distinct, draw_unseen, enumerable, everything, key
from search.evolution.problem import Candidates, Problem

_WORST = 1e12  # of all objectives, of a network that cannot be run


def candidates(
    problem: Problem, *, population: int, generations: int, start: IntArray, rng: np.random.Generator
) -> Candidates:
    """The networks worth considering: NSGA-II's last population.

    A space with no more spellings than NSGA-II would evaluate is ranked whole instead: exact and cheaper. A network
    that cannot be run is no candidate.

    Args:
        population: networks in a generation.
        generations: how many generations, the first sample included.
        start: networks to begin from, (m, D); sampled ones are added until half the population is random.
        rng: decides everything random.
    """
    if enumerable(problem.space, limit=population * generations):
        return evaluated(problem, everything(problem.space))
    first = first_population(problem.space, population, start, rng)
    algorithm = NSGA2(
        pop_size=population,
        sampling=Population.new("X", first),
        crossover=UniformCrossover(),
        mutation=_DigitMutation(problem.space.cardinalities),
        eliminate_duplicates=_SameNetwork(problem.space),
        seed=int(rng.integers(2**31)),
    )
    algorithm.setup(_Digits(problem, first[:1]), termination=("n_gen", generations))
    while algorithm.has_next():
        algorithm.next()
    return evaluated(problem, distinct(problem.space.canonical(algorithm.pop.get("X"))))


def evaluated(problem: Problem, X: IntArray) -> Candidates:
    """Those of the canonical, distinct networks X that can be run, with what they promise."""
    F = problem.objectives(X)
    run = np.isfinite(F).all(axis=1)
    X, F = X[run], F[run]
    return Candidates(X, F, problem.violation(X))


def first_population(space: SearchSpace, population: int, start: IntArray, rng: np.random.Generator) -> IntArray:
    """Up to half the population from `start` (evenly spread over it), the rest drawn at random, (population, D)."""
    warm = distinct(space.canonical(start)) if len(start) else start
    if len(warm) > population // 2:
        warm = warm[np.unique(np.linspace(0, len(warm) - 1, population // 2).round().astype(int))]
    cold = draw_unseen(space, population - len(warm), {key(x) for x in warm}, rng)
    return np.concatenate([warm.reshape(len(warm), -1), cold]) if len(warm) else cold


class _Digits(pymoo.core.problem.Problem):
    """Digits with their objectives, and the violation as the one inequality."""

    def __init__(self, problem: Problem, some: IntArray) -> None:
        upper = np.array(problem.space.cardinalities) - 1
        objectives = problem.objectives(some).shape[1]
        super().__init__(
            n_var=len(upper), n_obj=objectives, n_ieq_constr=1, xl=np.zeros_like(upper), xu=upper, vtype=int
        )
        self._problem = problem

    def _evaluate(self, X: IntArray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        # Only what is evaluated is canonical: the inactive genes stay in the population and can come back to life.
        canonical = self._problem.space.canonical(X)
        F = self._problem.objectives(canonical)
        runs = np.isfinite(F).all(axis=1)
        out["F"] = np.where(runs[:, None], F, _WORST)
        out["G"] = np.where(runs, self._problem.violation(canonical), _WORST)[:, None]


class _DigitMutation(Mutation):
    """Each digit becomes another of its options, all equally likely, with probability 1/D."""

    def __init__(self, cardinalities: list[int]) -> None:
        super().__init__()
        self._options = np.array(cardinalities)

    def _do(self, problem: Any, X: IntArray, *args: Any, random_state: np.random.Generator, **_: Any) -> IntArray:
        changed = random_state.random(X.shape) < 1.0 / X.shape[1]
        step = random_state.integers(1, np.maximum(self._options, 2), size=X.shape)
        return np.where(changed, (X + step) % self._options, X)


class _SameNetwork(DuplicateElimination):
    """Two spellings of one network are duplicates: the later goes."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self._space = space

    def _do(self, pop: Population, other: Population | None, is_duplicate: NDArray[np.bool_]) -> NDArray[np.bool_]:
        known = set() if other is None else set(self._keys(other))
        for row, name in enumerate(self._keys(pop)):
            is_duplicate[row] = name in known
            if other is None:
                known.add(name)
        return is_duplicate

    def _keys(self, pop: Population) -> list[bytes]:
        return [key(x) for x in self._space.canonical(pop.get("X"))] if len(pop) else []
