"""Tables by every method beside what people do today, on the same held-out networks, in one run on this machine.

    python benchmarks/tables.py --space tiny
    python benchmarks/tables.py --space benchmarks/paper-256x512.json

Rivals: isolated blocks with a fixed 20 or 100 repeats; the same reduced to the paper's nine options a layer with a
constant decoder; FLOPs; FLOPs + params. All but the tables are fitted to the same calibration networks as the first
table, with one factor and one constant for each input scale (FLOPs likewise), since no sum of isolated blocks is right
as it stands. Device time: loading, warm-up and runs of everything that a rival needs, calibration networks included.
Run it on a quiet machine: nothing here is meant to be interleaved with other work.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device_agents.faults import Fault
from device_agents.statistics import trimmed_mean
from mosegnet import space as spaces
from mosegnet.cost import unit_costs
from mosegnet.digits import FloatArray, IntArray
from mosegnet.onnx_graph import network_model, unit_model
from mosegnet.space import SCALE, Space
from profiler import whole
from profiler.build import Method, build
from profiler.devices import Device
from profiler.link import Link, Rule
from profiler.lut import Lut
from profiler.plan import network_job, network_key, reference_job
from profiler.posterior import unit_counts
from profiler.sampling import held_out, spread
from profiler.validate import label_noise, scores, tau_ceiling
from profiler.visits import Estimate

REPEATS = 100
FEW = 20
DEVICE = Device(name="cpu")


@dataclass(frozen=True, slots=True)
class Rival:
    """Predictions for the held-out networks, the device time they took, and their coverage where they claim one."""

    predicted_ms: FloatArray
    device_s: float
    coverage_percent: float | None = None


def main() -> None:
    """Measure, then print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--space", default="tiny")
    parser.add_argument("--networks", type=int, default=48, help="held-out networks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", default=["designed", "designed 3%", "stub", "hybrid"])
    arguments = parser.parse_args()
    space = spaces.load(arguments.space)
    rng = np.random.default_rng([arguments.seed, 7])
    calibration = spread(space, max(8, 5 * len(space.scales)), rng)
    X = held_out(space, arguments.networks, rng, calibration)
    rivals: dict[str, Rival] = {}
    tables = {name: _table(space, name, arguments.seed) for name in arguments.methods}
    measured, calibration_s = _networks(space, X, calibration)
    latency_ms = np.array([measured[network_key(x)].latency_ms for x in X])
    known_ms = np.array([measured[network_key(x)].latency_ms for x in calibration])
    for name, lut in tables.items():
        predicted_ms, half_ms = lut.predict_interval(X)
        inside = 100 * float(np.mean(np.abs(predicted_ms - latency_ms) <= half_ms))
        rivals[name] = Rival(predicted_ms, lut.table.method.device_time_s, inside)
    rivals |= _isolated(space, X, calibration, known_ms, calibration_s)
    for name, columns in (("FLOPs", [0]), ("FLOPs + params", [0, 1])):
        costs = unit_costs(space)[:-1, columns].astype(np.float64)
        predicted_ms = _fitted(space, lambda Z, costs=costs: unit_counts(space, Z) @ costs, X, calibration, known_ms)
        rivals[name] = Rival(predicted_ms, calibration_s)
    print(json.dumps(_report(space, X, latency_ms, [measured[network_key(x)] for x in X], rivals), indent=1))


def _table(space: Space, name: str, seed: int) -> Lut:
    method, _, target = name.partition(" ")
    rule = Rule(target=float(target.rstrip("%") or 1) / 100)
    with tempfile.TemporaryDirectory() as folder:
        return build(DEVICE, space, Path(folder) / "lut.json", seed, False, rule, Method(method))  # type: ignore[arg-type]


def _networks(space: Space, X: IntArray, calibration: IntArray) -> tuple[Mapping[str, Estimate], float]:
    """Held-out and calibration networks, in turns; the device time of two visits to the calibration networks."""
    jobs = [network_job(space, x, "validation") for x in np.concatenate([X, calibration])]
    with Link(DEVICE) as link:
        measured = whole.in_turns(DEVICE, [link], jobs, reference_job(space), 0, "measuring networks")
        spent_s = 0.0
        for x in calibration:
            timing = link.time(network_model(space.decode(x)), Rule(), "calibration")
            assert not isinstance(timing, Fault)
            spent_s += 2 * timing.spent_s
    return measured, spent_s


