"""Our figure beside another tool's for the same model: do the two measure the same thing."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from mosegnet.common.errors import UserError
from profiler.elsewhere import estimate
from profiler.imports import Imported
from profiler.visits import Estimate

AGREEMENT = 0.02


@dataclass(frozen=True, slots=True)
class Against:
    """Our latency over theirs with its 95 % interval, and whether they agree within `AGREEMENT`."""

    tool: str
    clock: str
    latency_ms: float
    their_ms: float
    ratio: float
    low: float
    high: float
    agrees: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}


def against(ours: Estimate, clock: str, theirs: Imported) -> Against:
    """Compare a measurement with one that was read from a file.

    Raises:
        UserError: they are of different clocks, or theirs has no spread.
    """
    if theirs.clock != clock:
        raise UserError(
            f"this device is timed by the {clock} clock, {theirs.tool} by the {theirs.clock} clock: their figures do "
            "not compare"
        )
    other = estimate(theirs.name, [theirs])
    ratio = ours.latency_ms / other.latency_ms
    half = ratio * math.hypot(ours.ci95_ms / ours.latency_ms, other.ci95_ms / other.latency_ms)
    return Against(
        theirs.tool, theirs.clock, ours.latency_ms, other.latency_ms, ratio, ratio - half, ratio + half,
        abs(ratio - 1) <= AGREEMENT,
    )  # fmt: skip
