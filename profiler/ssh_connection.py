"""A connection over SSH: strict host keys, keys before passwords, jump hosts; commands as lists, files verified."""

from __future__ import annotations

import base64
import contextlib
import getpass
import hashlib
import os
import secrets
import shlex
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import paramiko

from mosegnet.common.errors import DeviceError, UserError
from profiler.devices import Device

PASSWORD_VARIABLE = "MOSEGNAS_SSH_PASSWORD"
_CONNECT_S = 15.0
_SYSTEM_KEYS = "/etc/ssh/ssh_known_hosts"
_SHA256 = "import hashlib,sys;print(hashlib.sha256(open(sys.argv[1],'rb').read()).hexdigest())"
_DK_ADDRESSES = "an Atlas 200 DK answers at 192.168.0.2 on eth0 and at 192.168.1.2 on usb0, from a host in the same net"
_EXPIRED = "password change required"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to log in, and as whom; `keys` are files tried beside the agent's and the usual ones."""

    host: str
    port: int
    user: str
    keys: tuple[str, ...]
    jumps: tuple[str, ...]  # each [user@]host[:port], nearest first

    def __str__(self) -> str:
        return f"{self.user}@{self.host}{'' if self.port == 22 else f':{self.port}'}"


@dataclass(frozen=True, slots=True)
class Finished:
    """A remote command that ended."""

    status: int
    output: bytes
    errors: bytes


def address_of(device: Device) -> Address:
    """The device's address: its own fields first, then ~/.ssh/config."""
    assert device.host is not None
    return _resolve(device.host, device.user, device.port, str(device.key) if device.key else None, device.jump)


def _resolve(host: str, user: str | None, port: int | None, key: str | None, jump: str | None) -> Address:
    path = Path.home() / ".ssh" / "config"
    config = paramiko.SSHConfig.from_path(str(path)) if path.exists() else paramiko.SSHConfig()
    found = config.lookup(host)
    jumps = jump if jump is not None else found.get("proxyjump", "")
    return Address(
        host=found.get("hostname", host),
        port=port or int(found.get("port", 22)),
        user=user or found.get("user") or getpass.getuser(),
        keys=(os.path.expanduser(key),) if key else tuple(found.get("identityfile", ())),
        jumps=tuple(hop.strip() for hop in jumps.split(",") if hop.strip() and jumps.lower() != "none"),
    )


def _resolve_hop(hop: str) -> Address:
    user, _, rest = hop.rpartition("@")
    host, _, port = rest.partition(":")
    if not host or (port and not port.isdigit()):
        raise UserError(f"jump host {hop!r} is no [user@]host[:port]")
    return _resolve(host, user or None, int(port) if port else None, None, "")


class _UnknownHostKey(Exception):
    def __init__(self, key: paramiko.PKey) -> None:
        super().__init__()
        self.key = key


class _Refuse(paramiko.MissingHostKeyPolicy):
    """An unknown host key is never accepted here: the user compares it and adds it."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise _UnknownHostKey(key)


def fingerprint(key: paramiko.PKey) -> str:
    """As `ssh-keygen -lf` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


