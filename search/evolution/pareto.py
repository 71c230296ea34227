"""Who is dominated by whom, with accuracy maximised and costs minimised."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.evolution.dominance import front


def non_dominated(miou: ArrayLike, latency_ms: ArrayLike) -> NDArray[np.int64]:
    """Rows that no other row beats, by rising latency; equal pairs stay together, rows with a NaN never count.

    A row beats another when it is at least as good in both objectives and better in one. O(n log n).
    """
    miou, latency_ms = np.asarray(miou, dtype=float), np.asarray(latency_ms, dtype=float)
    rows = np.flatnonzero(~(np.isnan(miou) | np.isnan(latency_ms)))
    rows = rows[np.lexsort((rows, -miou[rows], latency_ms[rows]))]  # by latency, then the more accurate first
    if not len(rows):
        return rows
    best_before = np.concatenate([[-np.inf], np.maximum.accumulate(miou[rows])[:-1]])
    same_as_before = np.concatenate([[False], np.diff(miou[rows]) == 0]) & np.concatenate(
        [[False], np.diff(latency_ms[rows]) == 0]
    )
    kept = miou[rows] > best_before
    for place in np.flatnonzero(same_as_before):  # a twin lives when its elder does
        kept[place] = kept[place - 1]
    return rows[kept]


def non_dominated_by(miou: ArrayLike, costs: ArrayLike) -> NDArray[np.int64]:
    """Rows that no other row beats, of accuracies (n,) and costs (n, c), by rising first cost; a NaN never counts."""
    miou = np.asarray(miou, dtype=float)
    costs = columns(costs)
    if costs.shape[1] == 1:
        return non_dominated(miou, costs[:, 0])
    F = np.concatenate([-miou[:, None], costs], axis=1)
    rows = np.flatnonzero(~np.isnan(F).any(axis=1))
    rows = rows[front(F[rows])]
    return rows[np.lexsort((rows, -miou[rows], costs[rows, 0]))]


def columns(costs: ArrayLike) -> NDArray[np.float64]:
    """One cost (n,) or several (n, c), as (n, c)."""
    costs = np.asarray(costs, dtype=float)
    return costs[:, None] if costs.ndim == 1 else costs
