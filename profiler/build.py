"""From a device and a space to a finished table."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mosegnet.common.console import note, warn
from mosegnet.common.errors import DeviceError, UserError
from mosegnet.common.files import explain_os_errors, write_atomic
from mosegnet.common.journal import Journal, read_journal
from mosegnet.space import Space
from profiler import energy as energies
from profiler import plan as plans
from profiler.answers import chip_of
from profiler.conversion_check import check_conversions
from profiler.convert import Converter, converter_of
from profiler.devices import Device
from profiler.finish import finish, now, unit_times, unsettled_networks
from profiler.link import Link, Rule
from profiler.lut import Lut, save
from profiler.plan import Job, MethodName, Plan
from profiler.session import Session, Unsure
from profiler.visits import Record

_JOURNAL_FORMAT = 2
_UNSTEADY_PERCENT = 10.0
_MAY_DIFFER = ("started", "energy")  # of two headers of one build: energy may be left out when it goes on
_CLOCKS = ("governors", "frequency_max_mhz")


@dataclass(frozen=True, slots=True)
class Method:
    """How a table is built. None: what the evidence favours on the device's runtime, and its own number of networks.

    `energy`: measure it as well where the device tells it.
    """

    name: MethodName | None = None
    networks: int | None = None
    prior: Lut | None = None
    energy: bool = True


def journal_path(out: Path) -> Path:
    """Where a build writes what it has measured so far."""
    return out.with_suffix(".journal.jsonl")


def samples_path(out: Path) -> Path:
    """Where the journal, with every raw sample, stays when the table is finished."""
    return out.with_suffix(".samples.jsonl.gz")


def build(
    device: Device,
    space: Space,
    out: Path,
    seed: int,
    resume: bool,
    rule: Rule | None = None,
    method: Method | None = None,
) -> Lut:
    """Measure `space` on `device` and write the table to `out`.

    What was measured is in the journal beside `out` at any moment; with `resume` a build goes on from there and
    measures nothing twice. The finished journal stays as the table's samples.

    Raises:
        UserError: there is an unfinished build and `resume` was not said, or it was of another device, space, seed or
            method; or the method does not fit.
        DeviceError: the device failed for good.
    """
    rule, method = rule or Rule(), method or Method()
    journal_file = journal_path(out)
    records = read_journal(journal_file)
    if records and not resume:
        raise UserError(
            f"{journal_file} holds an unfinished build: add --resume to go on with it, or --restart to start anew"
        )
    with ExitStack() as stack:
        links = open_boards(device, stack)
        plan = _plan(space, method, links[0].hello(), seed)
        converter = converter_of(device)
        header = _header(device, space, plan, method, rule, seed, links[0], converter)
        if records:
            _check_same_build(journal_file, records[0], header)
            note(f"going on with {journal_file}: {_count(records)} measurements are there")
        journal = Journal(journal_file)
        try:
            if not records:
                if converter.describe():
                    compared = check_conversions(space, links[0], converter)
                    note(f"{len(compared)} converted units compute what their graphs say")
                journal.append(header)
                records.append(header)
            sessions = _Sessions(plan, links, journal, records, rule, seed, converter)
            _measure(sessions, space)
            if header["energy"]:
                _measure_energy(sessions, space)
            telemetry, restarts = links[0].telemetry(), sum(link.restarts for link in links)
        finally:
            journal.close()
    lut = finish(plan, space, records, telemetry, restarts, method.prior)
    _say_quality(lut)
    sha256 = save(out, lut.table)
    _keep_samples(journal_file, samples_path(out))
    return Lut(lut.table, sha256)


def set_aside(out: Path) -> Path | None:
    """Put an unfinished build's journal out of the way, so that a new one can start; its new name, if there was one."""
    journal_file = journal_path(out)
    if not journal_file.exists():
        return None
    aside = next(path for k in range(1, 10_000) if not (path := out.with_suffix(f".journal.{k}.jsonl")).exists())
    with explain_os_errors(journal_file):
        journal_file.rename(aside)
    return aside


def replace_threads(device: Device, threads: int | None) -> Device:
    """The device with another number of threads; None leaves it as it is."""
    return device if threads is None else device.model_copy(update={"threads": threads})


def _plan(space: Space, method: Method, hello: dict[str, Any], seed: int) -> Plan:
    """The plan of the method asked for.

    Raises:
        UserError: the prior is of another space, or the device cannot time single nodes.
    """
    name = method.name
    if name is None and method.prior is not None:
        name = "hybrid"
    elif name is None:
        name = "designed" if hello["node_profiler"] else "hybrid"
    if name == "designed" and not hello["node_profiler"]:
        runtime = hello["runtime"]["name"]
        raise UserError(f"method designed needs a runtime that times single nodes, {runtime} does not: take hybrid")
    if method.prior is not None and method.prior.space.fingerprint != space.fingerprint:
        raise UserError(
            f"the prior is a table of space {method.prior.space.name!r}, not of this {space.name!r}: their units differ"
        )
    return plans.make_plan(space, name, method.networks, method.prior is not None, np.random.default_rng(seed))


