"""From nodes timed inside whole networks to units: which node belongs to which unit, and what each unit took."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device_agents.statistics import t975, trimmed_mean
from mosegnet.architecture import Architecture
from mosegnet.digits import FloatArray, IntArray
from mosegnet.space import Space
from profiler.node_names import shares
from profiler.visits import CONTENTION, Drift, Record

_SHARED = 0.1  # of a unit's time, past which it is flagged
_RUNS_OF_THE_KIND = 6

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class UnitTimes:
    """What is known of one unit inside networks, milliseconds.

    `within_ms`: half of the 95 % interval from run to run; `between_ms`: standard deviation from network to network
    (NaN where it occurs in one only); `nodes`: how many the runtime made of it, on average; `shared`: of its time, what
    was split from nodes that span several units.
    """

    latency_ms: float
    within_ms: float
    between_ms: float
    networks: int
    samples: int
    nodes: float
    flags: tuple[str, ...]
    shared: float = 0.0

    def mean_spread_ms(self, usual: float) -> float:
        """Standard deviation of `latency_ms` where the unit usually differs by this share from network to network."""
        return usual * self.latency_ms / math.sqrt(self.networks)


def unit_times(
    space: Space, encodings: Mapping[str, Sequence[int]], records: Iterable[Record], drift: Drift
) -> dict[str, UnitTimes]:
    """UnitTimes by unit key from a journal's `profiled` records; `encodings` are the networks' by the records' key."""
    found: dict[str, dict[str, list[_Occurrence]]] = {}
    for record in records:
        if record["what"] == "profiled":
            architecture = space.decode(encodings[record["key"]])
            for unit, occurrence in _occurrences(architecture, record, drift):
                found.setdefault(unit, {}).setdefault(record["key"], []).append(occurrence)
    usual = _run_variance(space, found)
    kinds = {unit.key: unit.kind for unit in space.units}
    return {unit: _combine(networks, usual[kinds[unit]]) for unit, networks in found.items()}


def usual_spread(space: Space, times: Mapping[str, UnitTimes]) -> dict[str, float]:
    """From network to network, as a share, by kind of unit; a kind whose units occur once takes the median of all."""
    shares: dict[str, list[float]] = {unit.kind: [] for unit in space.units}
    for unit in space.units:
        found = times.get(unit.key)
        if found is not None and not math.isnan(found.between_ms):
            shares[unit.kind].append(found.between_ms / found.latency_ms)
    known = {kind: float(np.sqrt(np.mean(np.square(found)))) for kind, found in shares.items() if found}
    middle = float(np.median(list(known.values()))) if known else 0.0
    return {kind: known.get(kind, middle) for kind in shares}


