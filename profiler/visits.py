"""From visits to estimates: drift taken out by the reference, visits to one model put together.

Each model is visited at least twice, far apart in time. The samples of one visit say how still the device was during
some milliseconds; how well two visits agree says more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from device_agents.statistics import ci95, median, t975, trimmed_mean
from mosegnet.digits import FloatArray

Record = dict[str, Any]  # one line of a build's journal

DISAGREEMENT = 0.03  # of two visits, past which a third one is made
_REFERENCE_WINDOW = 5  # references in a running median: one alone is as noisy as what it corrects
_QUIET_SHARE = 0.25  # this quantile of the reference is the device undisturbed
_DRIFT_FLAG = 0.05
_CONTENTION_FLAG = 1.1  # wall time over processor time


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of one model's latency over all its visits. `flags` name what may have disturbed it."""

    latency_ms: float
    ci95_ms: float
    samples: int
    converged: bool
    visits_ms: tuple[float, ...]
    flags: tuple[str, ...]

    @property
    def disagreement(self) -> float:
        """How far apart the visits are that the latency rests on, as a share of it.

        Of two visits their difference; of more, that of the middle one to the nearest other: a disturbed visit beside
        two that agree is outvoted, and calls for no more.
        """
        if len(self.visits_ms) < 3:
            return (max(self.visits_ms) - min(self.visits_ms)) / self.latency_ms
        ordered = sorted(self.visits_ms)
        middle = len(ordered) // 2
        gaps = (ordered[middle] - ordered[middle - 1], ordered[middle + 1] - ordered[middle])
        return min(gaps) / self.latency_ms if len(ordered) % 2 else gaps[0] / self.latency_ms


def estimates(records: Iterable[Record], clock: str) -> dict[str, Estimate]:
    """One Estimate for each measured key of a journal's records."""
    records = list(records)
    drift = Drift(records, clock)
    visits: dict[str, list[Record]] = {}
    for record in records:
        if record["what"] == "measured":
            visits.setdefault(record["key"], []).append(record)
    return {key: _combine(found, drift, clock) for key, found in visits.items()}


class Drift:
    """How much slower the device was at a time than when undisturbed, by the reference measured in between."""

    def __init__(self, records: Sequence[Record], clock: str) -> None:
        references = [record for record in records if record["what"] == "reference"]
        if not references:
            raise ValueError("no reference was measured")
        self._times_s = np.array([record["time_s"] for record in references])
        raw_ms = np.array([trimmed_mean(record["samples_ms"][clock]) for record in references])
        smooth_ms = _running_median(raw_ms)
        self.reference_ms = float(np.quantile(smooth_ms, _QUIET_SHARE))
        self._factors = smooth_ms / self.reference_ms
        self.most = float(self._factors.max() - 1)

    def at(self, time_s: float) -> float:
        """The factor at a time; 1 is undisturbed."""
        return float(np.interp(time_s, self._times_s, self._factors))


def _running_median(values: FloatArray) -> FloatArray:
    half = _REFERENCE_WINDOW // 2
    return np.array([np.median(values[max(0, k - half) : k + half + 1]) for k in range(len(values))])


def _combine(records: Sequence[Record], drift: Drift, clock: str) -> Estimate:
    factors = [drift.at(record["time_s"]) for record in records]
    samples = [record["samples_ms"][clock] for record in records]
    visits_ms = [trimmed_mean(values) / factor for values, factor in zip(samples, factors, strict=True)]
    within_ms = [ci95(values) / factor for values, factor in zip(samples, factors, strict=True)]
    latency_ms = math.fsum(visits_ms) / len(visits_ms) if len(visits_ms) < 3 else median(visits_ms)
    own_ms = math.sqrt(math.fsum(ms**2 for ms in within_ms)) / len(within_ms)
    return Estimate(
        latency_ms=latency_ms,
        ci95_ms=max(own_ms, _between_ms(visits_ms)),
        samples=sum(len(values) for values in samples),
        converged=all(record["converged"] for record in records),
        visits_ms=tuple(visits_ms),
        flags=tuple(_flags(records, factors, visits_ms)),
    )


def _between_ms(visits_ms: Sequence[float]) -> float:
    """Half-width from the spread of the visits; two visits alone have 1 degree of freedom, so their range is used.

    With two visits Student's t would be 12.7 times a spread that is often near 0 by chance: half the range is what
    they bear out, and the interval within the visits stands beside it.
    """
    if len(visits_ms) < 3:
        return (max(visits_ms) - min(visits_ms)) / 2
    return t975(len(visits_ms) - 1) * float(np.std(visits_ms, ddof=1)) / math.sqrt(len(visits_ms))


def _flags(records: Sequence[Record], factors: Sequence[float], visits_ms: Sequence[float]) -> Iterable[str]:
    if not all(record["warm"] for record in records):
        yield "not_warm"
    if max(factors) > 1 + _DRIFT_FLAG:
        yield "drift"
    if any(_contention(record) > _CONTENTION_FLAG for record in records):
        yield "contended"
    if max(visits_ms) - min(visits_ms) > DISAGREEMENT * median(visits_ms):
        yield "visits_disagree"


def _contention(record: Record) -> float:
    """Wall time over processor time: how long the device's thread waited for a processor."""
    samples = record["samples_ms"]
    if "device" in samples or "thread_cpu" not in samples:
        return 1.0  # the host's thread waits for the device, not for a processor
    return median(samples["wall"]) / median(samples["thread_cpu"])
