"""Logging in over SSH: only to hosts whose key is known, with keys before passwords."""

from __future__ import annotations

import base64
import getpass
import hashlib
import logging
import os
import shlex
import sys
import threading

import paramiko

from mosegnet.common.errors import UserError
from profiler.ssh_address import Address
from profiler.ssh_errors import BROKEN, LoginRefused, SshProblem, Unreachable, words

PASSWORD_VARIABLE = "MOSEGNAS_SSH_PASSWORD"
LOGIN_S = 15.0  # for each step: connecting, the server's banner, logging in
_SYSTEM_KEYS = "/etc/ssh/ssh_known_hosts"
_DK_ADDRESSES = "an Atlas 200 DK answers at 192.168.0.2 on eth0 and at 192.168.1.2 on usb0, to a host in the same net"

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # its words would come out between ours

_typed: dict[tuple[str, int, str], str] = {}  # passwords asked for, kept for a reconnection and never written
_asking = threading.Lock()


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


def log_in(address: Address, sock: paramiko.Channel | None, last: bool) -> paramiko.SSHClient:
    """A client logged in at `address`, through `sock` where a jump host leads there; `last` is not a jump host itself.

    Raises:
        SshProblem: the host key is unknown or changed, or the login was refused.
        Unreachable: nobody answers there, or not in time.
    """
    client = paramiko.SSHClient()
    _load_known_hosts(client)
    client.set_missing_host_key_policy(_Refuse())
    try:
        _connect(client, address, sock, last)
    except _UnknownHostKey as unknown:
        client.close()
        raise _unknown(address, unknown.key) from None
    except paramiko.BadHostKeyException as error:
        client.close()
        raise SshProblem(
            f"{address} is not the host it was: its key has CHANGED to {error.key.get_name()} {fingerprint(error.key)}",
            "somebody may be in between, or it was set up anew: ask whoever runs it before you change known_hosts",
            str(address),
        ) from None
    except BROKEN as error:
        client.close()
        hint = _DK_ADDRESSES if address.host.startswith("192.168.") and not address.jumps else ""
        raise Unreachable(f"{address} cannot be reached ({words(error)})", hint) from None
    except BaseException:
        client.close()
        raise
    return client


def _load_known_hosts(client: paramiko.SSHClient) -> None:
    try:
        client.load_system_host_keys()
        if os.path.exists(_SYSTEM_KEYS):
            client.load_system_host_keys(_SYSTEM_KEYS)
    except (OSError, ValueError) as error:
        raise UserError(f"the known_hosts files cannot be read ({error}): mend them") from None


def _connect(client: paramiko.SSHClient, address: Address, sock: paramiko.Channel | None, last: bool) -> None:
    """Raises what paramiko does, but for a refused login."""
    # a password meant for the board is not shown to the machines on the way
    password = _typed.get(_place(address)) or (os.environ.get(PASSWORD_VARIABLE) if last else None)
    try:
        client.connect(
            address.host,
            address.port,
            address.user,
            password=password,
            key_filename=list(address.keys) or None,
            sock=sock,
            timeout=LOGIN_S,
            banner_timeout=LOGIN_S,
            auth_timeout=LOGIN_S,
        )
    except paramiko.BadHostKeyException:
        raise
    except (paramiko.SSHException, ValueError, TypeError) as error:  # the last two: a key file that is none
        if not _refused(client, error):
            raise paramiko.SSHException(str(error)) from None
        if password is not None or not sys.stdin.isatty() or not _ask(client, address):
            raise _login_refused(address, last) from None


def _refused(client: paramiko.SSHClient, error: BaseException) -> bool:
    """Whether it came as far as the login: paramiko tells some refusals apart from a broken line by nothing else."""
    if isinstance(error, paramiko.AuthenticationException):
        return "timeout" not in str(error).lower()
    transport = client.get_transport()
    return transport is not None and transport.is_active() and transport.initial_kex_done


def _ask(client: paramiko.SSHClient, address: Address) -> bool:
    """Ask for a password on the terminal and try it."""
    transport = client.get_transport()
    if transport is None or not transport.is_active():
        return False
    with _asking:
        password = getpass.getpass(f"password of {address}: ")
    try:
        transport.auth_password(address.user, password)
    except paramiko.SSHException:
        return False
    _typed[_place(address)] = password
    return True


def _place(address: Address) -> tuple[str, int, str]:
    return address.host, address.port, address.user


def _login_refused(address: Address, last: bool) -> LoginRefused:
    remedies = [remedy for key in address.keys if (remedy := _remedy_of_key(key))]
    remedies = remedies or ["give a `key` in devices.toml", "load one with ssh-add"]
    if last:
        remedies.append(f"set {PASSWORD_VARIABLE}")
    remedy = f"{', or '.join(remedies)}; `{address.by_hand}` must work"
    return LoginRefused(f"the login at {address} was refused", remedy, str(address))


def _remedy_of_key(path: str) -> str:
    """What is wrong with a key file, if anything is."""
    try:
        paramiko.PKey.from_path(path)
    except (paramiko.PasswordRequiredException, TypeError):
        return f"load {path} with ssh-add, it wants its passphrase"
    except (paramiko.SSHException, OSError, ValueError):
        return f"give another `key` than {path}, which is no private key"
    return ""


def _unknown(address: Address, key: paramiko.PKey) -> SshProblem:
    port = "" if address.port == 22 else f"-p {address.port} "
    add = f"ssh-keyscan {port}{shlex.quote(address.host)} >> ~/.ssh/known_hosts"
    if address.jumps:
        add = address.by_hand  # which shows the fingerprint again, and asks
    return SshProblem(
        f"{address} has a host key that is not known, {key.get_name()} {fingerprint(key)}",
        f"compare it with what `ssh-keygen -lf` says there of the .pub file in /etc/ssh, then add it with `{add}`",
        str(address),
    )
