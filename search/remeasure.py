"""The chosen networks on the real device again, through the profiler's own command.

The search reads tables and knows nothing else of the profiler; so it asks for measurements as a person would.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mosegnet.common.errors import DeviceError, UserError

_FAULT, _INTERRUPTED = 3, 130


@dataclass(frozen=True, slots=True)
class Measured:
    """One model's latency on the device, with the half-width of its 95 % interval."""

    latency_ms: float
    ci95_ms: float
    converged: bool


def measure(models: Sequence[Path], device: str, threads: int | None) -> list[Measured]:
    """Time ONNX models on a device, interleaved; progress goes to standard error as the profiler writes it.

    Raises:
        UserError: the device is unknown or cannot take a model.
        DeviceError: the device failed.
        KeyboardInterrupt: the person stopped it.
    """
    arguments = ["measure", "--device", device, "--json", *(["--threads", str(threads)] if threads else [])]
    return [
        Measured(float(row["latency_ms"]), float(row["ci95_ms"]), bool(row["converged"]))
        for row in json.loads(profiler([*arguments, *map(str, models)], device))
    ]


def profiler(
    arguments: Sequence[str],
    device: str,
    text: str = "",
    failed: str = "the networks could not be measured on",
    remedy: str = "mend it and repeat with --resume",
) -> str:
    """What the command `profiler` prints; its progress and warnings go to standard error as it writes them.

    Raises:
        UserError: the device is unknown or cannot take a model.
        DeviceError: the device failed.
        KeyboardInterrupt: the person stopped it.
    """
    command = [sys.executable, "-m", "profiler.cli", *arguments]
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == _INTERRUPTED:
        raise KeyboardInterrupt
    if done.returncode:
        kind = DeviceError if done.returncode == _FAULT else UserError
        raise kind(f"{failed} {device} (said above): {remedy}")
    return done.stdout
