"""Compiled survival of NSGA-II: fronts by constraint domination, the last of them thinned by crowding."""

from __future__ import annotations

import numpy as np

from search.evolution.compiled import compiled, helper
from search.evolution.initialisation import IntArray
from search.evolution.problem import FloatArray


@helper
def _ranks_of_two(F: FloatArray, ranks: IntArray, rows: IntArray) -> int:
    """Front of each of the rows by two objectives, written to `ranks`; returns how many fronts. O(n log n).

    In the order of column 0, then 1, a row is beaten by a front exactly when that front's last row beats it, and the
    fronts that beat it are the first ones.
    """
    order = rows[np.argsort(F[rows, 1], kind="mergesort")]
    order = order[np.argsort(F[order, 0], kind="mergesort")]
    last = np.empty(len(rows), dtype=np.int64)
    fronts = 0
    for row in order:
        low, high = 0, fronts
        while low < high:
            middle = (low + high) // 2
            tail = last[middle]
            if F[tail, 1] < F[row, 1] or (F[tail, 1] == F[row, 1] and F[tail, 0] < F[row, 0]):
                low = middle + 1
            else:
                high = middle
        ranks[row] = low
        last[low] = row
        fronts = max(fronts, low + 1)
    return fronts


@helper
def _ranks_of_many(F: FloatArray, ranks: IntArray, rows: IntArray) -> int:
    """Front of each of the rows by any number of objectives, written to `ranks`; returns how many fronts. O(n² m).

    In lexical order what beats a row comes before it, so its front is one past the last front that holds such a row.
    """
    order = rows
    for j in range(F.shape[1] - 1, -1, -1):
        order = order[np.argsort(F[order, j], kind="mergesort")]
    fronts = 0
    for i in range(len(order)):
        row, rank = order[i], 0
        for k in range(i):
            other = order[k]
            if ranks[other] < rank:
                continue
            worse, better = False, False
            for j in range(F.shape[1]):
                worse = worse or F[other, j] > F[row, j]
                better = better or F[other, j] < F[row, j]
            if better and not worse:
                rank = ranks[other] + 1
        ranks[row] = rank
        fronts = max(fronts, rank + 1)
    return fronts


@helper
def _ranks(F: FloatArray, V: FloatArray) -> IntArray:
    """Front of every row, from 0: those inside the constraints first, then the others by how far they are outside."""
    ranks = np.zeros(len(F), dtype=np.int64)
    inside = np.flatnonzero(V <= 0)
    fronts = _ranks_of_two(F, ranks, inside) if F.shape[1] == 2 else _ranks_of_many(F, ranks, inside)
    outside = np.flatnonzero(V > 0)
    outside = outside[np.argsort(V[outside], kind="mergesort")]
    for i in range(len(outside)):
        if i > 0 and V[outside[i]] > V[outside[i - 1]]:
            fronts += 1
        ranks[outside[i]] = fronts
    return ranks


@helper
def _neighbours(F: FloatArray, rows: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Places before and after each of the rows in each objective, (m, k), -1 past the ends, and the spans, (m,)."""
    k, m = len(rows), F.shape[1]
    before, after, span = np.full((m, k), -1), np.full((m, k), -1), np.empty(m)
    for j in range(m):
        order = np.argsort(F[rows, j], kind="mergesort")
        before[j, order[1:]] = order[:-1]
        after[j, order[:-1]] = order[1:]
        span[j] = F[rows[order[-1]], j] - F[rows[order[0]], j]
    return before, after, span


@helper
def _distance(F: FloatArray, rows: IntArray, before: IntArray, after: IntArray, span: FloatArray, i: int) -> float:
    """Sum over the objectives of the gap between a row's neighbours, as a share of the span; infinite at the ends."""
    distance = 0.0
    for j in range(F.shape[1]):
        if before[j, i] < 0 or after[j, i] < 0:
            return np.inf
        if span[j] > 0:
            distance += (F[rows[after[j, i]], j] - F[rows[before[j, i]], j]) / span[j]
    return distance


@helper
def _least_crowded(F: FloatArray, rows: IntArray, n: int) -> tuple[IntArray, FloatArray]:
    """Places of n of the rows that are left when the most crowded one goes, again and again, and their distances."""
    before, after, span = _neighbours(F, rows)
    k = len(rows)
    distance = np.empty(k)
    for i in range(k):
        distance[i] = _distance(F, rows, before, after, span, i)
    gone = np.zeros(k, dtype=np.bool_)
    for _ in range(k - n):
        worst = -1
        for i in range(k):
            if not gone[i] and (worst < 0 or distance[i] < distance[worst]):
                worst = i
        gone[worst] = True
        for j in range(F.shape[1]):
            left, right = before[j, worst], after[j, worst]
            if left >= 0:
                after[j, left] = right
            if right >= 0:
                before[j, right] = left
        for j in range(F.shape[1]):
            for i in (before[j, worst], after[j, worst]):
                if i >= 0:
                    distance[i] = _distance(F, rows, before, after, span, i)
    left_over = np.flatnonzero(~gone)
    return left_over, distance[left_over]


@compiled
def survivors(F: FloatArray, V: FloatArray, n: int) -> tuple[IntArray, FloatArray, IntArray]:
    """The n fittest of rows F (N, m) with violations V (N,): their rows, their crowding in their front, their front.

    From the last front that finds room the most crowded go one by one, each time with the distances of those that are
    left: going all at once by the first distances would empty a crowded place instead of thinning it.
    """
    ranks = _ranks(F, V)
    by_rank = np.argsort(ranks, kind="mergesort")
    n = min(n, len(F))
    kept = np.empty(n, dtype=np.int64)
    crowding = np.empty(n)
    start = 0
    while start < n:
        end = start
        while end < len(F) and ranks[by_rank[end]] == ranks[by_rank[start]]:
            end += 1
        rows = by_rank[start:end]
        chosen, distance = _least_crowded(F, rows, min(n, end) - start)
        kept[start : start + len(chosen)] = rows[chosen]
        crowding[start : start + len(chosen)] = distance
        start = end
    return kept, crowding, ranks[kept]