def _isolated(
    space: Space, X: IntArray, calibration: IntArray, known_ms: FloatArray, calibration_s: float
) -> dict[str, Rival]:
    """Isolated blocks, each timed a fixed number of times in one visit, as is usual."""
    all_ms, load_s, run_s = [], [], []
    with Link(DEVICE) as link:
        for unit in space.units:
            timing = link.time(unit_model(unit), Rule(1e-9, REPEATS, REPEATS, 1e6), unit.key)
            assert not isinstance(timing, Fault)
            samples = timing.samples_ms[link.hello()["clock"]]
            taken_s = 1e-3 * sum(timing.samples_ms["wall"]) * timing.loops
            all_ms.append(samples)
            run_s.append(taken_s)
            load_s.append(timing.spent_s - taken_s)
    found = {}
    for repeats in (FEW, REPEATS):
        unit_ms = np.array([trimmed_mean(samples[:repeats]) for samples in all_ms])
        device_s = calibration_s + sum(load_s) + sum(run_s) * repeats / REPEATS
        for name, values_ms in (("isolated", unit_ms), ("nine options", _nine_options(space, unit_ms))):
            predicted_ms = _fitted(space, _sums(space, values_ms), X, calibration, known_ms)
            found[f"{name}, fixed {repeats}"] = Rival(predicted_ms, device_s)
        if repeats == REPEATS:
            found["isolated, not fitted"] = Rival(_sums(space, unit_ms)(X)[:, 0], device_s - calibration_s)
    return found


def _sums(space: Space, values_ms: FloatArray) -> Callable[[IntArray], FloatArray]:
    return lambda Z: (unit_counts(space, Z) @ values_ms)[:, None]


def _nine_options(space: Space, unit_ms: FloatArray) -> FloatArray:
    """Layers by stage, width and expansion alone; the decoder constant (the paper's equation 7)."""
    groups: dict[object, list[int]] = {}
    for row, (unit, scale) in enumerate(zip(space.units, space.unit_scales.tolist(), strict=True)):
        if unit.kind == "decoder":
            name: object = ("decoder", scale)
        elif unit.kind == "first":
            name = ("first", scale, unit.height, unit.middle, unit.channels)  # type: ignore[union-attr]
        else:
            name = row
        groups.setdefault(name, []).append(row)
    found = unit_ms.copy()
    for rows in groups.values():
        found[rows] = unit_ms[rows].mean()
    return found


def _fitted(
    space: Space, features: Callable[[IntArray], FloatArray], X: IntArray, calibration: IntArray, known_ms: FloatArray
) -> FloatArray:
    """A factor for each feature and a constant for each scale, by least squares of the relative error."""

    def design(Z: IntArray) -> FloatArray:
        return np.column_stack([Z[:, SCALE, None] == np.arange(len(space.scales)), features(Z)]).astype(np.float64)

    columns = design(calibration)
    size = columns.max(axis=0)
    weights = np.linalg.lstsq(columns / size / known_ms[:, None], np.ones(len(known_ms)), rcond=None)[0]
    predicted_ms: FloatArray = design(X) / size @ weights
    return predicted_ms


def _report(
    space: Space, X: IntArray, latency_ms: FloatArray, measured: list[Estimate], rivals: Mapping[str, Rival]
) -> dict[str, object]:
    noise = label_noise(measured)
    rows = {}
    for name, rival in rivals.items():
        found = scores(rival.predicted_ms, latency_ms, X)
        rows[name] = {
            "device_s": round(rival.device_s, 1),
            **found.model_dump(exclude={"intervals"}),
            "mape_interval": found.intervals["mape_percent"],
            "coverage_percent": rival.coverage_percent,
        }
    return {
        "space": space.name,
        "networks": len(X),
        "label_noise_percent": round(100 * noise, 3),
        "tau_ceiling": round(tau_ceiling(latency_ms, noise), 4),
        "mape_floor_percent": round(100 * noise * np.sqrt(2 / np.pi), 3),
        "rivals": rows,
    }


if __name__ == "__main__":
    main()
