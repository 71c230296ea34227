"""Choosing from a front afterwards: `latency<=25ms:best miou`, `best latency`, `knee`, `trade-off`."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mosegnet.common.errors import UserError
from mosegnet.digits import FloatArray, IntArray
from search.evolution.tradeoff import knee, tradeoff_values
from search.goals import Goals, described
from search.objectives import Catalogue
from search.requirements import MIOU, limits_of, parse

_GOAL = re.compile(r"(?:(?P<conditions>.*):)?\s*(?P<goal>knee|trade-off|best\s+(?P<best>[a-z]+(?::.+)?))\s*", re.I)
_HOW = "write CONDITION[,CONDITION…]:best NAME, as in 'latency<=25ms:best miou', or knee, or trade-off"


@dataclass(frozen=True, slots=True)
class Networks:
    """A front to choose from."""

    encodings: IntArray  # (n, D)
    miou: FloatArray  # (n,)
    half_ms: FloatArray  # (n,) half-width of the interval of the first table's latency


@dataclass(frozen=True, slots=True)
class Pick:
    """What a choice came to."""

    text: str
    row: int
    tied: tuple[int, ...]  # rows that the device cannot tell from it in what was chosen by, and that lost


def pick(text: str, front: Networks, catalogue: Catalogue, goals: Goals, largest: IntArray) -> Pick:
    """The network of a front that a choice in words means.

    Among networks that the table cannot tell apart in latency, `best latency` takes the most accurate: the difference
    in latency is not known, the one in accuracy was measured.

    Args:
        goals: the run's, for `knee` and `trade-off`.
        largest: the space's largest network (D,), which percentages are of.

    Raises:
        UserError: the words cannot be read, or no network of the front meets the conditions.
    """
    match = _GOAL.fullmatch(text.strip())
    if match is None:
        raise UserError(f"cannot read the choice {text!r}: {_HOW}")
    rows = _meeting(match["conditions"], front, catalogue, largest, text)
    if match["best"] is None:
        return Pick(text, int(rows[_shape(match["goal"].lower(), front, goals, rows)]), ())
    name, _, device = match["best"].partition(":")
    if name.lower() == MIOU:
        return Pick(text, int(rows[np.argmax(front.miou[rows])]), ())
    quantity = catalogue.quantity(name.lower(), device or None)
    values = quantity(front.encodings[rows])
    best = int(np.argmin(values))
    if quantity.name not in (catalogue.quantity("latency").name, "latency"):
        return Pick(text, int(rows[best]), ())
    half_ms = front.half_ms[rows]
    tied = np.flatnonzero(values - half_ms <= values[best] + half_ms[best])
    chosen = tied[np.argmax(front.miou[rows[tied]])]
    return Pick(text, int(rows[chosen]), tuple(int(rows[k]) for k in tied if k != chosen))


def indistinct(latency_ms: FloatArray, half_ms: FloatArray) -> list[list[int]]:
    """For each network, the rows of the others that the device cannot tell from it: their 95 % intervals overlap."""
    low, high = latency_ms - half_ms, latency_ms + half_ms
    overlap = (low[:, None] <= high[None, :]) & (low[None, :] <= high[:, None])
    np.fill_diagonal(overlap, False)
    return [[int(k) for k in np.flatnonzero(row)] for row in overlap]


def _meeting(
    conditions: str | None, front: Networks, catalogue: Catalogue, largest: IntArray, text: str
) -> NDArray[np.int64]:
    """Rows of the front that meet the conditions."""
    words = [one for one in (conditions or "").split(",") if one.strip()]
    limits, least_miou = limits_of([parse(one) for one in words], catalogue.quantity, largest)
    outside = np.maximum(0.0, np.nan_to_num(least_miou - front.miou, neginf=0.0))
    for limit in limits:
        outside = outside + limit.violation(front.encodings)
    rows = np.flatnonzero(outside <= 0)
    if not len(front.miou):
        raise UserError("the front is empty: there is nothing to pick from")
    if not len(rows):
        near = int(np.argmin(outside))
        has = described(limits, front.encodings[near])
        raise UserError(
            f"no network of the front meets {text!r}: the nearest has mIoU {front.miou[near]:.4f}"
            f"{', ' + has if has else ''}; relax a condition"
        )
    return rows


def _shape(goal: str, front: Networks, goals: Goals, rows: NDArray[np.int64]) -> int:
    """The place in `rows` of their knee, or of their best trade-off."""
    miou, costs = front.miou[rows], goals.costs_of(front.encodings[rows])
    if goal == "knee":
        found = knee(miou, costs)
        if found is None:
            raise UserError("these networks have no knee: none lies nearer to the best of everything than the ends do")
        return found
    values = tradeoff_values(miou, costs)
    if np.isnan(values).all():
        raise UserError("no network here trades anything for anything: pick the best of something instead")
    return int(np.nanargmax(values))
