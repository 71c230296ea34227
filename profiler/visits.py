"""From visits to estimates: drift taken out by the reference, visits to one model put together.

Each model is visited at least twice, far apart in time. The samples of one visit say how still the device was during
some milliseconds; how well two visits agree says more.
"""

from __future__ import annotations

import itertools
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
CONTENTION = 1.1  # wall time over processor time: past it others had the processor
_STEAL_FLAG = 0.05  # of the time that another virtual machine had the processor
_DISTURBED = ("contended", "throttled", "stolen")
_GPU_THROTTLED = {"hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown", "sw_thermal_slowdown"}
_GPU_CAPPED = {"sw_power_cap"}  # how the card runs under such load: more visits would find the same
_UNDISTURBED_VISITS = 2  # wanted of every model, and enough to leave the disturbed ones out
_OUTLIER_Z = 14.826  # modified Z score, in median absolute deviations; hyperfine's bound


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of one model's latency over all its visits. `flags` name what may have disturbed it."""

    latency_ms: float
    ci95_ms: float
    samples: int
    converged: bool
    visits_ms: tuple[float, ...]
    flags: tuple[str, ...]
    undisturbed: int = 2  # visits without contention, throttling and stolen time

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


def needs_more(found: Estimate) -> bool:
    """Whether another visit is due: those made disagree, too few were undisturbed, or the only one did not settle."""
    alone = len(found.visits_ms) == 1 and not found.converged
    too_few = found.undisturbed < min(_UNDISTURBED_VISITS, len(found.visits_ms))
    return alone or too_few or found.disagreement > DISAGREEMENT


def outliers(samples_ms: Sequence[float]) -> list[int]:
    """Places of the samples that stand far out, by the modified Z score (Iglewicz and Hoaglin, 1993)."""
    middle = median(samples_ms)
    spread = median([abs(ms - middle) for ms in samples_ms])
    return [k for k, ms in enumerate(samples_ms) if spread and abs(ms - middle) > _OUTLIER_Z * spread]


class Drift:
    """How much slower the device was at a time than when undisturbed, by the reference measured in between.

    Several boards each have their own course; all are brought to the scale of the first by the reference that they
    have in common. Each reference also holds what the device's system said then: throttling and stolen time fall on
    the models between two of them.
    """

    def __init__(self, records: Sequence[Record], clock: str) -> None:
        references: dict[int, list[Record]] = {}
        for record in records:
            if record["what"] == "reference":
                references.setdefault(record.get("board", 0), []).append(record)
        if not references:
            raise ValueError("no reference was measured")
        self._courses = {board: _Course(found, clock) for board, found in sorted(references.items())}
        self.reference_ms = next(iter(self._courses.values())).quiet_ms
        self.most = max(course.most for course in self._courses.values())

    def factor(self, record: Record) -> float:
        """The factor of a measurement; 1 is the first board, undisturbed."""
        course = self._courses[record.get("board", 0)]
        return course.at(record["time_s"]) * course.quiet_ms / self.reference_ms

    def flags(self, record: Record) -> tuple[str, ...]:
        """What may have disturbed a measurement, by the two references around it."""
        return self._courses[record.get("board", 0)].flags(record["time_s"])


class _Course:
    """One board over the time of a build."""

    def __init__(self, references: Sequence[Record], clock: str) -> None:
        self._times_s = np.array([record["time_s"] for record in references])
        raw_ms = np.array([trimmed_mean(record["samples_ms"][clock]) for record in references])
        smooth_ms = _running_median(raw_ms)
        self.quiet_ms = float(np.quantile(smooth_ms, _QUIET_SHARE))
        self._factors = smooth_ms / self.quiet_ms
        self.most = float(self._factors.max() - 1)
        states = [record.get("state", {}) for record in references]
        self._troubles = [_troubles(*pair) for pair in itertools.pairwise(states)]

    def at(self, time_s: float) -> float:
        return float(np.interp(time_s, self._times_s, self._factors))

    def flags(self, time_s: float) -> tuple[str, ...]:
        k = int(np.searchsorted(self._times_s, time_s)) - 1
        drift = ("drift",) if self.at(time_s) > 1 + _DRIFT_FLAG else ()
        return (*drift, *(self._troubles[k] if 0 <= k < len(self._troubles) else ()))


