"""Which converter a device needs."""

from __future__ import annotations

import sys
from pathlib import Path

from device_agents import emulator
from mosegnet.half import to_half
from profiler.convert.atc import AtcOptions
from profiler.convert.converters import AtcConverter, Converter, NoConversion, Rewrite
from profiler.convert.runner import Runner
from profiler.devices import Device
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
    set_env = device.set_env if device.convert == "board" else device.host_set_env
    return AtcConverter(AtcOptions(soc=device.soc, command=device.atc, set_env=set_env), runner=_runner_of(device))


def _runner_of(device: Device) -> Runner | None:
    """Where to convert; None is this machine."""
    if device.convert == "host":
        return None
    from profiler.ssh_address import address_of, address_of_host  # only who has a board waits for paramiko to load
    from profiler.ssh_runner import SshRunner

    if device.convert == "board":
        return SshRunner(address_of(device.boards()[0]), device.folder)
    return SshRunner(address_of_host(device.convert), "~/.mosegnas")


def _rewriting(device: Device) -> tuple[Rewrite, ...]:
    """TensorRT wants weights that lie ready, and half precision written into the graph."""
    weights = (with_initialisers,) if device.runtime == "tensorrt" else ()
    half = (to_half,) if device.precision == "fp16" and device.runtime in ("tensorrt", "onnxruntime-cuda") else ()
    return (*weights, *half)
