"""Compiled survival of NSGA-II: fronts by constraint domination, the last of them thinned by crowding."""

from __future__ import annotations

import numpy as np

from search.compiled import compiled, helper
from search.evolution.initialisation import IntArray
from search.evolution.problem import FloatArray


@helper
def _sort(rows: IntArray, keys: FloatArray, j: int) -> None:
    """Put rows in the rising order of their keys' column j, in place, equal ones as they were: a merge sort.

    (numpy's own sorting and indexing by arrays take the compiler longer than all the rest of this file.)
    """
    n, width = len(rows), 1
    spare = np.empty(n, dtype=np.int64)
    while width < n:
        for start in range(0, n, 2 * width):
            middle, end = min(start + width, n), min(start + 2 * width, n)
            a, b = start, middle
            for place in range(start, end):
                if a < middle and (b >= end or keys[rows[a], j] <= keys[rows[b], j]):
                    spare[place] = rows[a]
                    a += 1
                else:
                    spare[place] = rows[b]
                    b += 1
        for place in range(n):
            rows[place] = spare[place]
        width *= 2


@helper
def _ranks_of_two(F: FloatArray, ranks: IntArray, rows: IntArray) -> int:
    """Front of each of the rows by two objectives, written to `ranks`; returns how many fronts. O(n log n).

    In the order of column 0, then 1, a row is beaten by a front exactly when that front's last row beats it, and the
    fronts that beat it are the first ones.
    """
    _sort(rows, F, 1)
    _sort(rows, F, 0)
    last = np.empty(len(rows), dtype=np.int64)
    fronts = 0
    for row in rows:
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
    for j in range(F.shape[1] - 1, -1, -1):
        _sort(rows, F, j)
    fronts = 0
    for i in range(len(rows)):
        row, rank = rows[i], 0
        for k in range(i):
            other = rows[k]
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
def _ranks(F: FloatArray, V: FloatArray) -> tuple[IntArray, IntArray]:
    """All rows, by fronts, and the front of each row.

    Those inside the constraints come first, then the others by how far they are outside.
    """
    ranks, order = np.zeros(len(F), dtype=np.int64), np.arange(len(F))
    _sort(order, V.reshape(-1, 1), 0)
    inside = 0
    while inside < len(F) and V[order[inside]] <= 0:
        inside += 1
    feasible = order[:inside]
    fronts = _ranks_of_two(F, ranks, feasible) if F.shape[1] == 2 else _ranks_of_many(F, ranks, feasible)
    for i in range(inside, len(F)):
        if i > inside and V[order[i]] > V[order[i - 1]]:
            fronts += 1
        ranks[order[i]] = fronts
    _sort(order, ranks.astype(np.float64).reshape(-1, 1), 0)
    return order, ranks


@helper
def _neighbours(F: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Rows before and after each row in each objective, (m, k), -1 past the ends, and the objectives' spans, (m,)."""
    k, m = F.shape
    before, after, span = np.full((m, k), -1), np.full((m, k), -1), np.empty(m)
    for j in range(m):
        order = np.arange(k)
        _sort(order, F, j)
        for i in range(1, k):
            before[j, order[i]] = order[i - 1]
            after[j, order[i - 1]] = order[i]
        span[j] = F[order[k - 1], j] - F[order[0], j]
    return before, after, span


@helper
def _distance(F: FloatArray, before: IntArray, after: IntArray, span: FloatArray, i: int) -> float:
    """Sum over the objectives of the gap between a row's neighbours, as a share of the span; infinite at the ends."""
    distance = 0.0
    for j in range(F.shape[1]):
        if before[j, i] < 0 or after[j, i] < 0:
            return np.inf
        if span[j] > 0:
            distance += (F[after[j, i], j] - F[before[j, i], j]) / span[j]
    return distance


@helper
def _thin_out(F: FloatArray, n: int) -> FloatArray:
    """Distances of the n rows that are left when the most crowded one goes, again and again; -1 for those that went."""
    before, after, span = _neighbours(F)
    k = len(F)
    distance = np.empty(k)
    for i in range(k):
        distance[i] = _distance(F, before, after, span, i)
    for _ in range(k - n):
        worst = -1
        for i in range(k):
            if distance[i] >= 0 and (worst < 0 or distance[i] < distance[worst]):
                worst = i
        distance[worst] = -1.0
        for j in range(F.shape[1]):
            left, right = before[j, worst], after[j, worst]
            if left >= 0:
                after[j, left] = right
            if right >= 0:
                before[j, right] = left
        for j in range(F.shape[1]):
            for i in (before[j, worst], after[j, worst]):
                if i >= 0:
                    distance[i] = _distance(F, before, after, span, i)
    return distance


@compiled
def survivors(F: FloatArray, V: FloatArray, n: int) -> tuple[IntArray, FloatArray, IntArray]:
    """The n fittest of rows F (N, m) with violations V (N,): their rows, their crowding in their front, their front.

    From the last front that finds room the most crowded go one by one, each time with the distances of those that are
    left: going all at once by the first distances would empty a crowded place instead of thinning it.
    """
    order, ranks = _ranks(F, V)
    n = min(n, len(F))
    kept, crowding, kept_ranks = np.empty(n, dtype=np.int64), np.empty(n), np.empty(n, dtype=np.int64)
    start, found = 0, 0
    while found < n:
        rank, end = ranks[order[start]], start
        while end < len(F) and ranks[order[end]] == rank:
            end += 1
        of_front = np.empty((end - start, F.shape[1]))
        for i in range(end - start):
            of_front[i] = F[order[start + i]]
        distance = _thin_out(of_front, min(n, end) - start)
        for i in range(end - start):
            if distance[i] >= 0:
                kept[found], crowding[found], kept_ranks[found] = order[start + i], distance[i], rank
                found += 1
        start = end
    return kept, crowding, kept_ranks
