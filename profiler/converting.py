"""One model converted for a device and tried on it; no timing."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from device_agents.faults import Fault
from mosegnet.common.errors import DeviceError, UserError
from mosegnet.common.files import explain_os_errors, write_atomic
from mosegnet.digits import FloatArray
from profiler.convert import Failure, converter_of
from profiler.devices import Device
from profiler.link import Link
from profiler.plan import Job

Feed = dict[str, FloatArray]  # an array for each input


@dataclass(frozen=True, slots=True)
class Converted:
    """The model as the device loads it, what it computed, and what it depends on, as JSON data."""

    data: bytes
    outputs: list[Feed]  # flat, one for each feed
    described: dict[str, Any]


def convert(device: Device, model: Path, feeds: Sequence[Feed]) -> Converted:
    """Convert an ONNX file for a device, which then runs it on every feed.

    Raises:
        UserError: it cannot be converted.
        DeviceError: the device failed, or refuses the model or an input.
    """
    converter = converter_of(device)
    with Link(device.boards()[0]) as link:
        runtime = link.hello()["runtime"]
        with converter.models([Job(model.name, "model", lambda: model)]) as models:
            _, made = next(iter(models))
        if isinstance(made, Failure):
            raise UserError(f"{model} cannot be converted for {device.name}: {made.message}")
        data = made.read_bytes() if isinstance(made, Path) else made
        outputs = [_checked(link.run(data, feed, model.name), device, model) for feed in feeds]
        if device.runtime == "tensorrt":
            data = _checked(link.build(data, model.name), device, model)
    described = {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "device": device.name,
        "precision": runtime.get("precision", device.precision),
        "simulated": bool(device.simulated or runtime.get("simulated")),
        "runtime": runtime,
        "converter": converter.describe(),
    }
    return Converted(data, outputs, described)


def read_feeds(path: Path) -> list[Feed]:
    """One feed for each run, from a file of numpy's with an array (runs, …) for each input.

    Raises:
        UserError: it is no such file, or its arrays differ in the number of runs.
    """
    if not path.is_file():
        raise UserError(f"inputs {path} do not exist")
    try:
        with explain_os_errors(path, "read"), np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name].astype(np.float32) for name in file.files}
    except (ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise UserError(f"{path} is no .npz of numbers: {error}") from None
    counts = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(counts) != 1 or not min(counts):
        raise UserError(f"{path}: every input needs an array, and all of them as many runs")
    return [{name: array[k] for name, array in arrays.items()} for k in range(counts.pop())]


def write(found: Converted, out: Path, results: Path | None) -> None:
    """The model into one file, the outputs into another, both whole or not at all."""
    write_atomic(out, found.data)
    if results is None:
        return
    names = list(found.outputs[0]) if found.outputs else []
    buffer = io.BytesIO()
    rows: dict[str, Any] = {name: np.stack([one[name] for one in found.outputs]) for name in names}
    np.savez(buffer, **rows)
    write_atomic(results, buffer.getvalue())


def _checked(answer: Any, device: Device, model: Path) -> Any:
    if isinstance(answer, Fault):
        raise DeviceError(f"{device.name} cannot run {model.name}: {answer.detail}")
    return answer
