"""Which converter a device needs."""

from __future__ import annotations

import sys
from pathlib import Path

from device_agents import emulator
from profiler.convert.atc import AtcOptions
from profiler.convert.converters import AtcConverter, Converter, NoConversion, Rewrite
from profiler.devices import Device
from profiler.half import to_half
from profiler.initialisers import with_initialisers

_STAND_IN_BYTES = 300_000_000  # of memory, for a conversion that only looks like one


def converter_of(device: Device) -> Converter:
    """ATC for an Ascend chip, the emulator's own for the emulator; ONNX as it is, or as a card's runtime wants it."""
    if device.runtime != "acl":
        return NoConversion(_rewriting(device))
    assert device.soc is not None
    if device.simulated:
        command = (sys.executable, str(Path(emulator.BIN) / "atc"))
        return AtcConverter(AtcOptions(soc=device.soc, command=command, memory_bytes=_STAND_IN_BYTES))
    return AtcConverter(AtcOptions(soc=device.soc, command=device.atc, set_env=device.host_set_env))


def _rewriting(device: Device) -> tuple[Rewrite, ...]:
    """TensorRT wants weights that lie ready, and half precision written into the graph."""
    weights = (with_initialisers,) if device.runtime == "tensorrt" else ()
    half = (to_half,) if device.precision == "fp16" and device.runtime in ("tensorrt", "onnxruntime-cuda") else ()
    return (*weights, *half)
