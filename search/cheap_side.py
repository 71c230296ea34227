"""Networks that are worth an evaluation by all that is known before one: the first sample, and what is drawn later."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mosegnet.common.errors import UserError
from mosegnet.digits import FloatArray, IntArray
from search.evolution.feasible import Found, draw_inside
from search.evolution.initialisation import SearchSpace, bounds, distinct, draw_unseen, key
from search.goals import Goals, described


def first_sample(
    space: SearchSpace, goals: Goals, n: int, first: ArrayLike | None, rng: np.random.Generator
) -> IntArray:
    """Generation 0: the networks that were asked for, both bounds of the space, and random ones, n in all.

    More than n where more were asked for; fewer where no more are inside the limits.

    Raises:
        UserError: no network is inside the limits (says how near one comes), or one asked for is not.
    """
    wanted = np.zeros((0, len(space.cardinalities)), dtype=np.int64)
    if first is not None and len(np.asarray(first)):
        wanted = distinct(space.canonical(first))
        for x in wanted[~goals.runs(wanted)]:
            raise UserError(f"network {x.tolist()} {_why_not(goals, x)}, so it is not evaluated: leave it out")
    ends = bounds(space)
    known = distinct(np.concatenate([wanted, ends[goals.runs(ends)]]))[: max(n, len(wanted))]
    seen, missing = {key(x) for x in known}, max(0, n - len(known))
    if goals.limits:
        found = draw_inside(space, lambda X: outside(goals, X), missing, seen, rng, known)
        if found.violation > 0:
            raise UserError(_unmet(goals, found))
        sample = np.concatenate([known, found.inside])
    else:
        sample = np.concatenate([known, draw_unseen(space, missing, seen, rng, goals.runs)])
    if not len(sample):
        raise UserError("the device can run no network of this space")
    return sample


def drawn(
    space: SearchSpace, goals: Goals, n: int, seen: set[bytes], rng: np.random.Generator, start: IntArray
) -> IntArray:
    """Up to n networks that can be run inside the limits, none of them seen; fewer only when no more are found."""
    if not goals.limits:
        return draw_unseen(space, n, seen, rng, goals.runs)
    return draw_inside(space, lambda X: outside(goals, X), n, seen, rng, start).inside


def outside(goals: Goals, X: IntArray) -> FloatArray:
    """How far networks are outside the limits, (n,); infinity where they cannot be run."""
    return np.where(np.isfinite(goals.costs_of(X)).all(axis=1), goals.violation(X), np.inf)


def _why_not(goals: Goals, x: IntArray) -> str:
    if np.isinf(goals.costs_of(x[None])).any():
        return "cannot be run on this device"
    return f"is outside {_said(goals)} ({described(goals.limits, x)})"


def _unmet(goals: Goals, found: Found) -> str:
    verb = "meets" if found.exact else "was found that meets"
    if not np.isfinite(found.violation):
        return f"no network {verb} {_said(goals)}: relax a requirement"
    return (
        f"no network {verb} {_said(goals)}: the nearest has {described(goals.limits, found.nearest)}, "
        f"{100 * found.violation:.0f} % outside; relax a requirement"
    )


def _said(goals: Goals) -> str:
    return " and ".join(limit.text for limit in goals.limits)
