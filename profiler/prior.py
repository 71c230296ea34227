"""What is known of units before whole networks correct it: measured, from nodes, from costs or another table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls

from mosegnet.cost import unit_costs
from mosegnet.digits import FloatArray, IntArray
from mosegnet.graph import operators
from mosegnet.space import Space
from profiler.lut import Lut
from profiler.nodes import UnitTimes, usual_spread
from profiler.posterior import Prior, Spreads, unit_counts

_SPLIT_DOUBT = 0.3  # of time that was split between units by what operators cost
LEAST_MS = 1e-6  # a unit below its own noise is still no zero

# What each kind of prior is usually wrong by; the evidence of the networks moves them. See `Spreads`.
_OF_STUBS = Spreads(total=0.1, scale=0.05, kind=0.05, stage=0.03, shape=0.01, unit=0.01, costs=0.05, constant=0.05)
_OF_NODES = Spreads(total=0.1, scale=0.05, kind=0.05, stage=0.02, shape=0.01, unit=0.01, costs=0.1, constant=0.03)
_OF_COSTS = Spreads(total=0.1, scale=0.1, kind=0.2, stage=0.2, shape=0.2, unit=0.1, costs=0.1, constant=0.1)
_OF_ITSELF = Spreads(total=0.05, scale=0.03, kind=0.03, stage=0.02, shape=0.01, unit=0.01, costs=0.02, constant=0.03)
_OF_TABLE = Spreads(total=0.3, scale=0.2, kind=0.2, stage=0.1, shape=0.1, unit=0.05, costs=0.2, constant=0.2)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one unit before whole networks correct it; `samples` is 0 where it was not measured itself."""

    latency_ms: float
    sd_ms: float
    samples: int = 0
    converged: bool = True
    flags: tuple[str, ...] = ()


def of_stubs(space: Space, known: Mapping[str, Known], call_ms: float) -> Prior:
    """From stub models: a unit finds its weights in the cache there, which a network may have to fetch."""
    return _prior(space, known, unit_costs(space)[:-1, 1:2].astype(np.float64), call_ms, _OF_STUBS)


def of_nodes(
    space: Space, times: Mapping[str, UnitTimes], stubs: Mapping[str, Known], target: float
) -> tuple[Prior, dict[str, Known]]:
    """From nodes timed inside networks: the profiler itself costs something at every node.

    A unit's standard deviation holds how much it differs from network to network, by its kind where it was seen in
    one network only, and a doubt about what was split from nodes that span several units. It has converged when its
    runs say it within `target`, a share. `stubs` stand in for units that occur in no network that ran.
    """
    usual = usual_spread(space, times)
    known = {key: replace(one, flags=(*one.flags, "by_stub")) for key, one in stubs.items()}
    for unit in space.units:
        if (found := times.get(unit.key)) is not None:
            between_ms = found.mean_spread_ms(usual[unit.kind])
            known[unit.key] = Known(
                latency_ms=max(found.latency_ms, LEAST_MS),
                sd_ms=math.hypot(between_ms, found.within_ms / 1.96, _SPLIT_DOUBT * found.shared * found.latency_ms),
                samples=found.samples,
                converged=found.within_ms <= target * found.latency_ms,
                flags=found.flags,
            )
    nodes = [times[unit.key].nodes if unit.key in times else 0.0 for unit in space.units]
    costs = np.column_stack([nodes, unit_costs(space)[:-1, 1]]).astype(np.float64)
    return _prior(space, known, costs, 0.0, _OF_NODES), known


def of_costs(space: Space, X: IntArray, latency_ms: FloatArray) -> tuple[Prior, dict[str, Known]]:
    """From whole networks only: each unit's share by multiply-adds, params, bytes and operators, fitted to them."""
    costs = _all_costs(space)
    columns = unit_counts(space, X) @ costs
    size = columns.mean(axis=0)
    weights = nnls(columns / size / latency_ms[:, None], np.ones(len(X)))[0]
    known = {
        unit.key: Known(max(float(ms), LEAST_MS), 0.0)
        for unit, ms in zip(space.units, costs @ (weights / size), strict=True)
    }
    return _prior(space, known, costs, 0.0, _OF_COSTS), known


def of_table(space: Space, table: Lut, X: IntArray, latency_ms: FloatArray) -> tuple[Prior, dict[str, Known]]:
    """From another device's table, brought to this one's speed by one factor: the median of the networks X."""
    factor = float(np.median(latency_ms / table.predict(X)))
    entries = table.table.entries
    known = {
        unit.key: Known(factor * entries[unit.key].latency_ms, factor * entries[unit.key].ci95_ms / 1.96)
        for unit in space.units
        if unit.key in entries
    }
    call_ms = factor * float(np.median(table.calibration.constant_ms))
    return _prior(space, known, _all_costs(space), call_ms, _OF_TABLE), known


def of_own_table(space: Space, table: Lut) -> Prior:
    """From a table of the same device: its entries with their intervals, which its drift may have moved together."""
    entries = table.table.entries
    known = {key: Known(entry.latency_ms, entry.ci95_ms / 1.96) for key, entry in entries.items()}
    costs = unit_costs(space)[:-1, 1:2].astype(np.float64)
    return _prior(space, known, costs, np.array(table.calibration.constant_ms), _OF_ITSELF)


def _prior(
    space: Space, known: Mapping[str, Known], costs: FloatArray, call_ms: float | FloatArray, spreads: Spreads
) -> Prior:
    """A unit that is not known stands at next to nothing: no network that has it may be asked for or fitted to."""
    absent = Known(LEAST_MS, 0.0)
    found = [known.get(unit.key, absent) for unit in space.units]
    mean_ms, sd_ms = (np.array([getattr(one, name) for one in found]) for name in ("latency_ms", "sd_ms"))
    return Prior(mean_ms, sd_ms, costs, call_ms, spreads)


def _all_costs(space: Space) -> FloatArray:
    """Multiply-adds, params, bytes and operators of each unit, shape (units, 4)."""
    counts = [len(operators(unit)) for unit in space.units]
    return np.column_stack([unit_costs(space)[:-1], counts]).astype(np.float64)
