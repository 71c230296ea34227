"""Algorithm 4 as the paper's supplement does it: a genetic algorithm over which candidates to take, in pymoo."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem

from search.evolution.dominance import front, one_of_each
from search.evolution.infill.hierarchical import filled_up
from search.evolution.infill.pool import Pool
from search.evolution.infill.uniform import statistic
from search.evolution.problem import FloatArray

POPULATION, GENERATIONS = 100, 60

Masks = NDArray[np.bool_]


def hierarchical_ga(pool: Pool, k: int) -> NDArray[np.int64]:
    """As `hierarchical`, but the even costs are only approached, (k,)."""
    first = one_of_each(pool.objectives, front(pool.objectives))
    if len(first) > k:
        first = first[_evenly_spread(pool.objectives[first, 1], k, pool.rng)]
    return filled_up(pool, first, k)


def _evenly_spread(values: FloatArray, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    start = np.argsort(rng.random((POPULATION, len(values))), axis=1) < k  # k of each row
    algorithm = GA(
        pop_size=POPULATION,
        sampling=Population.new("X", start),
        crossover=_Mix(),
        mutation=_Swap(),
        eliminate_duplicates=True,
        seed=int(rng.integers(2**31)),
    )
    algorithm.setup(_Choice(values), termination=("n_gen", GENERATIONS))
    while algorithm.has_next():
        algorithm.next()
    return np.flatnonzero(algorithm.opt[0].X)


class _Choice(Problem):
    """The statistic of the chosen values, to be minimised."""

    def __init__(self, values: FloatArray) -> None:
        super().__init__(n_var=len(values), n_obj=1, xl=0, xu=1, vtype=bool)
        self._values = values

    def _evaluate(self, X: Masks, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        out["F"] = np.array([statistic(self._values, np.flatnonzero(x)) for x in X])[:, None]


class _Mix(Crossover):
    """A child has what both parents have, and at random of what only one has, as many as they."""

    def __init__(self) -> None:
        super().__init__(2, 1)

    def _do(self, problem: Any, X: Masks, *args: Any, random_state: np.random.Generator, **_: Any) -> Masks:
        both, one = X[0] & X[1], X[0] ^ X[1]
        missing = X[0].sum(axis=1) - both.sum(axis=1)
        order = np.argsort(np.argsort(np.where(one, random_state.random(one.shape), 2.0), axis=1), axis=1)
        return (both | (order < missing[:, None]))[None]


class _Swap(Mutation):
    """One of the chosen goes, one of the others comes."""

    def _do(self, problem: Any, X: Masks, *args: Any, random_state: np.random.Generator, **_: Any) -> Masks:
        X = X.astype(np.bool_)
        noise = random_state.random(X.shape)
        rows = np.arange(len(X))
        out, into = np.where(X, noise, -1.0).argmax(axis=1), np.where(X, -1.0, noise).argmax(axis=1)
        X[rows, out], X[rows, into] = False, True
        return X
