"""In-fill: which of the inner search's candidates deserve an evaluation, by one criterion or another."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from mosegnet.common.errors import UserError
from search.evolution.infill.binary_ga import hierarchical_ga
from search.evolution.infill.hierarchical import hierarchical
from search.evolution.infill.improvement import contribution, expected
from search.evolution.infill.pool import Pool, new_candidates
from search.evolution.infill.spread_out import gap, latency, survival
from search.evolution.initialisation import IntArray, draw_unseen, key
from search.evolution.problem import Archive, Candidates, FloatArray, Problem

__all__ = ["DEFAULT", "NAMES", "check", "choose"]

_CRITERIA: dict[str, Callable[[Pool, int], NDArray[np.int64]]] = {
    "hierarchical": hierarchical,
    "hierarchical-ga": hierarchical_ga,
    "survival": survival,
    "contribution": contribution,
    "latency": latency,
    "gap": gap,
    "ehvi": expected,
}
NAMES = tuple(_CRITERIA)
DEFAULT = "contribution"  # of all found most from few evaluations: benchmarks/infill.py


def check(name: str) -> None:
    """Whether there is such a criterion.

    Raises:
        UserError: there is not.
    """
    if name not in _CRITERIA:
        raise UserError(f"unknown in-fill criterion {name!r}: choose one of {', '.join(NAMES)}")


def choose(
    name: str,
    problem: Problem,
    candidates: Candidates,
    k: int,
    *,
    seen: Collection[bytes],
    archive: Archive,
    spread: FloatArray | None,
    rng: np.random.Generator,
) -> IntArray:
    """Up to k networks to evaluate next, distinct, none of them in `seen`, shape (m, D).

    The criterion chooses among the new candidates inside the constraints. Where these are fewer than k, those least
    far outside join, and where the candidates run out, networks drawn at random; m < k only when the space is used up.

    Args:
        seen: keys of canonical encodings that were asked for or evaluated before.
        archive: what is known; its front is what a new network must improve on.
        spread: standard deviation of the candidates' column 0, (n,); None where the surrogate gives none.
        rng: decides everything random.

    Raises:
        UserError: an unknown criterion.
    """
    check(name)
    inside, outside = new_candidates(problem, candidates, seen)
    rows = inside
    if len(inside) > k:
        deviation = None if spread is None else spread[inside]
        rows = inside[_CRITERIA[name](Pool(candidates.objectives[inside], archive.objectives, deviation, rng), k)]
    picked = candidates.encodings[np.concatenate([rows, outside[: k - len(rows)]])]
    drawn = draw_unseen(problem.space, k - len(picked), {*seen, *(key(x) for x in picked)}, rng, problem.runs)
    return np.concatenate([picked, drawn])
