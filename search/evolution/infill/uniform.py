"""The subset of latencies nearest to uniform: the choice at the heart of Algorithm 4, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.evolution.problem import FloatArray


def uniform_subset(values: ArrayLike, k: int) -> NDArray[np.int64]:
    """Places of the k values whose distribution is nearest to uniform between the least and the greatest, (k,).

    Exact: the subset with the least Kolmogorov-Smirnov statistic and, among those, with the least sum of distances
    to the uniform quantiles. The statistic of k sorted points u in 0..1 is the greatest over i = 1…k of
    max(i/k - u_i, u_i - (i-1)/k), which depends on one point and its rank only, so dynamic programming over the
    sorted values finds the optimum in O(n k). (The paper's supplement approaches it with a binary GA.)
    """
    values = np.asarray(values, dtype=float)
    if not 0 <= k <= len(values):
        raise ValueError(f"cannot choose {k} of {len(values)}")
    order = np.argsort(values, kind="stable")
    u = values[order] - values[order[:1]]
    u = u / (u[-1] if len(u) and u[-1] > 0 else 1.0)
    rank = np.arange(1, k + 1)[:, None]  # (k, 1)
    deviation = np.maximum(rank / k - u, u - (rank - 1) / k) if k else np.zeros((0, len(u)))  # (k, n)
    least = _assign(deviation, np.maximum)[1]
    distance = np.where(deviation <= least, np.abs(u - (rank - 0.5) / max(k, 1)), np.inf)
    return np.sort(order[_assign(distance, np.add)[0]])


def statistic(values: FloatArray, chosen: NDArray[np.int64]) -> float:
    """Kolmogorov-Smirnov statistic of the chosen values against uniform between the least and the greatest of all."""
    k, low, high = len(chosen), values.min(), values.max()
    u = (np.sort(values[chosen]) - low) / (high - low if high > low else 1.0)
    rank = np.arange(1, k + 1)
    return float(np.maximum(rank / k - u, u - (rank - 1) / k).max())


def _assign(cost: FloatArray, combine: np.ufunc) -> tuple[NDArray[np.int64], float]:
    """For costs (k, n), the rising columns j_1 < … < j_k of least combined cost, and that cost.

    `combine` joins the costs along the ranks: `np.add` or `np.maximum`.
    """
    k, n = cost.shape
    if not k:
        return np.zeros(0, dtype=np.int64), 0.0
    came_from = np.zeros((k, n), dtype=np.int64)
    total = cost[0]  # (n,) least combined cost of the ranks so far, the last of them at column j
    for i in range(1, k):
        reach = np.minimum.accumulate(total)  # least of total[:j + 1]
        new_best = np.concatenate([[True], total[1:] < reach[:-1]])
        holder = np.maximum.accumulate(np.where(new_best, np.arange(n), 0))  # the column that attains it
        came_from[i] = np.concatenate([[0], holder[:-1]])
        total = combine(cost[i], np.concatenate([[np.inf], reach[:-1]]))
    last = int(np.argmin(total))
    columns = [last]
    for i in range(k - 1, 0, -1):
        columns.append(int(came_from[i, columns[-1]]))
    return np.array(columns[::-1], dtype=np.int64), float(total[last])
