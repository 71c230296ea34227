"""Algorithm 4, hierarchical pre-screening: the front of the promises first, thinned to evenly spread costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.evolution.dominance import front, one_of_each
from search.evolution.infill.pool import Pool
from search.evolution.infill.uniform import uniform_subset


def hierarchical(pool: Pool, k: int) -> NDArray[np.int64]:
    """The k of the front whose second objective is nearest to uniform, (k,).

    Where the front has fewer than k, the rest are those that promise most accuracy.
    """
    first = one_of_each(pool.objectives, front(pool.objectives))
    if len(first) > k:
        first = first[uniform_subset(pool.objectives[first, 1], k)]
    return filled_up(pool, first, k)


def filled_up(pool: Pool, chosen: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The chosen, and of the others those that promise most accuracy, until there are k."""
    F = pool.objectives
    others = np.setdiff1d(np.arange(len(F)), chosen)
    others = others[np.lexsort((others, F[others, 1], F[others, 0]))]
    return np.concatenate([chosen, others[: k - len(chosen)]])
