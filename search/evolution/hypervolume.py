"""The area that a front dominates: the one number by which two fronts are compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from search.evolution.pareto import non_dominated


@dataclass(frozen=True, slots=True)
class ReferencePoint:
    """The worst corner: networks less accurate or slower than it add nothing."""

    miou: float
    latency_ms: float


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
