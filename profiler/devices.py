"""Who the devices are: built-in ones and those of `devices.toml`."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors

FILES = (Path("devices.toml"), Path("~/.config/mosegnas/devices.toml"))  # the first to name a device counts


class Device(BaseModel):
    """One device: where its agent runs, with which runtime, and how.

    `cores` are the processor cores that the agent is pinned to; None pins it to as many as it has threads, the last
    ones, which the system's own work uses least.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    link: Literal["local"] = "local"
    runtime: Literal["onnxruntime"] = "onnxruntime"
    threads: int = Field(default=1, ge=1)
    spinning: bool = False
    cores: tuple[int, ...] | None = None
    simulated: bool = False
    source: str = "built in"

    @property
    def options(self) -> dict[str, Any]:
        """What the agent's runtime is created with."""
        return {"threads": self.threads, "spinning": self.spinning}

    def pinned_cores(self) -> list[int] | None:
        """The cores to pin to, or None where the system cannot pin or all cores are wanted."""
        if self.cores is not None:
            return list(self.cores)
        if not hasattr(os, "sched_getaffinity"):
            return None
        usable = sorted(os.sched_getaffinity(0))
        return usable[-self.threads :] if self.threads < len(usable) else None


_BUILT_IN = (Device(name="cpu"),)


def known() -> dict[str, Device]:
    """Every device by name: built-in ones, then those of the files, which may not take a built-in's name."""
    devices = {device.name: device for device in _BUILT_IN}
    for path in FILES:
        for device in _read(path.expanduser()):
            if device.name in devices and devices[device.name].source == "built in":
                raise UserError(f"{path}: {device.name!r} is built in, give the device another name")
            devices.setdefault(device.name, device)
    return devices


def find(name: str) -> Device:
    """The device called `name`.

    Raises:
        UserError: there is none; names those there are.
    """
    devices = known()
    if name not in devices:
        raise UserError(
            f"unknown device {name!r}: there is {', '.join(devices)}; add others to {FILES[0]} or {FILES[1]}"
        )
    return devices[name]


def _read(path: Path) -> list[Device]:
    if not path.exists():
        return []
    with explain_os_errors(path, "read"):
        text = path.read_bytes()
    try:
        tables = tomllib.loads(text.decode()).get("devices", {})
    except ValueError as error:
        raise UserError(f"{path} is not valid TOML: {error}") from None
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise UserError(f"{path}: describe each device in a table of its own, such as [devices.my-cpu]")
    return [_device(path, name, table) for name, table in tables.items()]


def _device(path: Path, name: str, table: dict[str, Any]) -> Device:
    if "name" in table or "source" in table:
        raise UserError(f"{path}: the name of device {name!r} is that of its table, leave out 'name' and 'source'")
    try:
        return Device(name=name, source=str(path), **table)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: device {name!r}, field {field!r}: {first['msg']}") from None
