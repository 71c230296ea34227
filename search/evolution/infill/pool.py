"""What a criterion chooses from: new candidates inside the constraints, and what is known already."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.evolution.initialisation import key
from search.evolution.problem import Candidates, FloatArray, Problem


@dataclass(frozen=True, slots=True)
class Pool:
    """More candidates than may be evaluated."""

    objectives: FloatArray  # (n, m) all minimised
    known: FloatArray  # (a, m) of the networks evaluated so far
    spread: FloatArray | None  # (n,) standard deviation of column 0
    rng: np.random.Generator


def new_candidates(
    problem: Problem, candidates: Candidates, seen: Collection[bytes]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of candidates that may be evaluated and are not in `seen`, one of each network.

    First those inside the constraints, then those outside, the least far first.
    """
    known = set(seen)
    fresh = []
    runs = problem.runs(candidates.encodings) if len(candidates.encodings) else np.zeros(0, dtype=np.bool_)
    for row in np.flatnonzero(runs):
        name = key(candidates.encodings[row])
        if name not in known:
            known.add(name)
            fresh.append(row)
    rows = np.array(fresh, dtype=np.int64)
    violation = candidates.violation[rows]
    outside = rows[violation > 0]
    return rows[violation <= 0], outside[np.argsort(candidates.violation[outside], kind="stable")]
