"""Compiled variation of NSGA-II over digits: tournaments, uniform crossover, mutation, and a memory of networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.evolution.compiled import compiled, helper
from search.evolution.initialisation import IntArray
from search.evolution.problem import FloatArray


@helper
def _beats(F: FloatArray, V: FloatArray, a: int, b: int) -> bool:
    """Whether row a constraint-dominates row b: less far outside, or inside both, nowhere worse and somewhere better."""
    if V[a] != V[b]:
        return V[a] < V[b]
    better = False
    for j in range(F.shape[1]):
        if F[a, j] > F[b, j]:
            return False
        if F[a, j] < F[b, j]:
            better = True
    return better


@helper
def _winner(F: FloatArray, V: FloatArray, crowding: FloatArray, a: int, b: int) -> int:
    """Of two rows the one that beats the other, else the less crowded one."""
    if _beats(F, V, a, b):
        return a
    if _beats(F, V, b, a):
        return b
    return a if crowding[a] >= crowding[b] else b


@compiled
def breed(
    genes: IntArray, F: FloatArray, V: FloatArray, crowding: FloatArray, options: IntArray, n: int, rng: Any
) -> IntArray:
    """n children (n, D) of the population `genes` (P, D), in pairs.

    Parents win binary tournaments by dominance, then by crowding; every row enters as many tournaments as any other.
    Each digit goes to one child or the other at random, and becomes another of its `options` with probability 1/D.
    """
    P, D = genes.shape
    children = np.empty((n + n % 2, D), dtype=np.int64)
    order = np.arange(P)
    place = P
    parents = np.empty(2, dtype=np.int64)
    for child in range(0, n, 2):
        for side in range(2):
            if place + 2 > P:
                for i in range(P - 1, 0, -1):
                    j = int(rng.random() * (i + 1))
                    order[i], order[j] = order[j], order[i]
                place = 0
            parents[side] = _winner(F, V, crowding, order[place], order[place + 1])
            place += 2
        for d in range(D):
            swapped = rng.random() < 0.5
            children[child, d] = genes[parents[1 if swapped else 0], d]
            children[child + 1, d] = genes[parents[0 if swapped else 1], d]
    for child in range(n):
        for d in range(D):
            if options[d] > 1 and rng.random() * D < 1.0:
                children[child, d] = (children[child, d] + 1 + int(rng.random() * (options[d] - 1))) % options[d]
    return children[:n]


@compiled
def remember(X: IntArray, marks: NDArray[np.uint64], table: NDArray[np.uint64], wanted: int) -> IntArray:
    """Rows of the first `wanted` encodings X (n, D) that are not in `table` yet, and puts them there.

    A network is known by the exclusive or of the 64-bit `marks` (D, options) of its digits; that two of a million
    share theirs, and the later counts as known, has a chance of one in thirty million. `table` is a hash table with
    open addressing whose length is a power of two; 0 is an empty place.
    """
    rows = np.empty(len(X), dtype=np.int64)
    found = 0
    mask = np.uint64(len(table) - 1)
    for row in range(len(X)):
        if found == wanted:
            break
        name = np.uint64(0)
        for d in range(X.shape[1]):
            name ^= marks[d, X[row, d]]
        place = name & mask
        while table[place] != 0 and table[place] != name:
            place = (place + np.uint64(1)) & mask
        if table[place] == 0:
            table[place] = name
            rows[found] = row
            found += 1
    return rows[:found]
