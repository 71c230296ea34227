"""From a journal's records to a table: units, their correction by whole networks, and the proof."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from mosegnet.common.console import warn
from mosegnet.common.errors import DeviceError
from mosegnet.digits import FloatArray, IntArray
from mosegnet.space import Space
from profiler import nodes, posterior, stubs
from profiler import prior as priors
from profiler.answers import chip_of
from profiler.energy import with_energy
from profiler.lut import Lut
from profiler.plan import Plan, network_key
from profiler.posterior import Posterior, Prior
from profiler.prior import Known
from profiler.schema import Calibration, DeviceRecord, Entry, MethodRecord, NetworkRecord, Table
from profiler.validate import network_records, validation
from profiler.visits import Drift, Estimate, Record, estimates

_LEAST_NETWORKS = 2
_MOST_SHARED = 0.2  # of the units' time, split between them
_STATISTICS = {
    "stub": "20 % trimmed mean of a visit over the reference, mean or median of the visits; context subtracted",
    "designed": "20 % trimmed mean of a visit's runs over the reference, by node, mean over networks",
    "networks": "20 % trimmed mean of a visit over the reference; units fitted to networks",
    "hybrid": "20 % trimmed mean of a visit over the reference; another table or loose stubs fitted to networks",
}


def finish(
    plan: Plan, space: Space, records: list[Record], telemetry: Mapping[str, Any], restarts: int, prior: Lut | None
) -> Lut:
    """The table of a finished session, with its proof.

    Raises:
        DeviceError: the device ran too few whole networks to correct a table by them.
    """
    clock: str = records[0]["hello"]["clock"]
    everything, records = records, _before_energy(records)
    measured = estimates(records, clock)
    usable = np.array([network_key(x) in measured for x in plan.calibration])
    X = plan.calibration[usable]
    known_prior, known = _prior(plan, space, records, measured, X, prior)
    unmeasured = _unmeasured(space, known, records)
    X = X[runnable(space, X, known)]
    if len(X) < _LEAST_NETWORKS:
        raise DeviceError(f"the device ran {len(X)} of the {len(plan.calibration)} networks that correct a table")
    fitted = posterior.fit(space, known_prior, X, _latency_ms(measured, X))
    calibration = calibration_of(space, fitted, X, [measured[network_key(x)] for x in X])
    unproven = Table(
        device=_device_record(records[0], telemetry),
        space=space.to_dict(),
        method=_method_record(plan, records, restarts, prior),
        entries=entries_of(space, known, fitted, records[0]["rule"]["target"]),
        unmeasured=unmeasured,
        calibration=calibration,
    )
    proven = prove(unproven, plan.validation, measured, records[0]["seed"])
    return Lut(with_energy(proven, plan, everything, clock))


def _before_energy(records: list[Record]) -> list[Record]:
    """Latencies and their references: energy comes after them, on a device that it heats."""
    first = next((k for k, record in enumerate(records) if record["what"] == "energy"), len(records))
    return records[:first]


def prove(table: Table, held_out: IntArray, measured: Mapping[str, Estimate], seed: int) -> Lut:
    """The table with its validation on the held-out networks, shape (n, digits), that the device could run."""
    lut = Lut(table)
    X = np.array([x for x in held_out if network_key(x) in measured and lut.runs(x)[0]])
    if len(X) < _LEAST_NETWORKS:
        warn("the device ran too few held-out networks to prove the table: it has no validation")
        return lut
    proof = validation(lut, X, [measured[network_key(x)] for x in X], seed, now())
    return Lut(table.model_copy(update={"validation": proof}))


def unit_times(plan: Plan, space: Space, records: Sequence[Record], clock: str) -> dict[str, nodes.UnitTimes]:
    """What the profiled networks of a plan say of their units so far."""
    encodings = {network_key(x): x.tolist() for x in plan.designed}
    return nodes.unit_times(space, encodings, records, Drift(records, clock))


def unsettled_networks(plan: Plan, space: Space, records: Sequence[Record], clock: str, target: float) -> set[str]:
    """Keys of the profiled networks whose sum of units is not known within `target`, a share."""
    if not len(plan.designed):
        return set()
    again = nodes.unsettled(space, unit_times(plan, space, records, clock), plan.designed, target)
    return {network_key(x) for x in plan.designed[again]}


def _prior(
    plan: Plan, space: Space, records: list[Record], measured: Mapping[str, Estimate], X: IntArray, table: Lut | None
) -> tuple[Prior, dict[str, Known]]:
    """What the plan's method knows of the units before whole networks correct it."""
    header = records[0]
    if table is not None:
        return priors.of_table(space, table, X, _latency_ms(measured, X))
    if plan.method == "networks":
        say_what_networks_bear(space, X)
        return priors.of_costs(space, X, _latency_ms(measured, X))
    known = stubs.units(space, measured)
    if plan.method == "designed":
        times = unit_times(plan, space, records, header["hello"]["clock"])
        say_what_was_split(times)
        return priors.of_nodes(space, times, known, header["rule"]["target"])
    return priors.of_stubs(space, known, stubs.call_ms(measured)), known


def say_what_was_split(times: Mapping[str, nodes.UnitTimes]) -> None:
    """Warn where much of the units' time was split from nodes that span several."""
    shared_ms = math.fsum(one.shared * one.latency_ms for one in times.values())
    total_ms = math.fsum(one.latency_ms for one in times.values())
    if shared_ms > _MOST_SHARED * total_ms:
        warn(
            f"{100 * shared_ms / total_ms:.0f} % of the units' time is in nodes that the runtime fused across units, "
            "split by what operators cost: --method hybrid measures units by themselves"
        )


