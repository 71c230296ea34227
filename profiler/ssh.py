"""A board over SSH as a host of agents: their file there and verified, one process at a time, models by content."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections import OrderedDict
from pathlib import Path, PurePosixPath

import paramiko

from mosegnet.common.console import note, warn
from mosegnet.common.errors import DeviceError
from profiler.agent_file import agent_file, agent_sha256
from profiler.devices import Device
from profiler.pipe import LinkLost, encoded, last_line
from profiler.ssh_connection import Connection, address_of

_SMALL_BYTES = 1 << 16  # of a model that goes inside the request
_KEPT_BYTES = 1 << 30  # of models on the board
_BACK_S = 300.0  # a board that reboots is waited for so long
_WAITS_S = (1, 2, 4, 8, 15)
_CLOSE_S = 5.0
_CHUNK = 1 << 16
# "pid N" on standard error, so that a hung agent can be killed by its group; sshd made this shell the group's leader
START = 'echo "pid $$" >&2; if [ -n "$1" ]; then . "$1" || exit 126; fi; shift; exec "$@"'


class SshHost:
    """One board. It is connected to when an agent is started, and again when the connection is gone."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._connection: Connection | None = None
        self._was_connected = False
        self._home: PurePosixPath | None = None
        self._placed: OrderedDict[str, int] = OrderedDict()  # models on the board by content, oldest first

    def start(self) -> SshPipe:
        """See `profiler.pipe.Host`."""
        try:
            connection = self._connected()
            agent = self._agent(connection)
            command = ["sh", "-c", START, "sh", self._device.set_env or "", self._device.python, str(agent)]
            return SshPipe(connection, command)
        except DeviceError as error:
            if not self._was_connected:
                raise
            self.close()
            raise LinkLost(str(error)) from None

    def place(self, model: bytes | Path) -> dict[str, str]:
        """See `profiler.pipe.Host`: a large model is sent once, as a file named by its content."""
        data = model.read_bytes() if isinstance(model, Path) else model
        if len(data) <= _SMALL_BYTES:
            return encoded(data)
        name = hashlib.sha256(data).hexdigest()
        path = self._folder() / "models" / name
        try:
            connection = self._connected()
            if name not in self._placed and connection.sha256(self._device.python, path) != name:
                self._make_room(connection, len(data))
                connection.upload(self._device.python, data, path)
        except DeviceError as error:
            raise LinkLost(str(error)) from None
        self._placed[name] = len(data)
        self._placed.move_to_end(name)
        return {"path": str(path)}

    def close(self) -> None:
        """See `profiler.pipe.Host`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        if self._connection is not None and self._connection.alive:
            return self._connection
        self.close()
        self._connection = self._wait_for_it() if self._was_connected else Connection(address_of(self._device))
        self._was_connected = True
        self._home = self._connection.home()
        return self._connection

    def _wait_for_it(self) -> Connection:
        """A board that went away: it may be rebooting.

        Raises:
            DeviceError: it did not come back.
        """
        until_s = time.monotonic() + _BACK_S
        for attempt in range(1000):
            try:
                return Connection(address_of(self._device))
            except DeviceError as error:
                wait_s = _WAITS_S[min(attempt, len(_WAITS_S) - 1)]
                if time.monotonic() + wait_s > until_s:
                    raise
                note(f"device {self._device.name}: {error}; trying again in {wait_s} s")
                time.sleep(wait_s)
        raise AssertionError

    def _folder(self) -> PurePosixPath:
        assert self._home is not None
        folder = self._device.folder
        return self._home / folder[2:] if folder.startswith("~/") else PurePosixPath(folder)

    def _agent(self, connection: Connection) -> PurePosixPath:
        """The agent's file on the board, its hash compared there before every start."""
        wanted = agent_sha256()
        path = self._folder() / f"agent-{wanted[:12]}" / "agent.pyz"
        found = connection.sha256(self._device.python, path)
        if found == wanted:
            return path
        if found is not None:
            warn(f"device {self._device.name}: the agent's file there was changed; it is replaced")
        connection.upload(self._device.python, agent_file(), path)
        return path

    def _make_room(self, connection: Connection, size: int) -> None:
        """Models that were measured longest ago go first."""
        while self._placed and sum(self._placed.values()) + size > _KEPT_BYTES:
            name, _ = self._placed.popitem(last=False)
            connection.remove(self._folder() / "models" / name)


class SshPipe:
    """The agent's process on the board: see `profiler.pipe.Pipe`."""

    def __init__(self, connection: Connection, command: list[str]) -> None:
        self._connection = connection
        self._channel = connection.open(command)
        self._errors = b""
        self._pid: int | None = None
        self._drained = threading.Thread(target=self._drain, daemon=True)
        self._drained.start()

    def send(self, data: bytes, silence_s: float) -> None:
        """See `profiler.pipe.Pipe`."""
        self._channel.settimeout(silence_s)
        try:
            self._channel.sendall(data)
        except TimeoutError:
            raise self._silent(silence_s) from None
        except (OSError, EOFError, paramiko.SSHException):
            raise LinkLost(self._death()) from None

    def receive(self, silence_s: float) -> bytes:
        """See `profiler.pipe.Pipe`."""
        self._channel.settimeout(silence_s)
        try:
            chunk = self._channel.recv(_CHUNK)
        except TimeoutError:
            raise self._silent(silence_s) from None
        except (OSError, EOFError, paramiko.SSHException):
            raise LinkLost(self._death()) from None
        if not chunk:
            raise LinkLost(self._death())
        return chunk

    def last_words(self) -> str:
        """See `profiler.pipe.Pipe`."""
        self._drained.join(0.5)
        return last_line(self._errors)

    def end(self, patient: bool) -> None:
        """See `profiler.pipe.Pipe`; closing the channel alone would leave the process running."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.shutdown_write()
        until_s = time.monotonic() + (_CLOSE_S if patient else 0.0)
        while not self._channel.exit_status_ready() and time.monotonic() < until_s:
            time.sleep(0.01)
        if not self._channel.exit_status_ready():
            self._kill()
        self._channel.close()

    def _kill(self) -> None:
        if self._pid is not None and self._connection.alive:
            with contextlib.suppress(DeviceError):
                self._connection.run(["kill", "-9", "--", f"-{self._pid}"], _CLOSE_S)

    def _silent(self, silence_s: float) -> LinkLost:
        """A frozen peer does not notice a closed connection either: it is given up as a whole."""
        self._kill()
        self._connection.close()
        return LinkLost(f"the agent was silent for {silence_s:g} s")

    def _death(self) -> str:
        if not self._connection.alive:
            return "the connection to the board broke"
        until_s = time.monotonic() + 1.0
        while not self._channel.exit_status_ready() and time.monotonic() < until_s:
            time.sleep(0.01)
        if not self._channel.exit_status_ready():
            return "the agent closed its output"
        status = self._channel.recv_exit_status()
        return "the agent was killed by a signal" if status < 0 else f"the agent ended with status {status}"

    def _drain(self) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            while chunk := self._channel.recv_stderr(1 << 15):
                self._errors = (self._errors + chunk)[-(1 << 16) :]
                if self._pid is None and b"\n" in self._errors:
                    first, _, rest = self._errors.partition(b"\n")
                    if first.startswith(b"pid ") and first[4:].isdigit():
                        self._pid, self._errors = int(first[4:]), rest
