"""The inner search: NSGA-II over the predicted objectives, compiled, or the whole space where it is small.

Two details decide how much a generation brings: the inactive genes of a network stay in the population and can come
back to life, while only canonical encodings are evaluated and told apart; and nothing is evaluated twice in a run.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from search.evolution.initialisation import IntArray, SearchSpace, distinct, draw_unseen, enumerable, everything, key
from search.evolution.problem import Candidates, FloatArray, Problem
from search.evolution.survival import survivors
from search.evolution.variation import breed, remember

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
    nursery = _Nursery(space, population * generations, rng)
    genes = first_population(space, population, start, rng)
    F, V = fitness(problem, nursery.new(genes, len(genes)))
    kept, crowding, _ = survivors(F, V, population)
    genes, F, V = genes[kept], F[kept], V[kept]
    for _ in range(generations - 1):
        children, X = nursery.children(genes, F, V, crowding, population)
        if not len(X):
            break  # the space is used up
        of_children, outside = fitness(problem, X)
        genes, F, V = np.concatenate([genes, children]), np.concatenate([F, of_children]), np.concatenate([V, outside])
        kept, crowding, _ = survivors(F, V, population)
        genes, F, V = genes[kept], F[kept], V[kept]
    run = np.isfinite(V)
    return Candidates(space.canonical(genes[run]), F[run], V[run])


def evaluated(problem: Problem, X: IntArray) -> Candidates:
    """Those of the canonical, distinct networks X that can be run, with what they promise."""
    F, V = fitness(problem, X)
    run = np.isfinite(V)
    return Candidates(X[run], F[run], V[run])


def fitness(problem: Problem, X: IntArray) -> tuple[FloatArray, FloatArray]:
    """Objectives (n, m) and violation (n,) of canonical encodings; a violation of infinity: it cannot be run."""
    F, V = problem.objectives(X), problem.violation(X)
    stopped = ~np.isfinite(F).all(axis=1)
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
    """Where children are bred, and where it is remembered which networks there have been."""

    def __init__(self, space: SearchSpace, networks: int, rng: np.random.Generator) -> None:
        self._space, self._rng = space, rng
        self._options = np.array(space.cardinalities, dtype=np.int64)
        fixed = np.random.default_rng(0)  # marks tell digits apart; they decide nothing
        self._marks = fixed.integers(1, 2**64, size=(len(self._options), self._options.max()), dtype=np.uint64)
        self._known = np.zeros(2 ** (math.ceil(math.log2(networks)) + 1), dtype=np.uint64)
        self._accepted = 0.5  # share of children that were new lately

    def new(self, X: IntArray, wanted: int) -> NDArray[np.int64]:
        return X[remember(X, self._marks, self._known, wanted)]

    def children(
        self, genes: IntArray, F: FloatArray, V: FloatArray, crowding: FloatArray, wanted: int
    ) -> tuple[IntArray, IntArray]:
        """Genes and canonical encodings of up to `wanted` children that never were before."""
        bred: list[IntArray] = []
        canonical: list[IntArray] = []
        missing, fruitless = wanted, 0
        while missing and fruitless < _FRUITLESS_BATCHES:
            n = min(4 * wanted, math.ceil(1.2 * missing / self._accepted))
            batch = breed(genes, F, V, crowding, self._options, n, self._rng)
            X = self._space.canonical(batch)
            rows = remember(X, self._marks, self._known, missing)
            bred.append(batch[rows])
            canonical.append(X[rows])
            missing -= len(rows)
            fruitless = 0 if len(rows) else fruitless + 1
            self._accepted = max(0.1, 0.8 * self._accepted + 0.2 * len(rows) / n)
        return np.concatenate(bred), np.concatenate(canonical)
