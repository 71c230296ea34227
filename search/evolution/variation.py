"""Compiled variation of NSGA-II over digits: tournaments, uniform crossover, mutation, and a memory of networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.compiled import compiled, helper
from search.evolution.initialisation import IntArray
from search.evolution.problem import FloatArray

CROSSOVER = 0.5  # share of the pairs that mix; of 1, .9, .7 and .5 the last two are quickest by far on 29 digits


@helper
def _beats(F: FloatArray, V: FloatArray, a: int, b: int) -> bool:
    """Whether row a constraint-dominates row b: less far outside, or as far, nowhere worse and somewhere better."""
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
    In half of the pairs each digit goes to one child or the other at random, in the others the children begin as
    copies; then every digit becomes another of its `options` with probability 1/D.
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
            parents[side] = _winner(F, V, crowding, int(order[place]), int(order[place + 1]))
            place += 2
        mixed = rng.random() < CROSSOVER
        for d in range(D):
            swapped = mixed and rng.random() < 0.5
            children[child, d] = genes[parents[1 if swapped else 0], d]
            children[child + 1, d] = genes[parents[0 if swapped else 1], d]
    for child in range(n):
        for d in range(D):
            if options[d] > 1 and rng.random() * D < 1.0:
                children[child, d] = (children[child, d] + 1 + int(rng.random() * (options[d] - 1))) % options[d]
    return children[:n]


@helper
def _place(x: IntArray, marks: NDArray[np.uint64], table: NDArray[np.uint64]) -> tuple[np.uint64, np.uint64]:
    """Where encoding x is in the hash table or has its empty place, and its name."""
    name = np.uint64(0)
    for d in range(len(x)):
        name ^= marks[d, x[d]]
    mask = np.uint64(len(table) - 1)
    place = name & mask
    while table[place] != 0 and table[place] != name:
        place = (place + np.uint64(1)) & mask
    return place, name


@compiled
def unlike(known: IntArray, X: IntArray, marks: NDArray[np.uint64], wanted: int) -> IntArray:
    """Rows of the first `wanted` encodings X (n, D) that are neither in `known` (P, D) nor earlier in X.

    An encoding goes by the exclusive or of the random 64-bit `marks` (D, options) of its digits. That two of a million
    share theirs, so that the later passes for known, has a chance of one in thirty million.
    """
    size = 4
    while size < 2 * (len(known) + len(X)):
        size *= 2
    table = np.zeros(size, dtype=np.uint64)  # open addressing, 0 is an empty place
    for row in range(len(known)):
        place, name = _place(known[row], marks, table)
        table[place] = name
    rows = np.empty(len(X), dtype=np.int64)
    found = 0
    for row in range(len(X)):
        if found == wanted:
            break
        place, name = _place(X[row], marks, table)
        if table[place] == 0:
            table[place] = name
            rows[found] = row
            found += 1
    return rows[:found]