class Connection:
    """Logged in to one host.

    Raises:
        UserError: the host key is unknown or changed, the login was refused: what the user can mend, with how.
        DeviceError: the host cannot be reached.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._clients: list[paramiko.SSHClient] = []
        try:
            sock = None
            hops = [_resolve_hop(hop) for hop in address.jumps]
            for here, following in zip(hops, [*hops[1:], address], strict=True):
                client = self._open(here, sock)
                sock = _tunnel(client, following)
            self._client = self._open(address, sock)
        except BaseException:
            self.close()
            raise
        self._sftp: paramiko.SFTPClient | None = None

    @property
    def alive(self) -> bool:
        """Whether the connection says of itself that it is; a frozen peer still does."""
        transport = self._client.get_transport()
        return transport is not None and transport.is_active()

    def close(self) -> None:
        """Log out everywhere."""
        for client in reversed(self._clients):
            client.close()
        self._clients.clear()

    def open(self, command: Sequence[str]) -> paramiko.Channel:
        """A channel in which the command runs; its words are quoted, so that no shell takes them apart.

        Raises:
            DeviceError: the connection is gone.
        """
        try:
            transport = self._client.get_transport()
            if transport is None:
                raise paramiko.SSHException("not connected")
            channel = transport.open_session(timeout=_CONNECT_S)
            channel.exec_command(shlex.join(command))
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise DeviceError(f"{self.address}: the connection is gone ({_words(error)})") from None
        return channel

    def run(self, command: Sequence[str], timeout_s: float, data: bytes = b"") -> Finished:
        """Run a command to its end, with `data` on its standard input.

        Raises:
            UserError: the account's password has expired.
            DeviceError: the connection is gone, or the command did not end in time.
        """
        channel = self.open(command)
        errors: list[bytes] = []
        drain = threading.Thread(target=_drain, args=(channel, errors), daemon=True)
        drain.start()
        until_s = time.monotonic() + timeout_s
        try:
            channel.settimeout(timeout_s)
            channel.sendall(data)
            channel.shutdown_write()
            output = []
            while chunk := _receive(channel, until_s):
                output.append(chunk)
            while not channel.exit_status_ready():
                if time.monotonic() > until_s:
                    raise TimeoutError
                time.sleep(0.005)
        except (OSError, EOFError) as error:  # TimeoutError is one of the first
            raise DeviceError(
                f"{self.address}: {command[0]} did not end in {timeout_s:g} s ({_words(error)})"
            ) from None
        finally:
            channel.close()
        drain.join(1.0)
        found = Finished(channel.recv_exit_status(), b"".join(output), b"".join(errors))
        if _EXPIRED in found.errors.decode(errors="replace").lower():
            raise UserError(
                f"{self.address}: the password has expired: log in once by hand, `ssh {self.address.user}@"
                f"{self.address.host}`, and set a new one"
            )
        return found

    # --- files -----------------------------------------------------------------------------------------------------

    def home(self) -> PurePosixPath:
        """The user's home folder, where file transfer begins."""
        return PurePosixPath(self._files().normalize("."))

    def sha256(self, python: str, path: PurePosixPath) -> str | None:
        """The hash of a remote file, counted there; None where there is none or it cannot be read."""
        found = self.run([python, "-c", _SHA256, str(path)], 60.0)
        if found.status == 127:
            raise UserError(f"{self.address}: there is no {python!r}: give the board's `python` in devices.toml")
        return found.output.decode(errors="replace").strip() if found.status == 0 else None

    def upload(self, python: str, data: bytes, path: PurePosixPath) -> None:
        """Put a file there: beside its place, its hash compared on the far side, then renamed into it.

        Raises:
            UserError: the disk there is full, or the folder cannot be written.
            DeviceError: the connection is gone, or what arrived is not what was sent.
        """
        part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
        files = self._files()
        try:
            self._make_folders(path.parent)
            with files.open(str(part), "wb") as file:
                file.set_pipelined(True)
                file.write(data)
            if self.sha256(python, part) != hashlib.sha256(data).hexdigest():
                raise DeviceError(f"{self.address}: {path.name} arrived damaged")
            files.posix_rename(str(part), str(path))
        except (OSError, EOFError, paramiko.SSHException) as error:
            self._remove_quietly(part)
            if not self.alive:
                raise DeviceError(f"{self.address}: the connection broke while {path.name} was sent") from None
            raise UserError(
                f"{self.address}: cannot write {path} ({_words(error)}): is its disk full or read-only? "
                "Free some space there (`df -h`) and go on with --resume"
            ) from None
        except DeviceError:
            self._remove_quietly(part)
            raise

    def remove(self, path: PurePosixPath) -> None:
        """Remove a remote file; one that is not there is no matter."""
        self._remove_quietly(path)

    def _remove_quietly(self, path: PurePosixPath) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._files().remove(str(path))

    def _make_folders(self, folder: PurePosixPath) -> None:
        files = self._files()
        for path in [*reversed(folder.parents), folder]:
            try:
                files.stat(str(path))
            except FileNotFoundError:
                files.mkdir(str(path), 0o700)

    def _files(self) -> paramiko.SFTPClient:
        if self._sftp is None or self._sftp.sock.closed:
            try:
                self._sftp = self._client.open_sftp()
            except (paramiko.SSHException, OSError, EOFError) as error:
                raise DeviceError(f"{self.address}: no file transfer ({_words(error)})") from None
            channel = self._sftp.get_channel()
            assert channel is not None
            channel.settimeout(60.0)
        return self._sftp

    # --- login -----------------------------------------------------------------------------------------------------

    def _open(self, address: Address, sock: paramiko.Channel | None) -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        client.load_system_host_keys()
        if os.path.exists(_SYSTEM_KEYS):
            client.load_system_host_keys(_SYSTEM_KEYS)
        client.set_missing_host_key_policy(_Refuse())
        self._clients.append(client)
        try:
            self._log_in(client, address, sock)
        except _UnknownHostKey as unknown:
            raise UserError(_unknown_key(address, unknown.key)) from None
        except paramiko.BadHostKeyException as error:
            raise UserError(
                f"{address}: its host key has CHANGED, it is now {fingerprint(error.key)}: somebody may be in between. "
                "Ask whoever runs the host; only then replace the line in ~/.ssh/known_hosts"
            ) from None
        except paramiko.AuthenticationException:
            raise UserError(
                f"{address}: the login was refused: give a `key` in devices.toml, load one with ssh-add, or set "
                f"{PASSWORD_VARIABLE}"
            ) from None
        except (OSError, EOFError, paramiko.SSHException) as error:
            hint = f"; {_DK_ADDRESSES}" if isinstance(error, OSError) and address.host.startswith("192.168.") else ""
            raise DeviceError(f"{address} cannot be reached ({_words(error)}){hint}") from None
        return client

    def _log_in(self, client: paramiko.SSHClient, address: Address, sock: paramiko.Channel | None) -> None:
        def connect(password: str | None) -> None:
            client.connect(
                address.host,
                address.port,
                address.user,
                password=password,
                key_filename=[key for key in address.keys if os.path.exists(key)] or None,
                sock=sock,
                timeout=_CONNECT_S,
                banner_timeout=_CONNECT_S,
                auth_timeout=_CONNECT_S,
            )

        try:
            connect(os.environ.get(PASSWORD_VARIABLE))  # keys are tried first
        except paramiko.AuthenticationException:
            if PASSWORD_VARIABLE in os.environ or sock is not None or not sys.stdin.isatty():
                raise
            connect(getpass.getpass(f"password of {address}: "))


