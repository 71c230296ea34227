"""Who the devices are: built-in ones and those of `devices.toml`."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from device_agents import emulator
from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors

HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:%-]*")  # a name, an address or an alias; nothing that looks like an option
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]*")
FILES = (Path("devices.toml"), Path("~/.config/mosegnas/devices.toml"))  # the first to name a device counts


_OF_SSH = frozenset({"host", "hosts", "port", "user", "key", "jump", "python", "folder"})


class Device(BaseModel):
    """One device: where its agent runs, with which runtime, and how.

    `cores` are the processor cores that the agent is pinned to; None pins it, on this machine, to as many as it has
    threads, the last ones, which the system's own work uses least. `hosts` are several boards of one kind that share
    the work. `convert` says where models are converted for the board: on this machine (`host`), on the `board`, or on
    another host over SSH, as ~/.ssh/config knows it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    link: Literal["local", "ssh"] = "local"
    runtime: Literal["onnxruntime", "onnxruntime-cuda", "tensorrt", "acl"] = "onnxruntime"
    threads: int = Field(default=1, ge=1)
    spinning: bool = False
    cores: tuple[int, ...] | None = None
    # over SSH; what is not said is taken from ~/.ssh/config
    host: str | None = None
    hosts: tuple[str, ...] = ()
    port: int | None = Field(default=None, ge=1, le=65535)
    user: str | None = None
    key: Path | None = None
    jump: str | None = None
    python: str = Field(default="python3", min_length=1)
    folder: str = Field(default="~/.mosegnas", min_length=1)  # of the agent's files on the board
    # Ascend
    set_env: str | None = None
    device_id: int = Field(default=0, ge=0)
    soc: str | None = None
    convert: str = "host"
    atc: str = Field(default="atc", min_length=1)
    host_set_env: str | None = None
    # graphics cards
    precision: Literal["fp32", "fp16"] = "fp32"
    provider: Literal["cuda", "tensorrt"] = "cuda"  # of onnxruntime-cuda
    cuda_graph: bool = True
    spin: bool = True
    workspace_mb: int | None = Field(default=None, ge=1)
    simulated: bool = False
    source: str = "built in"

    @model_validator(mode="after")
    def _fits_together(self) -> Device:
        if self.link == "ssh" and not (self.host or self.hosts):
            raise ValueError("link ssh needs a host, or several hosts")
        if self.link == "local" and (set_here := self.model_fields_set & _OF_SSH):
            raise ValueError(f'{", ".join(sorted(set_here))}: only for a host over SSH, add link = "ssh"')
        if self.host and self.hosts:
            raise ValueError("give a host or several hosts, not both")
        if len(set(self.hosts)) != len(self.hosts):
            raise ValueError("a host is named twice among its hosts")
        if self.convert == "board" and self.link != "ssh":
            raise ValueError('convert = "board" is for a board over SSH')
        if self.runtime == "acl" and self.soc is None:
            raise ValueError("runtime acl needs the soc version, such as Ascend310 (`npu-smi info` names it)")
        return self

    @field_validator("host", "user", "convert")
    @classmethod
    def _is_a_name(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and not (USER if info.field_name == "user" else HOST).fullmatch(value):
            raise ValueError(f"{value!r} is no {'user' if info.field_name == 'user' else 'host'}")
        return value

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [value for value in values if not HOST.fullmatch(value)]:
            raise ValueError(f"{wrong[0]!r} is no host")
        return values

    @field_validator("python", "folder", "set_env", "host_set_env", "atc")
    @classmethod
    def _is_a_path(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return value
        if not value.isprintable() or value.startswith("-"):
            raise ValueError(f"{value!r} is no path")
        if info.field_name in ("folder", "set_env", "host_set_env") and not value.startswith(("/", "~/")):
            raise ValueError(f"{value!r} must begin with / or ~/")
        return value

    @property
    def options(self) -> dict[str, Any]:
        """What the agent's runtime is created with."""
        if self.runtime == "acl":
            return {"device_id": self.device_id, "soc": self.soc}
        if self.runtime == "onnxruntime-cuda":
            return {"provider": self.provider, "precision": self.precision, "device": self.device_id}
        if self.runtime == "tensorrt":
            options = {"precision": self.precision, "cuda_graph": self.cuda_graph, "spin": self.spin}
            limit = {} if self.workspace_mb is None else {"workspace_mb": self.workspace_mb}
            return {**options, **limit, "device": self.device_id}
        return {"threads": self.threads, "spinning": self.spinning}

    @property
    def agent_environment(self) -> dict[str, str]:
        """Variables of an agent on this machine; the emulator's stand-ins are found through them."""
        return emulator.environment() if self.runtime == "acl" and self.simulated else {}

    def boards(self) -> list[Device]:
        """Each board by itself."""
        if not self.hosts:
            return [self]
        return [self.model_copy(update={"host": host, "hosts": ()}) for host in self.hosts]

    def pinned_cores(self) -> list[int] | None:
        """The cores to pin to, or None where the system cannot pin, all cores are wanted, or the board decides."""
        if self.cores is not None:
            return list(self.cores)
        if self.link != "local" or self.runtime != "onnxruntime" or not hasattr(os, "sched_getaffinity"):
            return None
        usable = sorted(os.sched_getaffinity(0))
        return usable[-self.threads :] if self.threads < len(usable) else None


# The Atlas 200 DK as it comes: address, user and chip; `devices.toml` says where yours differs.
_ATLAS: dict[str, Any] = {
    "link": "ssh",
    "runtime": "acl",
    "host": "192.168.0.2",
    "user": "HwHiAiUser",
    "soc": "Ascend310",
}
_BUILT_IN = (
    Device(name="cpu"),
    Device(name="cuda", runtime="onnxruntime-cuda"),
    Device(name="atlas", **_ATLAS),
    Device(name="atlas-emulator", runtime="acl", soc="Ascend310", simulated=True),
)


def known() -> dict[str, Device]:
    """Every device by name: built-in ones, then those of the files, which may not take a built-in's name."""
    devices = {device.name: device for device in _BUILT_IN}
    for path in FILES:
        for device in _read(path.expanduser()):
            if device.name in ("cpu", "cuda", "atlas-emulator"):
                raise UserError(f"{path}: {device.name!r} is built in, give the device another name")
            if device.name not in devices or devices[device.name].source == "built in":
                devices[device.name] = device
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
    start = _ATLAS if name == "atlas" else {}
    if "hosts" in table:
        start = {field: value for field, value in start.items() if field != "host"}
    try:
        return Device(name=name, source=str(path), **{**start, **table})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        where = f", field {field!r}" if field else ""
        raise UserError(f"{path}: device {name!r}{where}: {first['msg'].removeprefix('Value error, ')}") from None
