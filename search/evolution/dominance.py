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
    return np.sort(order[_first_of_two(F[order]) if F.shape[1] == 2 else _first_of_many(F[order])])


def _first_of_two(F: FloatArray) -> NDArray[np.bool_]:
    """Which rows, in lexical order, no earlier one beats."""
    least_before = np.append(np.inf, np.minimum.accumulate(F[:, 1])[:-1])[: len(F)]
    kept = np.asarray(F[:, 1] < least_before)
    twin = np.append(False, (F[1:] == F[:-1]).all(axis=1))[: len(F)]
    for row in np.flatnonzero(twin):  # a twin stays when its elder does
        kept[row] = kept[row - 1]
    return kept


def _first_of_many(F: FloatArray) -> NDArray[np.int64]:
    """The rows, in lexical order, that no earlier one beats."""
    kept: list[int] = []
    for row, f in enumerate(F):
        others = F[kept]
        if not ((others <= f).all(axis=1) & (others < f).any(axis=1)).any():
            kept.append(row)
    return np.array(kept, dtype=np.int64)


def one_of_each(F: FloatArray, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows without those that promise exactly what an earlier one does (twins teach nothing together)."""
    _, first = np.unique(F[rows], axis=0, return_index=True)
    return rows[np.sort(first)]
