"""The other half of Algorithm 2: what a network's latency is, by a table and on the device itself."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from mosegnet.architecture import Architecture
from mosegnet.common.errors import UserError
from mosegnet.common.files import write_atomic
from mosegnet.onnx_graph import network_model
from mosegnet.space import Space
from profiler import lut as tables
from profiler.lut import Lut
from search.remeasure import measure


def table_for(path: Path, space: Space | None) -> Lut:
    """The table, which must be of the network's space.

    Raises:
        UserError: it cannot be read, is of another space, or the network is of none.
    """
    if space is None:
        raise UserError(f"table {path} cannot tell the latency of a network that is of no space: measure it, --device")
    return tables.load(path, space)


def predicted(lut: Lut, architecture: Architecture) -> dict[str, Any]:
    """What a table says of a network, as JSON data; milliseconds, half-width of the 95 % interval."""
    (latency_ms,), (ci95_ms,) = lut.predict_interval([architecture.encoding])
    return {
        "latency_ms": round(float(latency_ms), 6),
        "ci95_ms": round(float(ci95_ms), 6),
        "device": lut.device.name,
        "precision": lut.device.precision,
        "simulated": lut.device.simulated,
        "lut_sha256": lut.sha256,
    }


def measured(architecture: Architecture, device: str, threads: int | None = None) -> dict[str, Any]:
    """What a device needs for one image, as JSON data; weights do not matter to it, so constants stand for them.

    Raises:
        UserError: the device is unknown or cannot take the network.
        DeviceError: the device failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        write_atomic(path, network_model(architecture))
        return measured_file(path, device, threads)


def measured_file(path: Path, device: str, threads: int | None = None) -> dict[str, Any]:
    """As `measured`, of an ONNX file."""
    (found,) = measure([path], device, threads)
    return {
        "latency_ms": found.latency_ms,
        "ci95_ms": found.ci95_ms,
        "converged": found.converged,
        "device": device,
    }
