"""In-fill by how much hypervolume a network would add to the known front, as promised or as expected.

One after another: the network of the greatest improvement is taken for evaluated, and the next is judged beside it (a
believer's batch). It is given the accuracy it promises, raised where that is uncertain: networks alike err alike, and
what could be found near one of a batch is left to it.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray
from pymoo.indicators.hv import HV
from scipy.special import ndtr

from search.evolution.dominance import front
from search.evolution.infill.pool import Pool
from search.evolution.problem import FloatArray

OPTIMISM = 2.0  # deviations by which the accuracy of one taken is raised; 0 crowds a batch into one uncertain place
MARGIN = 0.1  # how far beyond the worst of either front the corner of the hypervolume is, in shares of the span


def contribution(pool: Pool, k: int) -> NDArray[np.int64]:
    """The k that add most hypervolume if they keep their promises, (k,)."""
    return _greedy(pool, np.zeros(len(pool.objectives)), k)


def expected(pool: Pool, k: int) -> NDArray[np.int64]:
    """The k of greatest expected improvement, the accuracy being normal with deviation `spread`, all else exact, (k,).

    Without a spread it is `contribution`.
    """
    return contribution(pool, k) if pool.spread is None else _greedy(pool, pool.spread, k)


def corner(pool: Pool) -> FloatArray:
    """The corner of the hypervolume, (m,): beyond the known front and that of the candidates, so that ends count."""
    both = np.concatenate([pool.known[front(pool.known)], pool.objectives[front(pool.objectives)]])
    worst, best = both.max(axis=0), both.min(axis=0)
    return worst + MARGIN * np.where(worst > best, worst - best, 1.0)


def expected_improvement(F: FloatArray, spread: FloatArray, known: FloatArray, corner: FloatArray) -> FloatArray:
    """Expected hypervolume that each row of F (n, m) adds to the points `known` (a, m), exactly, (n,).

    Column 0 is normal with the row's deviation, all others are certain. For the row's certain values c let A(t) be the
    volume between c and the corner that no known point with column 0 up to t dominates. With column 0 at x the row
    adds the integral of A from x to the corner, and A changes at known points only, so that the expectation is the sum
    over the steps of A · (E[(t' - x)⁺] - E[(t - x)⁺]).
    """
    inside = known[(known < corner).all(axis=1)]
    steps = inside[front(inside)]
    steps = steps[np.argsort(steps[:, 0], kind="stable")]  # (a, m)
    levels = np.append(steps[:, 0], corner[0])  # t of the steps
    shortfall = np.diff(_shortfall(F[:, :1], spread[:, None], levels), axis=1, prepend=0.0)  # (n, a + 1)
    return (shortfall * _undominated(F[:, 1:], steps[:, 1:], corner[1:])).sum(axis=1)


def _shortfall(mean: FloatArray, deviation: FloatArray, level: FloatArray) -> FloatArray:
    """E[(level - x)⁺] for x normal; certain where the deviation is 0."""
    certain = np.maximum(level - mean, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (level - mean) / deviation
        uncertain = (level - mean) * ndtr(z) + deviation * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.where(deviation > 0, np.maximum(uncertain, certain), certain)


def _undominated(C: FloatArray, steps: FloatArray, corner: FloatArray) -> FloatArray:
    """Volume between each row of C (n, m - 1) and the corner that the first j steps leave free, (n, a + 1)."""
    if C.shape[1] == 1:
        least = np.minimum.accumulate(np.append(corner, steps[:, 0]))  # (a + 1,)
        return np.maximum(least - C, 0.0)
    free = np.zeros((len(C), len(steps) + 1))
    volume = HV(ref_point=corner)
    for row, c in enumerate(C):
        if (c >= corner).any():
            continue
        free[row] = np.prod(corner - c)
        for j in range(1, len(steps) + 1):
            free[row, j] -= float(volume(np.maximum(steps[:j], c)))
    return free


def _greedy(pool: Pool, spread: FloatArray, k: int) -> NDArray[np.int64]:
    """The k of greatest improvement, one after another.

    What was taken only takes from the others' improvements: one that is still the greatest when it is computed anew
    is the greatest of all, and the rest need not be.
    """
    F, known, end = pool.objectives, pool.known, corner(pool)
    gains = expected_improvement(F, spread, known, end)
    heap = [(-gain, row, 0) for row, gain in enumerate(gains)]
    heapq.heapify(heap)
    chosen: list[int] = []
    while len(chosen) < k:
        _, row, at = heapq.heappop(heap)
        if at < len(chosen):
            gain = expected_improvement(F[row : row + 1], spread[row : row + 1], known, end)[0]
            heapq.heappush(heap, (-gain, row, len(chosen)))
            continue
        chosen.append(row)
        known = np.concatenate([known, F[row : row + 1]])
        known[-1, 0] -= OPTIMISM * spread[row]
    return np.array(chosen, dtype=np.int64)