def _tunnel(client: paramiko.SSHClient, following: Address) -> paramiko.Channel:
    transport = client.get_transport()
    assert transport is not None
    try:
        return transport.open_channel(
            "direct-tcpip", (following.host, following.port), ("127.0.0.1", 0), timeout=_CONNECT_S
        )
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise DeviceError(f"{following} cannot be reached through the jump host ({_words(error)})") from None


def _unknown_key(address: Address, key: paramiko.PKey) -> str:
    port = "" if address.port == 22 else f"-p {address.port} "
    return (
        f"{address}: its host key is not known, {key.get_name()} {fingerprint(key)}: compare that with what the board "
        f"says (`ssh-keygen -lf` on its key in /etc/ssh), then add it with "
        f"`ssh-keyscan {port}{shlex.quote(address.host)} >> ~/.ssh/known_hosts`"
    )


def _drain(channel: paramiko.Channel, into: list[bytes]) -> None:
    """Standard error has to be read while the command runs, or it blocks."""
    with contextlib.suppress(OSError, EOFError):
        while chunk := channel.recv_stderr(1 << 15):
            into.append(chunk)
            while sum(map(len, into)) > 1 << 20:
                into.pop(0)


def _receive(channel: paramiko.Channel, until_s: float) -> bytes:
    channel.settimeout(max(0.01, until_s - time.monotonic()))
    return channel.recv(1 << 16)


def _words(error: BaseException) -> str:
    if isinstance(error, socket.timeout):
        return "no answer in time"
    return " ".join(str(error).split()) or type(error).__name__
