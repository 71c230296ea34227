"""Which converter a device needs."""

from __future__ import annotations

import sys

from profiler.convert.atc import AtcOptions
from profiler.convert.converters import AtcConverter, Converter, NoConversion
from profiler.devices import Device, emulator_site


def converter_of(device: Device) -> Converter:
    """ATC for an Ascend chip, the emulator's own for the emulator; none for runtimes that load ONNX."""
    if device.runtime != "acl":
        return NoConversion()
    assert device.soc is not None
    if device.simulated:
        command = (sys.executable, str(emulator_site().parent / "atc.py"))
        return AtcConverter(AtcOptions(soc=device.soc, command=command, memory_bytes=200_000_000))
    return AtcConverter(AtcOptions(soc=device.soc, command=device.atc, set_env=device.host_set_env))
