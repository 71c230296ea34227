"""The inner search: NSGA-II over the predicted objectives, compiled, or the whole space where it is small.

Two details decide how much a generation brings: the inactive genes of a network stay in the population and can come
back to life, while only canonical encodings are evaluated and told apart; and no generation holds a network twice.
"""

from __future__ import annotations

import math

import numpy as np

from search.evolution.initialisation import IntArray, SearchSpace, distinct, draw_unseen, enumerable, everything, key
from search.evolution.problem import Candidates, FloatArray, Problem
from search.evolution.survival import survivors
from search.evolution.variation import breed, unlike

_FRUITLESS_BATCHES = 20


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
    space = problem.space
    if enumerable(space, limit=population * generations):
        return evaluated(problem, everything(space))
    genes = first_population(space, population, start, rng)
    X = space.canonical(genes)
    F, V = fitness(problem, X)
    kept, crowding, _ = survivors(F, V, population)
    genes, X, F, V = genes[kept], X[kept], F[kept], V[kept]
    nursery = _Nursery(space, population, rng)
    for _ in range(generations - 1):
        children, new = nursery.children(genes, X, F, V, crowding)
        if not len(new):
            break  # everything there is, is in the population
        of_new, outside = fitness(problem, new)
        genes, X = np.concatenate([genes, children]), np.concatenate([X, new])
        F, V = np.concatenate([F, of_new]), np.concatenate([V, outside])
        kept, crowding, _ = survivors(F, V, population)
        genes, X, F, V = genes[kept], X[kept], F[kept], V[kept]
    run = np.isfinite(V)
    return Candidates(X[run], F[run], V[run])


def evaluated(problem: Problem, X: IntArray) -> Candidates:
    """Those of the canonical, distinct networks X that can be run, with what they promise."""
    F, V = fitness(problem, X)
    run = np.isfinite(V)
    return Candidates(X[run], F[run], V[run])


def fitness(problem: Problem, X: IntArray) -> tuple[FloatArray, FloatArray]:
    """Objectives (n, m) and violation (n,) of canonical encodings; a violation of infinity: it cannot be run."""
    F, V = problem.objectives(X), problem.violation(X)
    stopped = np.asarray(~np.isfinite(F).all(axis=1))
    if stopped.any():
        F, V = np.where(stopped[:, None], 0.0, F), np.where(stopped, np.inf, V)
    return F, V


def first_population(space: SearchSpace, population: int, start: IntArray, rng: np.random.Generator) -> IntArray:
    """Up to half the population from `start` (evenly spread over it), the rest drawn at random, (population, D)."""
    warm = distinct(space.canonical(start)) if len(start) else start
    if len(warm) > population // 2:
        warm = warm[np.unique(np.linspace(0, len(warm) - 1, population // 2).round().astype(int))]
    cold = draw_unseen(space, population - len(warm), {key(x) for x in warm}, rng)
    return np.concatenate([warm.reshape(len(warm), -1), cold]) if len(warm) else cold


class _Nursery:
    """Where a population's children are bred that are like none of it nor one another."""

    def __init__(self, space: SearchSpace, population: int, rng: np.random.Generator) -> None:
        self._space, self._population, self._rng = space, population, rng
        self._options = np.array(space.cardinalities, dtype=np.int64)
        fixed = np.random.default_rng(0)  # marks tell digits apart; they decide nothing
        self._marks = fixed.integers(1, 2**64, size=(len(self._options), self._options.max()), dtype=np.uint64)
        self._accepted = 0.5  # share of the children that were new lately

    def children(
        self, genes: IntArray, X: IntArray, F: FloatArray, V: FloatArray, crowding: FloatArray
    ) -> tuple[IntArray, IntArray]:
        """Genes and canonical encodings of as many children as the population holds, fewer where few are possible."""
        bred, canonical = genes[:0], X[:0]
        fruitless = 0
        while len(bred) < self._population and fruitless < _FRUITLESS_BATCHES:
            missing = self._population - len(bred)
            batch = breed(genes, F, V, crowding, self._options, math.ceil(1.2 * missing / self._accepted), self._rng)
            offered = self._space.canonical(batch)
            rows = unlike(np.concatenate([X, canonical]), offered, self._marks, missing)
            tried = rows[-1] + 1 if len(rows) == missing else len(batch)
            self._accepted = max(0.1, 0.8 * self._accepted + 0.2 * len(rows) / tried)
            bred, canonical = np.concatenate([bred, batch[rows]]), np.concatenate([canonical, offered[rows]])
            fruitless = 0 if len(rows) else fruitless + 1
        return bred, canonical
