"""What each method knows of the units, beside what people do today, on the same held-out networks, in one run.

    python benchmarks/tables.py --space tiny
    python benchmarks/tables.py --space benchmarks/paper-256x512.json

Rivals: isolated blocks with a fixed 20 or 100 repeats; the same reduced to the paper's nine options a layer with a
constant decoder; FLOPs; FLOPs + params. All are corrected by the same whole networks, measured in turns with the
held-out ones: this project's methods by its model, the others by one factor and a constant for each input scale, since
no sum of isolated blocks is right as it stands. `units_s`: device time for what is known of the units, loading, warm-up
and references included; `networks_s`: the same for the networks that correct it. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from device_agents.faults import Fault
from device_agents.statistics import trimmed_mean
from mosegnet import space as spaces
from mosegnet.common.journal import Journal
from mosegnet.cost import unit_costs
from mosegnet.digits import FloatArray, IntArray
from mosegnet.onnx_graph import network_model, unit_model
from mosegnet.space import SCALE, Space
from profiler import posterior, stubs, whole
from profiler import prior as priors
from profiler.devices import Device
from profiler.finish import unit_times, unsettled_networks
from profiler.link import Link, Rule
from profiler.plan import MethodName, make_plan, network_job, network_key, reference_job
from profiler.posterior import Prior, unit_counts
from profiler.sampling import held_out, spread
from profiler.session import Session
from profiler.validate import label_noise, scores, tau_ceiling
from profiler.visits import Estimate, Record, estimates

REPEATS = 100
FEW = 20
DEVICE = Device(name="cpu")


@dataclass(frozen=True, slots=True)
class Rival:
    """Predictions for the held-out networks, the device time they took, and their coverage where they claim one."""

    predicted_ms: FloatArray
    units_s: float
    coverage_percent: float | None = None


def main() -> None:
    """Measure, then print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--space", default="tiny")
    parser.add_argument("--networks", type=int, default=48, help="held-out networks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", default=["designed", "stub", "hybrid"])
    arguments = parser.parse_args()
    space = spaces.load(arguments.space)
    rng = np.random.default_rng([arguments.seed, 7])
    calibration = spread(space, 10 * len(space.scales), rng)
    X = held_out(space, arguments.networks, rng, calibration)
    known = {name: _units(space, name, arguments.seed) for name in arguments.methods}
    measured, networks_s = _networks(space, X, calibration)
    latency_ms = np.array([measured[network_key(x)].latency_ms for x in X])
    known_ms = np.array([measured[network_key(x)].latency_ms for x in calibration])
    rivals: dict[str, Rival] = {}
    for name, (prior, units_s) in known.items():
        fitted = posterior.fit(space, prior, calibration, known_ms)
        predicted_ms = posterior.predict(space, fitted, X)
        inside = np.abs(predicted_ms - latency_ms) <= predicted_ms * fitted.interval[X[:, SCALE]]
        rivals[name] = Rival(predicted_ms, units_s, 100 * float(np.mean(inside)))
    rivals |= _isolated(space, X, calibration, known_ms)
    for name, columns in (("FLOPs", [0]), ("FLOPs + params", [0, 1])):
        costs = unit_costs(space)[:-1, columns].astype(np.float64)
        predicted_ms = _fitted(space, lambda Z, costs=costs: unit_counts(space, Z) @ costs, X, calibration, known_ms)
        rivals[name] = Rival(predicted_ms, 0.0)
    found = [measured[network_key(x)] for x in X]
    print(json.dumps({"networks_s": round(networks_s, 1), **_report(space, X, latency_ms, found, rivals)}, indent=1))


def _units(space: Space, name: str, seed: int) -> tuple[Prior, float]:
    """What a method knows of the units without any whole network's time, and the device time of it."""
    plan = make_plan(space, cast(MethodName, name), None, False, np.random.default_rng(seed))
    jobs = [job for job in plan.jobs if job.role in ("unit", "context", "designed")]
    rule = Rule()
    with Link(DEVICE) as link, tempfile.TemporaryDirectory() as folder:
        clock = link.hello()["clock"]
        journal = Journal(Path(folder) / "journal.jsonl")

        def unsure(records: Sequence[Record]) -> set[str]:
            return unsettled_networks(plan, space, records, clock, rule.target)

        session = Session(jobs, plan.reference, [link], journal, [], rule, seed, plan.effort, unsure)
        session.run(f"measuring units, {name}")
        journal.close()
    spent_s = sum(record["spent_s"] for record in session.records)
    if name == "designed":
        return priors.of_nodes(space, unit_times(plan, space, session.records, clock), {}, rule.target)[0], spent_s
    measured = estimates(session.records, clock)
    return priors.of_stubs(space, stubs.units(space, measured), stubs.call_ms(measured)), spent_s


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


def _isolated(space: Space, X: IntArray, calibration: IntArray, known_ms: FloatArray) -> dict[str, Rival]:
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
        units_s = sum(load_s) + sum(run_s) * repeats / REPEATS
        for name, values_ms in (("isolated", unit_ms), ("nine options", _nine_options(space, unit_ms))):
            predicted_ms = _fitted(space, _sums(space, values_ms), X, calibration, known_ms)
            found[f"{name}, fixed {repeats}"] = Rival(predicted_ms, units_s)
        if repeats == REPEATS:
            found["isolated, not fitted"] = Rival(_sums(space, unit_ms)(X)[:, 0], units_s)
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
            "units_s": round(rival.units_s, 1),
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
