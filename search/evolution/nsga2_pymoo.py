"""NSGA-II through pymoo, the reference that the compiled one is measured by, and the paper's operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymoo.core.problem
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair

from search.evolution.initialisation import IntArray, SearchSpace, distinct, key
from search.evolution.nsga2 import evaluated, first_population, fitness
from search.evolution.problem import Candidates, Problem

_WORST = 1e12  # violation of a network that cannot be run


def by_rounding(
    problem: Problem, *, population: int, generations: int, start: IntArray, rng: np.random.Generator
) -> Candidates:
    """NSGA-II's last population by simulated binary crossover and polynomial mutation, rounded, pymoo's defaults.

    The arguments are those of `nsga2.candidates`. Two spellings of one network are two for it.
    """
    operators = {
        "crossover": SBX(vtype=float, repair=RoundingRepair()),
        "mutation": PM(vtype=float, repair=RoundingRepair()),
        "eliminate_duplicates": True,
    }
    return _last_population(problem, operators, population, generations, start, rng)


def by_digits(
    problem: Problem, *, population: int, generations: int, start: IntArray, rng: np.random.Generator
) -> Candidates:
    """NSGA-II's last population by uniform crossover and mutation of digits, each network once.

    The arguments are those of `nsga2.candidates`.
    """
    operators = {
        "crossover": UniformCrossover(),
        "mutation": _DigitMutation(problem.space.cardinalities),
        "eliminate_duplicates": _SameNetwork(problem.space),
    }
    return _last_population(problem, operators, population, generations, start, rng)


def _last_population(
    problem: Problem,
    operators: dict[str, Any],
    population: int,
    generations: int,
    start: IntArray,
    rng: np.random.Generator,
) -> Candidates:
    first = Population.new("X", first_population(problem.space, population, start, rng))
    algorithm = NSGA2(pop_size=population, sampling=first, seed=int(rng.integers(2**31)), **operators)
    algorithm.setup(_Digits(problem, first[0].X[None]), termination=("n_gen", generations))
    while algorithm.has_next():
        algorithm.next()
    return evaluated(problem, distinct(problem.space.canonical(algorithm.pop.get("X").astype(np.int64))))


class _Digits(pymoo.core.problem.Problem):
    """Digits with their objectives, and the violation as the one inequality."""

    def __init__(self, problem: Problem, some: IntArray) -> None:
        upper = np.array(problem.space.cardinalities) - 1
        super().__init__(
            n_var=len(upper),
            n_obj=problem.objectives(some).shape[1],
            n_ieq_constr=1,
            xl=np.zeros_like(upper),
            xu=upper,
            vtype=int,
        )
        self._problem = problem

    def _evaluate(self, X: IntArray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        # Only what is evaluated is canonical: the inactive genes stay in the population and can come back to life.
        out["F"], violation = fitness(self._problem, self._problem.space.canonical(X))
        out["G"] = np.minimum(violation, _WORST)[:, None]


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