def _troubles(before: Record, after: Record) -> tuple[str, ...]:
    found = []
    if after.get("throttle_count", 0) > before.get("throttle_count", 0):
        found.append("throttled")
    slowed = set(after.get("gpu_reasons", ()))
    if slowed & _GPU_THROTTLED and "throttled" not in found:
        found.append("throttled")
    if slowed & _GPU_CAPPED:
        found.append("power_capped")
    ticks = after.get("total_ticks", 0) - before.get("total_ticks", 0)
    if ticks > 0 and after["steal_ticks"] - before["steal_ticks"] > _STEAL_FLAG * ticks:
        found.append("stolen")
    return tuple(found)


def _running_median(values: FloatArray) -> FloatArray:
    half = _REFERENCE_WINDOW // 2
    return np.array([np.median(values[max(0, k - half) : k + half + 1]) for k in range(len(values))])


def _combine(records: Sequence[Record], drift: Drift, clock: str) -> Estimate:
    """All visits, or only the undisturbed ones where there are enough of them; of those, the ones that settled.

    What keeps a visit from settling also makes it slower, so one beside others that settled would only mislead.
    """
    flags = [tuple(_visit_flags(record, drift)) for record in records]
    quiet = [record for record, own in zip(records, flags, strict=True) if not set(own) & set(_DISTURBED)]
    used = quiet if len(quiet) >= _UNDISTURBED_VISITS else records
    used = [record for record in used if record["converged"]] or used
    factors = [drift.factor(record) for record in used]
    samples = [record["samples_ms"][clock] for record in used]
    visits_ms = [trimmed_mean(values) / factor for values, factor in zip(samples, factors, strict=True)]
    within_ms = [ci95(values) / factor for values, factor in zip(samples, factors, strict=True)]
    latency_ms = math.fsum(visits_ms) / len(visits_ms) if len(visits_ms) < 3 else median(visits_ms)
    own_ms = math.sqrt(math.fsum(ms**2 for ms in within_ms)) / len(within_ms)
    disagree = max(visits_ms) - min(visits_ms) > DISAGREEMENT * median(visits_ms)
    touched = [flag for record, own in zip(records, flags, strict=True) if record in used for flag in own]
    return Estimate(
        latency_ms=latency_ms,
        ci95_ms=max(own_ms, between_ms(visits_ms)),
        samples=sum(len(values) for values in samples),
        converged=all(record["converged"] for record in used),
        visits_ms=tuple(visits_ms),
        flags=tuple(dict.fromkeys([*touched, *(["visits_disagree"] if disagree else [])])),
        undisturbed=len(quiet),
    )


def between_ms(visits_ms: Sequence[float]) -> float:
    """Half-width from the spread of the visits; two visits alone have 1 degree of freedom, so their range is used.

    With two visits Student's t would be 12.7 times a spread that is often near 0 by chance: half the range is what
    they bear out, and the interval within the visits stands beside it.
    """
    if len(visits_ms) < 3:
        return (max(visits_ms) - min(visits_ms)) / 2
    return t975(len(visits_ms) - 1) * float(np.std(visits_ms, ddof=1)) / math.sqrt(len(visits_ms))


def _visit_flags(record: Record, drift: Drift) -> Iterable[str]:
    if not record["warm"]:
        yield "not_warm"
    if _contention(record) > CONTENTION:
        yield "contended"
    yield from drift.flags(record)


def _contention(record: Record) -> float:
    """Wall time over processor time: how long the device's thread waited for a processor."""
    samples = record["samples_ms"]
    if "device" in samples or "thread_cpu" not in samples:
        return 1.0  # the host's thread waits for the device, not for a processor
    return median(samples["wall"]) / median(samples["thread_cpu"])
