"""A connection over SSH, through jump hosts where there are some: commands as lists of words, and deadlines."""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import paramiko

from profiler.outside import printable
from profiler.ssh_address import Address, hops_to
from profiler.ssh_errors import BROKEN, ConnectionGone, SshProblem, Unreachable, words
from profiler.ssh_login import LOGIN_S, log_in

_KEEP_ALIVE_S = 15  # routers forget quiet connections; a frozen peer has to be noticed by deadlines
_MOST_OUTPUT_BYTES = 1 << 20
_EXPIRED = ("password change required", "password has expired", "required to change your password")


@dataclass(frozen=True, slots=True)
class Finished:
    """A remote command that ended; its status is negative when a signal ended it."""

    status: int
    output: bytes
    errors: bytes


class Connection:
    """Logged in to one host.

    Raises:
        SshProblem: a host key is unknown or changed, or a login was refused.
        Unreachable: the host, or one on the way, does not answer.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._clients: list[paramiko.SSHClient] = []
        try:
            self._transport = self._log_in_all_the_way()
        except BaseException:
            self.close()
            raise
        self._transport.set_keepalive(_KEEP_ALIVE_S)

    @property
    def alive(self) -> bool:
        """Whether the connection says of itself that it is; with a frozen peer it still does."""
        return self._transport.is_active()

    def close(self) -> None:
        """Log out everywhere."""
        for client in reversed(self._clients):
            client.close()
        self._clients.clear()

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """A deadline for what is in here, which closes the connection: paramiko would wait for a frozen peer for ever.

        Raises:
            TimeoutError: it took longer.
        """
        timer = threading.Timer(seconds, self._transport.close)
        timer.daemon = True
        started_s = time.monotonic()
        timer.start()
        try:
            yield
        except BROKEN:
            if time.monotonic() - started_s >= seconds:
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()

    def open(self, command: Sequence[str]) -> paramiko.Channel:
        """A channel in which the command runs; its words are quoted, so that no shell takes them apart.

        Raises:
            ConnectionGone: there is no connection any more.
        """
        try:
            with self.within(LOGIN_S):
                channel = self._transport.open_session()
                channel.exec_command(shlex.join(command))
        except BROKEN as error:
            raise ConnectionGone(f"{self.address}: the connection is gone ({words(error)})") from None
        return channel

    def open_sftp(self) -> paramiko.SFTPClient:
        """A channel for files.

        Raises:
            ConnectionGone: there is no connection any more, or the host transfers no files.
        """
        try:
            with self.within(LOGIN_S):
                files = paramiko.SFTPClient.from_transport(self._transport)
        except BROKEN as error:
            raise ConnectionGone(f"{self.address}: no file transfer ({words(error)})") from None
        assert files is not None
        return files

    def run(self, command: Sequence[str], timeout_s: float, data: bytes = b"") -> Finished:
        """Run a command to its end, with `data` on its standard input.

        Raises:
            SshProblem: the account's password has expired.
            ConnectionGone: there is no connection any more, or the command did not end in time.
        """
        channel = self.open(command)
        errors = Drain(channel.recv_stderr)
        until_s = time.monotonic() + timeout_s
        try:
            with self.within(timeout_s + LOGIN_S):
                channel.settimeout(timeout_s)
                _send(channel, data)
                output = _receive_all(channel, until_s)
                while not channel.exit_status_ready():
                    if time.monotonic() > until_s:
                        raise TimeoutError
                    time.sleep(0.005)
        except BROKEN as error:
            raise ConnectionGone(f"{self.address}: {command[0]} did not end well there ({words(error)})") from None
        finally:
            channel.close()
        found = Finished(channel.recv_exit_status(), output, errors.all())
        self._refuse_expired(found)
        return found

    def _refuse_expired(self, found: Finished) -> None:
        if found.status and any(word in found.errors.decode(errors="replace").lower() for word in _EXPIRED):
            raise SshProblem(
                f"the password of {self.address} has expired",
                f"log in once by hand, `{self.address.by_hand}`, and set a new one",
            )

    def _log_in_all_the_way(self) -> paramiko.Transport:
        sock = None
        hops = hops_to(self.address)
        for here, following in zip(hops, [*hops[1:], self.address], strict=False):
            client = log_in(here, sock, last=False)
            self._clients.append(client)
            sock = _tunnel(client, here, following)
        client = log_in(self.address, sock, last=True)
        self._clients.append(client)
        transport = client.get_transport()
        assert transport is not None
        return transport


class Drain:
    """Reads what a command writes while it runs: unread, it would block the command. `so_far` is the end of it."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive, self.so_far = receive, b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def all(self) -> bytes:
        """All of it, once the command has ended, or its end where that is long."""
        self._thread.join(1.0)
        return self.so_far

    def _read(self) -> None:
        while True:
            try:
                chunk = self._receive(1 << 15)
            except TimeoutError:
                continue
            except BROKEN:
                return
            if not chunk:
                return
            self.so_far = (self.so_far + chunk)[-_MOST_OUTPUT_BYTES:]


def _send(channel: paramiko.Channel, data: bytes) -> None:
    try:
        channel.sendall(data)
        channel.shutdown_write()
    except TimeoutError:
        raise
    except BROKEN:
        return  # it ended without reading: its status and its words say why


def _receive_all(channel: paramiko.Channel, until_s: float) -> bytes:
    found = b""
    while True:
        channel.settimeout(max(0.01, until_s - time.monotonic()))
        chunk = channel.recv(1 << 16)
        if not chunk:
            return found
        found += chunk
        if len(found) > _MOST_OUTPUT_BYTES:
            raise OSError(f"it said too much, {printable(found[:40].decode(errors='replace'))!a} and so on")


def _tunnel(client: paramiko.SSHClient, here: Address, following: Address) -> paramiko.Channel:
    transport = client.get_transport()
    assert transport is not None
    try:
        return transport.open_channel(
            "direct-tcpip", (following.host, following.port), ("127.0.0.1", 0), timeout=LOGIN_S
        )
    except BROKEN as error:
        raise Unreachable(f"{following} cannot be reached from the jump host {here} ({words(error)})", "") from None
