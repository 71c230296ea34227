"""The other inner search that the paper allows: MOEA/D, one network for each of many weightings of the objectives."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from search.compiled import compiled
from search.evolution.initialisation import IntArray, distinct, enumerable, everything
from search.evolution.nsga2 import evaluated, first_population, fitness
from search.evolution.problem import Candidates, FloatArray, Problem

NEIGHBOURS = 20
LOCAL = 0.9  # share of the children whose parents are neighbours
REPLACED = 2  # at most so many networks give way to one child


def candidates(
    problem: Problem, *, population: int, generations: int, start: IntArray, rng: np.random.Generator
) -> Candidates:
    """The networks worth considering: the best found for each weighting, by Tchebycheff's distance to the ideal.

    The arguments are those of `nsga2.candidates`. All children of a generation are evaluated together.
    """
    space = problem.space
    if enumerable(space, limit=population * generations):
        return evaluated(problem, everything(space))
    genes = first_population(space, population, start, rng)
    genes = genes[rng.permutation(len(genes))]
    F, V = fitness(problem, space.canonical(genes))
    weights = _weights(len(genes), F.shape[1], rng)
    distance = np.linalg.norm(weights[:, None] - weights[None], axis=2)
    near = np.argsort(distance, axis=1, kind="stable")[:, :NEIGHBOURS]
    for _ in range(generations - 1):
        reach = _reach(near, rng)
        children = _children(genes, reach, np.array(space.cardinalities), rng)
        of_children, outside = fitness(problem, space.canonical(children))
        run = np.isfinite(np.concatenate([V, outside]))
        both = np.concatenate([F, of_children])[run] if run.any() else np.zeros((1, F.shape[1]))
        best, span = both.min(axis=0), np.maximum(np.ptp(F, axis=0), 1e-12)
        _replace(genes, F, V, children, of_children, outside, weights / span, best, reach)
    return evaluated(problem, distinct(space.canonical(genes)))


def _weights(n: int, m: int, rng: np.random.Generator) -> FloatArray:
    """n weightings of m objectives, (n, m): the largest even lattice of at most n, the rest at random."""
    parts = 1
    while math.comb(parts + m, m - 1) <= n:
        parts += 1
    cuts = np.array(list(itertools.combinations(range(parts + m - 1), m - 1))).reshape(-1, m - 1)
    ends = np.full((len(cuts), 1), parts + m - 1)
    lattice = np.diff(np.concatenate([cuts, ends], axis=1), axis=1, prepend=-1) - 1
    lattice = lattice[:n] / parts
    weights = np.concatenate([lattice, rng.dirichlet(np.ones(m), n - len(lattice))])
    return np.maximum(weights, 1e-3)  # an objective without weight would let its twins drift


def _reach(near: IntArray, rng: np.random.Generator) -> IntArray:
    """For each weighting the places that its child comes from and may go to, in random order, (n, NEIGHBOURS)."""
    reach = rng.permuted(near, axis=1)
    everywhere = rng.random(len(near)) >= LOCAL
    reach[everywhere] = rng.integers(0, len(near), size=(int(everywhere.sum()), near.shape[1]))
    return reach


def _children(genes: IntArray, reach: IntArray, options: IntArray, rng: np.random.Generator) -> IntArray:
    """One child for each weighting, of the first two networks in its reach."""
    one, other = genes[reach[:, 0]], genes[reach[:, 1 % reach.shape[1]]]
    children = np.where(rng.random(one.shape) < 0.5, one, other)
    changed = rng.random(one.shape) * one.shape[1] < 1.0
    step = rng.integers(1, np.maximum(options, 2), size=one.shape)
    result: NDArray[np.int64] = np.where(changed, (children + step) % options, children)
    return result


@compiled
def _replace(
    genes: IntArray,
    F: FloatArray,
    V: FloatArray,
    children: IntArray,
    of_children: FloatArray,
    outside: FloatArray,
    weights: FloatArray,
    best: FloatArray,
    reach: IntArray,
) -> None:
    """Each child takes the place of up to REPLACED networks in its reach that it beats, in place.

    It beats one that is farther outside the constraints, or as far and at a greater weighted distance from `best`.
    """
    for child in range(len(children)):
        replaced = 0
        for i in reach[child]:
            old, new = 0.0, 0.0
            for j in range(F.shape[1]):
                old = max(old, weights[i, j] * (F[i, j] - best[j]))
                new = max(new, weights[i, j] * (of_children[child, j] - best[j]))
            if outside[child] < V[i] or (outside[child] == V[i] and new < old):
                genes[i], F[i], V[i] = children[child], of_children[child], outside[child]
                replaced += 1
                if replaced == REPLACED:
                    break
