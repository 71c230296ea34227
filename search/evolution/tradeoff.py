"""Which networks of a front to look at first: those where going elsewhere costs most (equations 9 and 10)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.evolution.pareto import columns

FloatArray = NDArray[np.float64]

RADIUS = 0.125  # neighbours, on objectives scaled to 0..1
NEIGHBOURS_EACH = 2  # for each objective, at least
DEVIATIONS = 2.0


def tradeoff_values(miou: ArrayLike, costs: ArrayLike) -> FloatArray:
    """Trade-off of every network of a front, shape (n,): what is lost per unit won by moving to a neighbour.

    `costs` is the latency, (n,), or every cost, (n, c). Equation 9: with the objectives scaled to 0..1 and minimised,
    the trade-off from i to j is the sum of the objectives' losses over the sum of their gains. Equation 10: the value
    of i is the least over its neighbours, those within RADIUS, or the nearest two for each objective. Large where
    every way on is a bad bargain: a knee. A network with no neighbour that wins anything (an exact twin, a front of
    one) has NaN.
    """
    F = scaled(miou, costs)
    values = np.full(len(F), np.nan)
    distances = np.linalg.norm(F[:, None] - F[None, :], axis=2)
    for i in range(len(F)):
        difference = F[_neighbours(distances[i], i, NEIGHBOURS_EACH * F.shape[1])] - F[i]
        loss = np.maximum(0.0, difference).sum(axis=1)
        gain = np.maximum(0.0, -difference).sum(axis=1)
        if (gain > 0).any():
            values[i] = (loss[gain > 0] / gain[gain > 0]).min()
    return values


def choose(miou: ArrayLike, costs: ArrayLike, at_least: int = 0) -> NDArray[np.int64]:
    """Rows of a front worth a closer look, by rising first cost (the latency, where the costs are one).

    The networks whose trade-off value lies above the mean by two standard deviations. Where these are fewer than
    `at_least`, the least in each cost and the most accurate join, then the next by value, until there are enough or
    all are in.
    """
    miou = np.asarray(miou, dtype=float)
    costs = columns(costs)
    values = tradeoff_values(miou, costs)
    known = values[~np.isnan(values)]
    chosen: list[int] = []
    if len(known) and known.std() > 0:
        chosen = [int(i) for i in np.flatnonzero(values > known.mean() + DEVIATIONS * known.std())]
    if len(chosen) < at_least and len(miou):
        ends = [int(np.lexsort((-miou, cost))[0]) for cost in costs.T]
        ends.append(int(np.lexsort((costs[:, 0], -miou))[0]))
        by_value = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")
        for i in [*ends, *(int(row) for row in by_value)]:
            if len(chosen) >= at_least:
                break
            if i not in chosen:
                chosen.append(i)
    rows = np.array(chosen, dtype=np.int64)
    return rows[np.argsort(costs[rows, 0], kind="stable")]


def knee(miou: ArrayLike, costs: ArrayLike) -> int | None:
    """The row of a front that bulges furthest from the plane through its ends; None where nothing bulges.

    With the objectives scaled to 0..1 over the front that is the least sum of them, where it is below 1.
    """
    F = scaled(miou, costs)
    if not len(F):
        return None
    total = F.sum(axis=1)
    row = int(np.argmin(total))
    return row if total[row] < 1.0 else None


def scaled(miou: ArrayLike, costs: ArrayLike) -> FloatArray:
    """The objectives minimised and in 0..1 over the front, shape (n, 1 + c); a constant one becomes 0."""
    miou = np.asarray(miou, dtype=float)
    F = np.concatenate([-miou[:, None], columns(costs)], axis=1)
    if not len(F):
        return F
    span = F.max(axis=0) - F.min(axis=0)
    return (F - F.min(axis=0)) / np.where(span > 0, span, 1.0)


def _neighbours(distance: FloatArray, i: int, at_least: int) -> NDArray[np.int64]:
    """Rows within RADIUS of row i, itself left out; the nearest `at_least` where those are fewer."""
    order = np.argsort(distance, kind="stable")
    order = order[order != i]
    return order[: max(at_least, int((distance[order] <= RADIUS).sum()))]
