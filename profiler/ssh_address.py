"""Where to log in and as whom: a device's own fields first, then what ~/.ssh/config says of the host."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass, replace
from pathlib import Path

import paramiko

from mosegnet.common.errors import UserError
from profiler.devices import HOST, USER, Device

_NO_JUMP = "none"  # ssh's own word


@dataclass(frozen=True, slots=True)
class Address:
    """One login. `keys` are files tried beside ssh's agent and the usual ones; `jumps` lead there, nearest first."""

    host: str
    port: int
    user: str
    keys: tuple[str, ...]
    jumps: tuple[str, ...]  # each [user@]host[:port]

    def __str__(self) -> str:
        return f"{self.user}@{self.host}{'' if self.port == 22 else f':{self.port}'}"

    @property
    def by_hand(self) -> str:
        """The command with which a person logs in there."""
        jumps = f"-J {','.join(self.jumps)} " if self.jumps else ""
        port = "" if self.port == 22 else f"-p {self.port} "
        return f"ssh {jumps}{port}{self.user}@{self.host}"


def address_of(device: Device) -> Address:
    """The device's address.

    Raises:
        UserError: its key is not there, or ~/.ssh/config cannot be understood.
    """
    assert device.host is not None
    key = os.path.expanduser(device.key) if device.key else None
    if key is not None and not os.path.isfile(key):
        raise UserError(f"device {device.name}: there is no key {key}: give the file of the private key")
    return _resolve(device.host, device.user, device.port, key, device.jump)


def address_of_host(host: str) -> Address:
    """The address of a machine that ~/.ssh/config knows, or does not need to.

    Raises:
        UserError: ~/.ssh/config cannot be understood.
    """
    return _resolve(host, None, None, None, None)


def hops_to(address: Address) -> list[Address]:
    """The machines to log in to on the way, nearest first.

    Raises:
        UserError: a jump host is no [user@]host[:port].
    """
    return [_hop(hop, address.keys) for hop in address.jumps]


def _resolve(host: str, user: str | None, port: int | None, key: str | None, jump: str | None) -> Address:
    found = _lookup(host)
    jumps = jump if jump is not None else found.get("proxyjump", "")
    return Address(
        host=str(found.get("hostname", host)),
        port=port or _port(host, found),
        user=user or str(found.get("user") or getpass.getuser()),
        keys=(key,) if key else tuple(path for path in found.get("identityfile", ()) if os.path.isfile(path)),
        jumps=() if jumps.lower() == _NO_JUMP else tuple(hop.strip() for hop in jumps.split(",") if hop.strip()),
    )


def _lookup(host: str) -> paramiko.SSHConfigDict:
    path = Path.home() / ".ssh" / "config"
    if not path.is_file():
        return paramiko.SSHConfigDict()
    try:
        return paramiko.SSHConfig.from_path(str(path)).lookup(host)
    except (paramiko.SSHException, OSError, ValueError, ImportError) as error:  # the last: Match exec wants a library
        raise UserError(
            f"~/.ssh/config cannot be understood ({error}): give host, user, port and key yourself"
        ) from None


def _port(host: str, found: paramiko.SSHConfigDict) -> int:
    text = str(found.get("port", 22))
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise UserError(f"~/.ssh/config gives {host} the port {text!r}, which is none")
    return int(text)


def _hop(text: str, keys: tuple[str, ...]) -> Address:
    user, at, rest = text.rpartition("@")
    host, colon, port = rest.partition(":")
    fits = HOST.fullmatch(host) and (not at or USER.fullmatch(user)) and (not colon or port.isdigit())
    if not fits or (colon and not 1 <= int(port) <= 65535):
        raise UserError(f"jump host {text!r} is no [user@]host[:port]")
    found = _resolve(host, user or None, int(port) if port else None, None, _NO_JUMP)
    return replace(found, keys=found.keys or keys)
