"""Who is dominated by whom, with accuracy maximised and latency minimised."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