def say_what_networks_bear(space: Space, X: IntArray) -> None:
    """Warn where the networks X, shape (n, digits), leave much to the units' costs."""
    counts = posterior.unit_counts(space, X)
    told_apart, units = np.linalg.matrix_rank(counts), len(space.units)
    if told_apart < 0.8 * units:
        warn(
            f"{len(X)} networks tell {told_apart} combinations of the {units} units apart: the rest follows their "
            "multiply-adds, params and bytes; more networks, or --method hybrid, know more"
        )


def _unmeasured(space: Space, known: Mapping[str, Known], records: Sequence[Record]) -> dict[str, str]:
    """Units that the device cannot run, with its reason."""
    reasons = {record["key"]: record["detail"] for record in records if record["what"] == "refused"}
    missing = [unit.key for unit in space.units if unit.key not in known]
    if missing:
        warn(
            f"the device cannot run {len(missing)} of {len(space.units)} units, such as {missing[0]!r}: the table is "
            "incomplete and says why for each"
        )
    return {key: reasons.get(key, "its context cannot be run") for key in missing}


def runnable(space: Space, X: IntArray, known: Mapping[str, Known]) -> np.ndarray:
    """Whether all units of each network are known, shape (n,)."""
    return np.array([all(unit.key in known for unit in space.decode(x).units) for x in X], dtype=bool)


def _latency_ms(measured: Mapping[str, Estimate], X: IntArray) -> FloatArray:
    return np.array([measured[network_key(x)].latency_ms for x in X])


def entries_of(space: Space, known: Mapping[str, Known], fitted: Posterior, target: float) -> dict[str, Entry]:
    """A unit that was never measured by itself has converged where its interval is within the target."""
    found = {}
    for unit, latency_ms, sd_ms in zip(space.units, fitted.unit_ms, fitted.unit_sd_ms, strict=True):
        if (one := known.get(unit.key)) is not None:
            found[unit.key] = Entry(
                **latency_fields(latency_ms, sd_ms),
                unit_ms=round(one.latency_ms, 7),
                samples=one.samples,
                converged=one.converged if one.samples else bool(1.96 * sd_ms <= target * latency_ms),
                flags=list(one.flags),
            )
    return found


def latency_fields(latency_ms: float, sd_ms: float) -> dict[str, float]:
    """An entry's latency and interval as a table keeps them; never zero."""
    return {
        "latency_ms": round(max(float(latency_ms), priors.LEAST_MS), 7),
        "ci95_ms": round(1.96 * float(sd_ms), 7),
    }


def calibration_of(space: Space, fitted: Posterior, X: IntArray, measured: list[Estimate]) -> Calibration:
    """What a table keeps of the fit to the networks X, shape (n, digits)."""
    predicted_ms = posterior.predict(space, fitted, X)
    networks: list[NetworkRecord] = network_records(X, measured, predicted_ms)
    return Calibration(
        constant_ms=[round(float(ms), 7) for ms in fitted.constant_ms],
        noise_percent=round(100 * fitted.noise, 3),
        interval_percent=[round(100 * float(share), 3) for share in fitted.interval],
        networks=networks,
    )


def _device_record(header: Record, telemetry: Mapping[str, Any]) -> DeviceRecord:
    hello, device = header["hello"], header["device"]
    runtime = dict(hello["runtime"])
    return DeviceRecord(
        name=device["name"],
        kind=runtime.pop("kind"),
        chip=chip_of(hello),
        system=hello["system"],
        runtime=runtime.pop("name"),
        runtime_version=runtime.pop("version"),
        precision=runtime.pop("precision"),
        batch=runtime.pop("batch"),
        threads=runtime.pop("threads", None),
        simulated=device["simulated"] or bool(runtime.pop("simulated", False)),
        runtime_options={**runtime, **({"conversion": conversion} if (conversion := header["conversion"]) else {})},
        cores=hello["cores"],
        power_mode=", ".join(telemetry.get("governors", [])) or None,
        frequency_mhz=telemetry.get("frequency_mhz"),
        agent_version=hello["agent"],
    )


def _method_record(plan: Plan, records: list[Record], restarts: int, prior: Lut | None) -> MethodRecord:
    header = records[0]
    clock, rule = header["hello"]["clock"], header["rule"]
    drift = Drift(records, clock)
    roles = [job.role for job in plan.jobs]
    proof_s = sum(record["spent_s"] for record in records if record.get("role") == "validation" and "spent_s" in record)
    return MethodRecord(
        name=plan.method,
        plan={role: roles.count(role) for role in dict.fromkeys(roles)},
        prior=prior.sha256 if prior is not None else None,
        seed=header["seed"],
        clock=clock,
        statistic=_STATISTICS[plan.method],
        target_percent=100 * rule["target"],
        floor=rule["floor"],
        cap=rule["cap"],
        limit_s=rule["limit_s"],
        reference=plan.reference.key,
        reference_ms=round(drift.reference_ms, 6),
        drift_percent=round(100 * drift.most, 2),
        visits=sum(record["what"] in ("measured", "profiled") for record in records),
        device_time_s=round(sum(record.get("spent_s", 0.0) for record in records) - proof_s, 3),
        proof_time_s=round(proof_s, 3),
        restarts=restarts,
        started=header["started"],
        finished=now(),
        tool_version=version("mosegnas-hil"),
    )


def now() -> str:
    """The present moment as tables keep it: ISO 8601, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
