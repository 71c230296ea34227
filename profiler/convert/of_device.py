"""Which converter a device needs."""

from __future__ import annotations

import sys
from pathlib import Path

from device_agents import emulator
from profiler.convert.atc import AtcOptions
from profiler.convert.converters import AtcConverter, Converter, NoConversion
from profiler.devices import Device

_STAND_IN_BYTES = 300_000_000  # of memory, for a conversion that only looks like one


def converter_of(device: Device) -> Converter:
    """ATC for an Ascend chip, the emulator's own for the emulator; none for runtimes that load ONNX."""
    if device.runtime != "acl":
        return NoConversion()
    assert device.soc is not None
    if device.simulated:
        command = (sys.executable, str(Path(emulator.BIN) / "atc"))
        return AtcConverter(AtcOptions(soc=device.soc, command=command, memory_bytes=_STAND_IN_BYTES))
    return AtcConverter(AtcOptions(soc=device.soc, command=device.atc, set_env=device.host_set_env))