def unsettled(space: Space, times: Mapping[str, UnitTimes], X: IntArray, target: float) -> BoolArray:
    """Which of the networks X deserve another visit, shape (n,): the sum of their units is not known within `target`.

    Errors of single units add up as their squares, so that each may be known less well than the sum. More visits do
    not help where a unit differs from network to network more than from run to run.
    """
    usual = usual_spread(space, times)
    found = []
    for x in X:
        counts = Counter(unit for unit in space.decode(x).units if unit.key in times)
        sums = [(count, times[unit.key], usual[unit.kind]) for unit, count in counts.items()]
        within_ms = math.hypot(*(count * one.within_ms for count, one, _ in sums))
        between_ms = math.hypot(*(count * one.mean_spread_ms(share) for count, one, share in sums))
        sum_ms = math.fsum(count * one.latency_ms for count, one, _ in sums)
        found.append(within_ms > max(target * sum_ms, between_ms))
    return np.array(found, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class _Occurrence:
    """One unit at one place of one network in one visit."""

    runs_ms: FloatArray
    nodes: float
    flags: tuple[str, ...]
    shared: float


def _occurrences(architecture: Architecture, record: Record, drift: Drift) -> list[tuple[str, _Occurrence]]:
    nodes: list[Any] = record["nodes"]
    factor, flags = drift.factor(record), drift.flags(record)
    runs = _quiet_runs(record)
    if len(runs) < len(record["total_ms"]):
        flags = (*flags, "contended")
    units = dict(architecture.named_units())
    sums: dict[str, FloatArray] = {}
    counts, split_ms = dict.fromkeys(units, 0.0), dict.fromkeys(units, 0.0)
    for owned, (_, _, runs_ms) in zip(shares(nodes, architecture), nodes, strict=True):
        for name, share in owned.items():
            own_ms = share * np.array(runs_ms)[runs]
            sums[name] = sums.get(name, 0.0) + own_ms
            counts[name] += share
            split_ms[name] += float(own_ms.mean()) if share < 1 else 0.0
    found = []
    for name, runs_ms in sums.items():
        shared = split_ms[name] / max(float(runs_ms.mean()), 1e-12)
        own_flags = (*flags, "shared_node") if shared > _SHARED else flags
        found.append((units[name].key, _Occurrence(runs_ms / factor, counts[name], own_flags, shared)))
    return found


def _quiet_runs(record: Record) -> list[int]:
    """The runs in which no other program had the processor; the quietest one where there is none."""
    contention = record["contention"] or [1.0] * len(record["total_ms"])
    quiet = [k for k, ratio in enumerate(contention) if ratio <= CONTENTION]
    return quiet or [int(np.argmin(contention))]


def _run_variance(space: Space, found: Mapping[str, Mapping[str, Sequence[_Occurrence]]]) -> dict[str, float]:
    """Of one run, as a share squared, by kind of unit."""
    squares = {unit.kind: 0.0 for unit in space.units}
    spare = dict.fromkeys(squares, 0)
    kinds = {unit.key: unit.kind for unit in space.units}
    for key, networks in found.items():
        for occurrence in (o for occurrences in networks.values() for o in occurrences):
            squares[kinds[key]] += float(np.sum((occurrence.runs_ms / occurrence.runs_ms.mean() - 1) ** 2))
            spare[kinds[key]] += len(occurrence.runs_ms) - 1
    return {kind: square / max(1, spare[kind]) for kind, square in squares.items()}


def _combine(networks: Mapping[str, Sequence[_Occurrence]], usual: float) -> UnitTimes:
    """Networks count alike, however often a unit occurs in one."""
    means_ms = [float(np.mean([trimmed_mean(list(o.runs_ms)) for o in found])) for found in networks.values()]
    occurrences = [o for found in networks.values() for o in found]
    latency_ms = math.fsum(means_ms) / len(means_ms)
    return UnitTimes(
        latency_ms=latency_ms,
        within_ms=_within_ms(occurrences, usual),
        between_ms=float(np.std(means_ms, ddof=1)) if len(means_ms) > 1 else math.nan,
        networks=len(means_ms),
        samples=sum(len(o.runs_ms) for o in occurrences),
        nodes=float(np.mean([o.nodes for o in occurrences])),
        flags=tuple(dict.fromkeys(flag for o in occurrences for flag in o.flags)),
        shared=float(np.mean([o.shared for o in occurrences])),
    )


def _within_ms(occurrences: Sequence[_Occurrence], usual: float) -> float:
    """Half-width from the runs, each about its own place's mean, so that networks may differ.

    A unit has few runs: its own variance is held near that of its kind, which counts as so many runs more.
    """
    means_ms = [float(o.runs_ms.mean()) for o in occurrences]
    runs = sum(len(o.runs_ms) for o in occurrences)
    latency_ms = math.fsum(means_ms) / len(means_ms)
    squares = sum(float(np.sum((o.runs_ms - mean) ** 2)) for o, mean in zip(occurrences, means_ms, strict=True))
    spare = runs - len(occurrences)
    variance = (squares + _RUNS_OF_THE_KIND * usual * latency_ms**2) / (spare + _RUNS_OF_THE_KIND)
    return t975(spare + _RUNS_OF_THE_KIND) * math.sqrt(variance / runs)
