"""Old table files in the form of today's: one function for each version, from it to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mosegnet import space as spaces
from mosegnet.cost import unit_costs
from profiler.schema import VERSION

JsonObject = dict[str, Any]


def migrate(value: JsonObject) -> JsonObject:
    """The table's JSON data in the present version; `value` is not changed.

    Raises:
        KeyError, TypeError, ValueError, IndexError: a table of an old version that lacks what its version demands.
    """
    while value["schema_version"] < VERSION:
        value = _STEPS[value["schema_version"]](value)
    return value


def _one_to_two(value: JsonObject) -> JsonObject:
    """Version 1 kept entries uncorrected, with factors by kind and scale and a price of weights beside them.

    A unit that two input scales share took each scale's factor; it gets the first one's.
    """
    calibration = dict(value["calibration"])
    factors, price_ms = calibration.pop("factors"), calibration.pop("ms_per_million_params")
    space = spaces.load(value["space"])
    params, scales = unit_costs(space)[:, 1], space.unit_scales
    entries = dict(value["entries"])
    for row, unit in enumerate(space.units):
        if unit.key in entries:
            entry = entries[unit.key]
            factor = factors[unit.kind][scales[row]]
            entries[unit.key] = {
                **entry,
                "latency_ms": factor * entry["latency_ms"] + price_ms * float(params[row]) * 1e-6,
                "ci95_ms": abs(factor) * entry["ci95_ms"],
                "unit_ms": entry["latency_ms"],
            }
    calibration["interval_percent"] = [calibration["interval_percent"]] * len(calibration["constant_ms"])
    return {**value, "schema_version": 2, "entries": entries, "calibration": calibration}


_STEPS: dict[int, Callable[[JsonObject], JsonObject]] = {1: _one_to_two}
