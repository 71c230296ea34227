"""A table corrected by networks measured since, on the same device: hardware in the loop of a search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mosegnet.common.journal import Journal, read_journal
from mosegnet.digits import IntArray
from profiler import posterior, whole
from profiler.devices import Device
from profiler.finish import latency_fields
from profiler.lut import Lut
from profiler.prior import of_own_table
from profiler.schema import NetworkRecord, Table
from profiler.validate import network_records

_LEAST_FOR_INTERVAL = 8  # networks, under which the table's own interval stands


def measure_and_correct(lut: Lut, device: Device, X: IntArray, journal_file: Path, seed: int) -> Table:
    """Measure the networks X, shape (n, digits), that the journal lacks; correct `lut` by all that it then holds.

    Raises:
        UserError: a network that the table has no latency for.
        DeviceError: the device failed for good; what was measured before is in the journal.
    """
    X = lut.space.canonical(X)
    lut.predict(X)
    known = [NetworkRecord.model_validate(record) for record in read_journal(journal_file)]
    done = {tuple(network.encoding) for network in known}
    new = np.array([x for x in X if tuple(x.tolist()) not in done], dtype=np.int64).reshape(-1, X.shape[1])
    if len(new):
        known += _measured(lut, device, new, journal_file, seed)
    return corrected(lut, known)


def corrected(lut: Lut, networks: Sequence[NetworkRecord]) -> Table:
    """`lut` moved as far as the networks bear; its own calibration networks stay beside them."""
    X = np.array([network.encoding for network in networks], dtype=np.int64)
    latency_ms = np.array([network.measured_ms for network in networks])
    fitted = posterior.fit(lut.space, of_own_table(lut.space, lut), X, latency_ms)
    table = lut.table
    entries = {
        unit.key: table.entries[unit.key].model_copy(update=latency_fields(ms, sd_ms))
        for unit, ms, sd_ms in zip(lut.space.units, fitted.unit_ms, fitted.unit_sd_ms, strict=True)
        if unit.key in table.entries
    }
    interval = [100 * float(share) for share in fitted.interval]
    if len(networks) < _LEAST_FOR_INTERVAL:
        interval = [max(pair) for pair in zip(interval, table.calibration.interval_percent, strict=True)]
    predicted_ms = posterior.predict(lut.space, fitted, X)
    networks = [
        network.model_copy(update={"predicted_ms": round(float(ms), 6)})
        for network, ms in zip(networks, predicted_ms, strict=True)
    ]
    calibration = table.calibration.model_copy(
        update={
            "constant_ms": [round(float(ms), 7) for ms in fitted.constant_ms],
            "interval_percent": [round(percent, 3) for percent in interval],
            "networks": [*table.calibration.networks, *networks],
        }
    )
    method = table.method.model_copy(update={"prior": lut.sha256})
    return table.model_copy(
        update={"entries": entries, "calibration": calibration, "method": method, "validation": None, "visits": []}
    )


def _measured(lut: Lut, device: Device, X: IntArray, journal_file: Path, seed: int) -> list[NetworkRecord]:
    found = whole.networks_on_device(lut, device, X, seed, f"measuring {len(X)} candidates")
    records = network_records(X, found, lut.predict(X))
    journal = Journal(journal_file)
    for record in records:
        journal.append(record.model_dump(mode="json"))
    journal.close()
    return records
