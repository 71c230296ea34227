"""Progressive activation: which phase a training is in, and which networks a step of it draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mosegnet.digits import IntArray
from mosegnet.family import Family
from mosegnet.space import DEPTH, EXPAND, SCALE, SLOTS, STEM_DEPTH, STEM_WIDTH, WIDTH
from search.supernet.recipes import Phase

_KINDS = {
    "depth": (STEM_DEPTH, *DEPTH),
    "expand": tuple(first + k for first, slots in zip(EXPAND, SLOTS, strict=True) for k in range(slots)),
    "width": (STEM_WIDTH, *WIDTH),
    "scale": (SCALE,),
}


def phase_at(phases: Sequence[Phase], progress: float) -> tuple[int, float]:
    """The index of the phase at `progress` of the budget (0 … 1), and the share of the phase that is done."""
    total = sum(phase.share for phase in phases)
    start = 0.0
    for index, phase in enumerate(phases):
        end = start + phase.share / total
        if progress < end - 1e-12 or index == len(phases) - 1:
            return index, min(1.0, max(0.0, (progress - start) / (end - start)))
        start = end
    raise ValueError("a recipe has at least one phase")


def options(space: Family, phase: Phase) -> IntArray:
    """How many options of each digit are active, shape (29,)."""
    active = np.ones(len(space.cardinalities), dtype=np.int64)
    for kind, places in _KINDS.items():
        active[list(places)] = getattr(phase, kind)
    return np.minimum(active, space.cardinalities)


def sample(space: Family, phase: Phase, n: int, rng: np.random.Generator) -> IntArray:
    """Draw n encodings, every active option of a digit as often as the others; canonical, shape (n, 29)."""
    below = rng.integers(0, options(space, phase), size=(n, len(space.cardinalities)))
    return space.canonical(np.array(space.cardinalities) - 1 - below)


def smallest(space: Family, phase: Phase) -> IntArray:
    """The encoding with every digit at its least active option, shape (29,)."""
    found: IntArray = space.canonical(np.array(space.cardinalities) - options(space, phase))[0]
    return found


def schedule(progress: float, warm_up: float, power: float) -> float:
    """Linear warm-up, then polynomial decay to 0; a factor of the learning rate."""
    if progress < warm_up:
        return (progress + 0.01 * warm_up) / warm_up
    return float((1 - (progress - warm_up) / (1 - warm_up)) ** power)