def open_boards(device: Device, stack: ExitStack) -> list[Link]:
    """A link to each of the device's boards that answers; they have to be alike.

    Raises:
        DeviceError: none of them answers, or they differ in chip or runtime.
    """
    links: list[Link] = []
    for board in device.boards():
        link = Link(board)
        stack.callback(link.close)
        try:
            link.hello()
        except DeviceError as error:
            if len(device.boards()) == 1:
                raise
            warn(f"board {board.host} is set aside: {error}")
            continue
        links.append(link)
    if not links:
        raise DeviceError(f"device {device.name}: none of its {len(device.boards())} boards answers")
    kinds = {(chip_of(link.hello()), str(sorted(link.hello()["runtime"].items()))) for link in links}
    if len(kinds) > 1:
        raise DeviceError(f"device {device.name}: its boards are not alike: {', '.join(sorted(map(str, kinds)))}")
    return links


@dataclass(frozen=True, slots=True)
class _Sessions:
    """What all sessions of one build share."""

    plan: Plan
    links: Sequence[Link]
    journal: Journal
    records: list[Record]
    rule: Rule
    seed: int
    converter: Converter

    def run(self, title: str, jobs: Sequence[Job], unsure: Unsure | None = None) -> None:
        """Measure what of `jobs` is not in the journal yet."""
        session = Session(
            jobs, self.plan.reference, self.links, self.journal, self.records, self.rule, self.seed, self.plan.effort,
            unsure, self.converter,
        )  # fmt: skip
        session.run(title)


def _measure(sessions: _Sessions, space: Space) -> None:
    """Carry the plan out; units of which no network would run are tried by themselves."""
    plan, records, clock = sessions.plan, sessions.records, sessions.links[0].hello()["clock"]

    def unsure(known: Sequence[Record]) -> set[str]:
        return unsettled_networks(plan, space, known, clock, sessions.rule.target)

    sessions.run(f"measuring {records[0]['device']['name']}", plan.jobs, unsure)
    if plan.method == "designed":
        seen = unit_times(plan, space, records, clock)
        missing = [unit for unit in space.units if unit.key not in seen]
        if missing:
            sessions.run("trying units of which no network ran", plans.stub_jobs(missing), unsure)


def _measure_energy(sessions: _Sessions, space: Space) -> None:
    """After all latencies, as it heats the device: the energy of whole networks, unless the first one has none."""
    jobs = energies.jobs(sessions.plan, space)
    for part, title in ((jobs[:1], "trying the device's meter"), (jobs, "measuring energy")):
        sessions.run(title, part)
        refused = [one for one in sessions.records if one["what"] == "refused" and one["key"] == jobs[0].key]
        if refused:
            warn(f"the table has no energy: {refused[0]['detail']}")
            return


def tells_energy(link: Link) -> bool:
    """Whether the device has a meter of energy or power."""
    return bool(link.hello().get("energy_meter")) and any(name in link.telemetry() for name in energies.METERS)


def _header(
    device: Device,
    space: Space,
    plan: Plan,
    method: Method,
    rule: Rule,
    seed: int,
    link: Link,
    converter: Converter,
) -> Record:
    keys = "\n".join([*(job.key for job in plan.jobs), plan.reference.key])
    clocks = {name: value for name, value in link.telemetry().items() if name in _CLOCKS}
    return {
        "what": "build",
        "journal": _JOURNAL_FORMAT,
        "device": device.model_dump(mode="json", exclude={"source"}),
        "space": space.fingerprint,
        "method": plan.method,
        "prior": method.prior.sha256 if method.prior is not None else None,
        "seed": seed,
        "rule": asdict(rule),
        "plan": hashlib.sha256(keys.encode()).hexdigest(),
        "hello": {key: value for key, value in link.hello().items() if key != "pid"},
        "clocks": clocks,
        "conversion": converter.describe(),
        "energy": method.energy and tells_energy(link),
        "started": now(),
    }


def _check_same_build(path: Path, found: Record, wanted: Record) -> None:
    """Refuse to mix measurements of two builds; says which field differs first."""
    for key in wanted:
        if key not in _MAY_DIFFER and found.get(key) != wanted[key]:
            raise UserError(
                f"{path} is of another build, its {key} differs: "
                "run with the same arguments on the same device, or add --restart to start anew"
            )


def _keep_samples(journal_file: Path, samples_file: Path) -> None:
    """Raw samples are never deleted: the journal goes, compressed, when the samples are safe."""
    with explain_os_errors(journal_file, "read"):
        data = journal_file.read_bytes()
    write_atomic(samples_file, gzip.compress(data, mtime=0))
    with explain_os_errors(journal_file, "remove"):
        journal_file.unlink()


def _say_quality(lut: Lut) -> None:
    """Warnings with advice: what a person should know before relying on the table."""
    entries = lut.table.entries.values()
    method = lut.table.method
    loose = sum(not entry.converged for entry in entries if entry.samples)
    contended = sum("contended" in entry.flags for entry in entries)
    if loose:
        warn(
            f"{loose} of {len(entries)} entries did not settle within {method.target_percent:g} % of "
            "themselves: each says so; what that does to a network is in the proof below"
        )
    if contended:
        warn(
            f"{contended} of {len(entries)} entries were measured while others used the processor: "
            "stop them and build again"
        )
    if method.drift_percent is not None and method.drift_percent > _UNSTEADY_PERCENT:
        warn(
            f"the device's speed strayed by {method.drift_percent:.0f} % (the reference corrected for it): "
            "`profiler doctor` says what may be behind it"
        )


def _count(records: list[Record]) -> int:
    return sum(record["what"] in ("measured", "profiled", "energy") for record in records)
