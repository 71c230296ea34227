"""The inner search: NSGA-II through pymoo over (predicted accuracy, latency), or the whole space where it is small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UniformCrossover

from search.evolution.initialisation import IntArray, SearchSpace, distinct, draw_unseen, enumerable, everything, key

FloatArray = NDArray[np.float64]
Objective = Callable[[IntArray], FloatArray]  # canonical encodings (n, D) -> values (n,)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Networks and what they promise."""

    encodings: IntArray  # (n, D) canonical, distinct
    miou: FloatArray  # (n,) predicted, in whatever scale the surrogate ranks
    latency_ms: FloatArray  # (n,)


_WORST = 1e12  # of both objectives, of a network that cannot be run


def candidates(
    space: SearchSpace,
    miou: Objective,
    latency_ms: Objective,
    *,
    population: int,
    generations: int,
    start: IntArray,
    rng: np.random.Generator,
) -> Candidates:
    """The networks worth considering: NSGA-II's last population, maximising `miou` and minimising `latency_ms`.

    A space with no more spellings than NSGA-II would evaluate is ranked whole instead: exact and cheaper. A network of
    infinite latency cannot be run: any other beats it, and it is no candidate.

    Args:
        population: networks in a generation.
        generations: how many generations, the first sample included.
        start: networks to begin from, (m, D); sampled ones are added until half the population is random.
        rng: decides everything random.
    """
    if enumerable(space, limit=population * generations):
        X = everything(space)
        X = X[np.isfinite(latency_ms(X))]
        return Candidates(X, miou(X), latency_ms(X))
    first = _first_population(space, population, start, rng)
    algorithm = NSGA2(
        pop_size=population,
        sampling=Population.new("X", first),
        crossover=UniformCrossover(),
        mutation=_DigitMutation(space.cardinalities),
        eliminate_duplicates=_SameNetwork(space),
        seed=int(rng.integers(2**31)),
    )
    algorithm.setup(_Digits(space, miou, latency_ms), termination=("n_gen", generations))
    while algorithm.has_next():
        algorithm.next()
    F = algorithm.pop.get("F").astype(np.float64)
    run = F[:, 1] < _WORST
    X, F = space.canonical(algorithm.pop.get("X"))[run], F[run]
    return Candidates(X, -F[:, 0], F[:, 1])


def _first_population(space: SearchSpace, population: int, start: IntArray, rng: np.random.Generator) -> IntArray:
    """Up to half the population from `start` (evenly spread over it), the rest drawn at random, (population, D)."""
    warm = distinct(space.canonical(start)) if len(start) else start
    if len(warm) > population // 2:
        warm = warm[np.unique(np.linspace(0, len(warm) - 1, population // 2).round().astype(int))]
    cold = draw_unseen(space, population - len(warm), {key(x) for x in warm}, rng)
    return np.concatenate([warm.reshape(len(warm), -1), cold]) if len(warm) else cold


class _Digits(Problem):
    """Digits with their two objectives, both minimised as pymoo wants it: -miou, latency_ms."""

    def __init__(self, space: SearchSpace, miou: Objective, latency_ms: Objective) -> None:
        upper = np.array(space.cardinalities) - 1
        super().__init__(n_var=len(upper), n_obj=2, xl=np.zeros_like(upper), xu=upper, vtype=int)
        self._space, self._miou, self._latency_ms = space, miou, latency_ms

    def _evaluate(self, X: IntArray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        # Only what is evaluated is canonical: the inactive genes stay in the population and can come back to life.
        canonical = self._space.canonical(X)
        F = np.stack([-self._miou(canonical), self._latency_ms(canonical)], axis=1)
        F[np.isinf(F[:, 1])] = _WORST
        out["F"] = F


class _DigitMutation(Mutation):
    """Each digit becomes another of its options, all equally likely, with probability 1/D."""

    def __init__(self, cardinalities: list[int]) -> None:
        super().__init__()
        self._options = np.array(cardinalities)

    def _do(self, problem: Problem, X: IntArray, *args: Any, random_state: np.random.Generator, **_: Any) -> IntArray:
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
