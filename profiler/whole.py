"""Whole models timed on a device: held-out networks against a table, and any ONNX file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from mosegnet import space as spaces
from mosegnet.common.console import warn
from mosegnet.common.journal import Journal
from mosegnet.digits import IntArray
from profiler.answers import chip_of
from profiler.build import open_boards, replace_threads
from profiler.convert import converter_of
from profiler.devices import Device
from profiler.finish import now
from profiler.link import Link, Rule
from profiler.lut import Lut
from profiler.plan import Job, network_job, network_key, reference_job
from profiler.sampling import held_out
from profiler.schema import Table, Validation, Visit
from profiler.session import Session
from profiler.validate import validation
from profiler.visits import Estimate, estimates


def validate(lut: Lut, device: Device, networks: int, seed: int) -> Validation:
    """Measure held-out networks on `device` and compare the table with them.

    Raises:
        UserError: fewer than 2 networks, more than the space has, or one that the table has no latency for.
        DeviceError: the device failed for good.
    """
    known = np.array([network.encoding for network in lut.calibration.networks])
    X = held_out(lut.space, networks, np.random.default_rng([seed, 1]), known)
    X = X[lut.runs(X)]
    measured = networks_on_device(lut, device, X, seed, "measuring held-out networks")
    return validation(lut, X, measured, seed, now())


def with_validation(table: Table, found: Validation) -> Table:
    """The table with a new validation, which also tells how far the device had moved since the others."""
    visits = table.visits
    if not visits and table.validation is not None:
        visits = [_visit(table.validation, own=True)]
    return table.model_copy(update={"validation": found, "visits": [*visits, _visit(found, own=False)]})


def _visit(found: Validation, own: bool) -> Visit:
    return Visit(
        measured_at=found.measured_at,
        own=own,
        networks=found.networks,
        kendall_tau=found.kendall_tau,
        mape_percent=found.mape_percent,
        bias_percent=found.bias_percent,
    )


def measure(device: Device, models: Sequence[Path], seed: int = 0) -> tuple[str, list[Estimate]]:
    """Time any models with the same care: in turns, several visits each, with a reference in between.

    Returns the clock and what it said of each model.

    Raises:
        DeviceError: the device failed for good, or cannot run one of the models.
    """
    names = dict.fromkeys(models)  # the same file twice is measured once
    jobs = [Job(str(path), "model", lambda path=path: path) for path in names]  # type: ignore[misc]
    with Link(device.boards()[0]) as link:
        reference = reference_job(spaces.load("tiny"))
        clock: str = link.hello()["clock"]
        measured = in_turns(device, [link], jobs, reference, seed, f"measuring {len(jobs)} models")
    return clock, [measured[str(path)] for path in models]


def networks_on_device(lut: Lut, device: Device, X: IntArray, seed: int, title: str) -> list[Estimate]:
    """Measure the networks X, shape (n, digits), of a table's space as the table was measured; warns of another device.

    Raises:
        DeviceError: the device failed for good, or cannot run one of them.
    """
    jobs = [network_job(lut.space, x, "validation") for x in X]
    device = replace_threads(device, lut.device.threads)
    with ExitStack() as stack:
        links = open_boards(device, stack)
        _warn_of_another_device(lut, links[0].hello())
        measured = in_turns(device, links, jobs, reference_job(lut.space), seed, title)
    return [measured[network_key(x)] for x in X]


def in_turns(
    device: Device, links: Sequence[Link], jobs: Sequence[Job], reference: Job, seed: int, title: str
) -> dict[str, Estimate]:
    """Measure models that all have to run, several visits each, with a reference in between; by the jobs' keys.

    Raises:
        DeviceError: the device failed for good, or cannot run one of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.jsonl")
        session = Session(jobs, reference, links, journal, [], Rule(), seed, converter=converter_of(device))
        try:
            session.run(title)
        finally:
            journal.close()
    session.refuse_gaps()
    return estimates(session.records, session.clock)


def _warn_of_another_device(lut: Lut, hello: dict[str, Any]) -> None:
    made = (lut.device.chip, lut.device.runtime_version)
    here = (chip_of(hello), hello["runtime"]["version"])
    if made != here:
        warn(f"the table was made on {made[0]} with runtime {made[1]}, this is {here[0]} with {here[1]}")
