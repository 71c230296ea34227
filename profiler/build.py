"""From a device and a space to a finished table, and held-out networks against one that exists."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mosegnet import space as spaces
from mosegnet.common.console import note, warn
from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors
from mosegnet.common.journal import Journal, read_journal
from mosegnet.digits import IntArray
from mosegnet.space import Space
from profiler import fit
from profiler.devices import Device
from profiler.link import Link, Rule
from profiler.lut import Lut, save
from profiler.plan import (
    EMPTY_SHAPE,
    Job,
    Plan,
    context_key,
    held_out,
    network_job,
    network_key,
    reference_job,
    stub_plan,
)
from profiler.schema import DeviceRecord, MethodRecord, Table, Validation
from profiler.session import Session
from profiler.validate import validation
from profiler.visits import Drift, Estimate, Record, estimates

METHOD = "stub"
_JOURNAL_FORMAT = 1
_UNSTEADY_PERCENT = 10.0


def journal_path(out: Path) -> Path:
    """Where a build writes what it has measured so far."""
    return out.with_suffix(".journal.jsonl")


def samples_path(out: Path) -> Path:
    """Where the journal, with every raw sample, stays when the table is finished."""
    return out.with_suffix(".samples.jsonl")


def build(device: Device, space: Space, out: Path, seed: int, resume: bool, rule: Rule | None = None) -> Lut:
    """Measure every unit of `space` on `device` and write the table to `out`.

    What was measured is in the journal beside `out` at any moment; with `resume` a build goes on from there and
    measures nothing twice. The finished journal stays as the table's samples.

    Raises:
        UserError: there is an unfinished build and `resume` was not said, or it was of another device, space or seed.
        DeviceError: the device failed for good.
    """
    rule = rule or Rule()
    journal_file = journal_path(out)
    records = read_journal(journal_file)
    if records and not resume:
        raise UserError(
            f"{journal_file} holds an unfinished build: add --resume to go on with it, or delete it to start anew"
        )
    plan = stub_plan(space, np.random.default_rng(seed))
    with Link(device) as link:
        header = _header(device, space, plan, rule, seed, link.hello())
        if records:
            _check_same_build(journal_file, records[0], header)
            note(f"going on with {journal_file}: {_count(records)} measurements are there")
        journal = Journal(journal_file)
        if not records:
            journal.append(header)
            records.append(header)
        session = Session(plan.jobs, plan.reference, link, journal, records, rule, seed)
        try:
            session.run(f"measuring {device.name}")
            telemetry, restarts = link.telemetry(), link.restarts
        finally:
            journal.close()
    lut = _finish(plan, space, session.records, telemetry, restarts)
    sha256 = save(out, lut.table)
    with explain_os_errors(samples_path(out)):
        journal_file.replace(samples_path(out))
    return Lut(lut.table, sha256)


def validate(lut: Lut, device: Device, networks: int, seed: int) -> Validation:
    """Measure held-out networks on `device` and compare the table with them.

    Raises:
        UserError: fewer than 2 networks, or more than the space has.
        DeviceError: the device failed for good.
    """
    known = np.array([network.encoding for network in lut.calibration.networks])
    X = held_out(lut.space, networks, np.random.default_rng([seed, 1]), known)
    jobs = [network_job(lut.space, x, "validation") for x in X]
    device = replace_threads(device, lut.device.threads)
    with Link(device) as link:
        _warn_of_another_device(lut, link.hello())
        measured = _measure(jobs, reference_job(lut.space), link, seed, "measuring held-out networks")
    return validation(lut, X, [measured[network_key(x)] for x in X])


def measure(device: Device, models: Sequence[Path], seed: int = 0) -> list[Estimate]:
    """Time any models with the same care: in turns, several visits each, with a reference in between."""
    names = dict.fromkeys(models)  # the same file twice is measured once
    jobs = [Job(str(path), "model", lambda path=path: path) for path in names]  # type: ignore[misc]
    with Link(device) as link:
        measured = _measure(jobs, reference_job(spaces.load("tiny")), link, seed, f"measuring {len(jobs)} models")
    return [measured[str(path)] for path in models]


def replace_threads(device: Device, threads: int | None) -> Device:
    """The device with another number of threads; None leaves it as it is."""
    return device if threads is None else device.model_copy(update={"threads": threads})


def _measure(jobs: Sequence[Job], reference: Job, link: Link, seed: int, title: str) -> dict[str, Estimate]:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.jsonl")
        session = Session(jobs, reference, link, journal, [], Rule(), seed)
        try:
            session.run(title)
        finally:
            journal.close()
    return estimates(session.records, session.clock)


def _finish(plan: Plan, space: Space, records: list[Record], telemetry: dict[str, Any], restarts: int) -> Lut:
    """Fit, calibrate, validate."""
    header = records[0]
    clock = header["hello"]["clock"]
    known = estimates(records, clock)
    table = fit.entries(space, known)
    calibration = fit.calibrate(
        space, table, plan.calibration, _of(known, plan.calibration), known[context_key(EMPTY_SHAPE)].latency_ms
    )
    unproven = Table(
        device=_device_record(header, telemetry),
        space=space.to_dict(),
        method=_method_record(header, plan, records, restarts),
        entries=table,
        calibration=calibration,
    )
    proof = validation(Lut(unproven), plan.validation, _of(known, plan.validation))
    lut = Lut(unproven.model_copy(update={"validation": proof}))
    _say_quality(lut)
    return lut


def _of(known: dict[str, Estimate], X: IntArray) -> list[Estimate]:
    return [known[network_key(x)] for x in X]


def _header(device: Device, space: Space, plan: Plan, rule: Rule, seed: int, hello: dict[str, Any]) -> Record:
    keys = "\n".join([*(job.key for job in plan.jobs), plan.reference.key])
    return {
        "what": "build",
        "journal": _JOURNAL_FORMAT,
        "device": device.model_dump(mode="json", exclude={"source"}),
        "space": space.fingerprint,
        "method": METHOD,
        "seed": seed,
        "rule": asdict(rule),
        "plan": hashlib.sha256(keys.encode()).hexdigest(),
        "hello": {key: value for key, value in hello.items() if key != "pid"},
        "started": _now(),
    }


def _check_same_build(path: Path, found: Record, wanted: Record) -> None:
    """Refuse to mix measurements of two builds; says which field differs first."""
    for key in wanted:
        if key != "started" and found.get(key) != wanted[key]:
            raise UserError(
                f"{path} is of another build, its {key} differs: "
                "run with the same arguments on the same device, or delete it to start anew"
            )


def _device_record(header: Record, telemetry: dict[str, Any]) -> DeviceRecord:
    hello, device = header["hello"], header["device"]
    runtime = dict(hello["runtime"])
    return DeviceRecord(
        name=device["name"],
        kind=runtime.pop("kind"),
        chip=hello["chip"],
        system=hello["system"],
        runtime=runtime.pop("name"),
        runtime_version=runtime.pop("version"),
        precision=runtime.pop("precision"),
        batch=runtime.pop("batch"),
        threads=runtime.pop("threads", None),
        runtime_options=runtime,
        cores=hello["cores"],
        power_mode=", ".join(telemetry.get("governors", [])) or None,
        frequency_mhz=telemetry.get("frequency_mhz"),
        agent_version=hello["agent"],
        simulated=device["simulated"],
    )


def _method_record(header: Record, plan: Plan, records: list[Record], restarts: int) -> MethodRecord:
    clock, rule = header["hello"]["clock"], header["rule"]
    drift = Drift(records, clock)
    measured = [record for record in records if record["what"] == "measured"]
    roles = [job.role for job in plan.jobs]
    return MethodRecord(
        name=METHOD,
        plan={role: roles.count(role) for role in dict.fromkeys(roles)},
        seed=header["seed"],
        clock=clock,
        statistic="20 % trimmed mean of a visit over the reference, mean or median of the visits",
        target_percent=100 * rule["target"],
        floor=rule["floor"],
        cap=rule["cap"],
        limit_s=rule["limit_s"],
        reference=plan.reference.key,
        reference_ms=round(drift.reference_ms, 6),
        drift_percent=round(100 * drift.most, 2),
        visits=len(measured),
        device_time_s=round(sum(record.get("spent_s", 0.0) for record in records), 3),
        restarts=restarts,
        started=header["started"],
        finished=_now(),
        tool_version=version("mosegnas-hil"),
    )


def _say_quality(lut: Lut) -> None:
    """Warnings with advice: what a person should know before relying on the table."""
    entries = lut.table.entries.values()
    loose = sum(not entry.converged for entry in entries)
    contended = sum("contended" in entry.flags for entry in entries)
    if loose:
        warn(
            f"{loose} of {len(entries)} entries did not settle within {lut.table.method.target_percent:g} %: "
            "each says so; a quieter machine gives narrower intervals"
        )
    if contended:
        warn(
            f"{contended} of {len(entries)} entries were measured while others used the processor: "
            "stop them and build again"
        )
    if lut.table.method.drift_percent > _UNSTEADY_PERCENT:
        warn(
            f"the device's speed strayed by {lut.table.method.drift_percent:.0f} % (the reference corrected for it): "
            "`profiler doctor` says what may be behind it"
        )


def _warn_of_another_device(lut: Lut, hello: dict[str, Any]) -> None:
    made = (lut.device.chip, lut.device.runtime_version)
    here = (hello["chip"], hello["runtime"]["version"])
    if made != here:
        warn(f"the table was made on {made[0]} with runtime {made[1]}, this is {here[0]} with {here[1]}")


def _count(records: list[Record]) -> int:
    return sum(record["what"] == "measured" for record in records)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
