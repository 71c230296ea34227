"""Whole models timed on a device: held-out networks against a table, and any ONNX file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mosegnet import space as spaces
from mosegnet.common.console import warn
from mosegnet.common.journal import Journal
from profiler.build import replace_threads
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
    jobs = [network_job(lut.space, x, "validation") for x in X]
    device = replace_threads(device, lut.device.threads)
    with Link(device) as link:
        _warn_of_another_device(lut, link.hello())
        measured = in_turns(jobs, reference_job(lut.space), link, seed, "measuring held-out networks")
    return validation(lut, X, [measured[network_key(x)] for x in X], seed, now())


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


def measure(device: Device, models: Sequence[Path], seed: int = 0) -> list[Estimate]:
    """Time any models with the same care: in turns, several visits each, with a reference in between.

    Raises:
        DeviceError: the device failed for good, or cannot run one of the models.
    """
    names = dict.fromkeys(models)  # the same file twice is measured once
    jobs = [Job(str(path), "model", lambda path=path: path) for path in names]  # type: ignore[misc]
    with Link(device) as link:
        measured = in_turns(jobs, reference_job(spaces.load("tiny")), link, seed, f"measuring {len(jobs)} models")
    return [measured[str(path)] for path in models]


def in_turns(jobs: Sequence[Job], reference: Job, link: Link, seed: int, title: str) -> dict[str, Estimate]:
    """Measure models that all have to run, several visits each, with a reference in between; by the jobs' keys.

    Raises:
        DeviceError: the device failed for good, or cannot run one of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.jsonl")
        session = Session(jobs, reference, link, journal, [], Rule(), seed)
        try:
            session.run(title)
        finally:
            journal.close()
    session.refuse_gaps()
    return estimates(session.records, session.clock)


def _warn_of_another_device(lut: Lut, hello: dict[str, Any]) -> None:
    made = (lut.device.chip, lut.device.runtime_version)
    here = (hello["chip"], hello["runtime"]["version"])
    if made != here:
        warn(f"the table was made on {made[0]} with runtime {made[1]}, this is {here[0]} with {here[1]}")
