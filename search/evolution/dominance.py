"""Who is beaten by whom, for any number of objectives, all minimised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.evolution.problem import FloatArray


def front(F: FloatArray) -> NDArray[np.int64]:
    """Rows of F (n, m) that no other row beats, rising; equal rows stay together.

    A row beats another when it is nowhere worse and somewhere better.
    """
    F = np.asarray(F, dtype=float)
    order = np.lexsort(F.T[::-1])  # by column 0, then 1, …: what beats a row comes before it
    kept: list[int] = []
    for row in order:
        others = F[kept]
        if not ((others <= F[row]).all(axis=1) & (others < F[row]).any(axis=1)).any():
            kept.append(int(row))
    return np.sort(np.array(kept, dtype=np.int64))


def one_of_each(F: FloatArray, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows without those that promise exactly what an earlier one does (twins teach nothing together)."""
    _, first = np.unique(F[rows], axis=0, return_index=True)
    return rows[np.sort(first)]
