"""The area that a front dominates: the one number by which two fronts are compared."""

from __future__ import annotations

from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import ArrayLike

from mosegnet.common.errors import UserError
from search.evolution.pareto import columns, non_dominated


@dataclass(frozen=True, slots=True)
class ReferencePoint:
    """The worst corner: networks less accurate than it, or worse in any cost, add nothing.

    `latency_ms` is of the first cost, whatever that is; `more` are of the others, in order.
    """

    miou: float
    latency_ms: float
    more: tuple[float, ...] = ()

    @property
    def costs(self) -> tuple[float, ...]:
        """Of every cost."""
        return (self.latency_ms, *self.more)


def hypervolume(miou: ArrayLike, latency_ms: ArrayLike, reference: ReferencePoint) -> float:
    """Exact area between the front and the reference point, in mIoU × ms; 0 for no network.

    Two areas can be compared only when they were taken with the same reference point.
    """
    miou, latency_ms = np.asarray(miou, dtype=float), np.asarray(latency_ms, dtype=float)
    inside = (miou > reference.miou) & (latency_ms < reference.latency_ms)
    miou, latency_ms = miou[inside], latency_ms[inside]
    front = non_dominated(miou, latency_ms)
    if not len(front):
        return 0.0
    # By rising latency the accuracy rises too: each network adds a strip from its latency to the reference.
    heights = np.diff(np.concatenate([[reference.miou], miou[front]]))
    return float((heights * (reference.latency_ms - latency_ms[front])).sum())


def hypervolume_of_costs(miou: ArrayLike, costs: ArrayLike, reference: ReferencePoint) -> float:
    """Exact hypervolume of networks with any number of costs, (n,) and (n, c); a NaN accuracy adds nothing.

    With one cost it is `hypervolume`, in mIoU × that cost's unit. With more, every cost is taken as a share of the
    reference, since a product of milliseconds and multiply-adds says nothing: the unit is mIoU.

    Raises:
        UserError: a reference of another number of costs, or one that is not above zero.
    """
    miou, costs = np.asarray(miou, dtype=float), columns(costs)
    corner = np.array(reference.costs)
    if costs.shape[1] != len(corner):
        raise UserError(f"a reference point of {len(corner)} costs for networks of {costs.shape[1]}")
    if len(corner) == 1:
        return hypervolume(miou, costs[:, 0], reference)
    if not (corner > 0).all():
        raise UserError(f"the reference point {list(reference.costs)} must be above zero in every cost")
    inside = (miou > reference.miou) & (costs < corner).all(axis=1)
    if not inside.any():
        return 0.0
    F = np.concatenate([-miou[inside, None], costs[inside] / corner], axis=1)
    return float(moocore.hypervolume(F, ref=np.array([-reference.miou, *np.ones(len(corner))])))
