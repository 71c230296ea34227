"""In-fill by how well the chosen are spread: survival of NSGA-II, even costs (Figure 9), gaps of the known front."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.evolution.dominance import front
from search.evolution.infill.pool import Pool
from search.evolution.infill.uniform import uniform_subset
from search.evolution.survival import survivors


def survival(pool: Pool, k: int) -> NDArray[np.int64]:
    """The k that NSGA-II would keep: by fronts, of the last one the least crowded, (k,)."""
    return survivors(pool.objectives, np.zeros(len(pool.objectives)), k)[0]


def latency(pool: Pool, k: int) -> NDArray[np.int64]:
    """The k whose second objective is nearest to uniform, whatever else they promise, (k,)."""
    return uniform_subset(pool.objectives[:, 1], k)


def gap(pool: Pool, k: int) -> NDArray[np.int64]:
    """One after another the one of the front that is farthest from the known front and from those chosen, (k,).

    Distances are Euclidean, each objective in shares of its span over both fronts. Where the front has fewer than k,
    all the candidates are looked at.
    """
    F = pool.objectives
    rows = front(F)
    rows = rows if len(rows) >= k else np.arange(len(F))
    known = pool.known[front(pool.known)]
    both = np.concatenate([known, F[rows]])
    span = both.max(axis=0) - both.min(axis=0)
    span[span == 0] = 1.0
    distance = np.full(len(rows), np.inf)
    for point in known:
        distance = np.minimum(distance, np.linalg.norm((F[rows] - point) / span, axis=1))
    chosen: list[int] = []
    for _ in range(k):
        farthest = int(np.argmax(distance))
        chosen.append(farthest)
        distance = np.minimum(distance, np.linalg.norm((F[rows] - F[rows[farthest]]) / span, axis=1))
        distance[chosen] = -1.0
    return rows[chosen]
