"""A board over SSH as a host of agents: their file there and verified, one process at a time, models by content."""

from __future__ import annotations

import hashlib
import secrets
import time
from pathlib import Path, PurePosixPath

from mosegnet.common.console import note, warn
from mosegnet.common.files import explain_os_errors
from profiler.agent_file import agent_file, agent_sha256
from profiler.devices import Device
from profiler.pipe import LinkLost, encoded
from profiler.ssh_address import address_of
from profiler.ssh_connection import Connection
from profiler.ssh_errors import ConnectionGone, LoginRefused, Unreachable, Unwritable
from profiler.ssh_files import RemoteFiles
from profiler.ssh_pipe import Process, SshPipe, kill

_SMALL_BYTES = 1 << 14  # of a model that goes inside the request
_KEPT_BYTES = 1 << 30  # of models on the board
_BACK_S = 300.0  # a board that reboots is waited for so long
_WAITS_S = (1, 2, 4, 8, 15)


class SshHost:
    """One board. It is connected to when an agent is started, and again when the connection is gone."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._token = secrets.token_hex(8)
        self._address = address_of(device)
        self._files: RemoteFiles | None = None
        self._was_connected = False
        self._started: SshPipe | None = None
        self._former: Process | None = None  # of a connection that is gone: it may run on, and hold the device
        self._verified: set[str] = set()  # models that are there, by content

    def start(self) -> SshPipe:
        """See `profiler.pipe.Host`."""
        try:
            files = self._connected()
            agent = self._agent(files)
            arguments = [str(agent), self._token]
            self._started = SshPipe(files.connection, self._device.set_env, self._device.python, arguments, self._token)
        except ConnectionGone as gone:
            self.close()
            raise LinkLost(str(gone)) from None
        return self._started

    def place(self, model: bytes | Path) -> dict[str, str]:
        """See `profiler.pipe.Host`: a large model is sent once, as a file named by its content."""
        if isinstance(model, Path):
            with explain_os_errors(model, "read"):
                model = model.read_bytes()
        if len(model) <= _SMALL_BYTES:
            return encoded(model)
        name = hashlib.sha256(model).hexdigest()
        try:
            files = self._connected()
            path = files.root / "models" / name
            if name not in self._verified and files.sha256(path) != name:
                self._upload_model(files, model, path)
        except ConnectionGone as gone:
            raise LinkLost(str(gone)) from None
        self._verified.add(name)
        return {"path": str(path)}

    def close(self) -> None:
        """See `profiler.pipe.Host`."""
        if self._started is not None:
            self._former, self._started = self._started.process, None
        if self._files is not None:
            self._files.connection.close()
            self._files = None
        self._verified.clear()

    def _connected(self) -> RemoteFiles:
        if self._files is not None and self._files.connection.alive:
            return self._files
        self.close()
        connection = self._wait_for_it() if self._was_connected else Connection(self._address)
        self._was_connected = True
        try:
            self._files = RemoteFiles(connection, self._device.folder, self._device.python, self._token)
            if self._former is not None:
                kill(connection, self._former)
                self._former = None
        except BaseException:
            connection.close()
            self._files = None
            raise
        return self._files

    def _wait_for_it(self) -> Connection:
        """A board that went away: it may be rebooting, and refuse logins until that is done.

        Raises:
            Unreachable, LoginRefused: it did not come back.
        """
        until_s = time.monotonic() + _BACK_S
        for attempt in range(1000):
            try:
                return Connection(self._address)
            except (Unreachable, LoginRefused) as error:
                wait_s = _WAITS_S[min(attempt, len(_WAITS_S) - 1)]
                if time.monotonic() + wait_s > until_s:
                    raise
                note(f"device {self._device.name}: {error.what}; trying again in {wait_s} s")
                time.sleep(wait_s)
        raise AssertionError

    def _agent(self, files: RemoteFiles) -> PurePosixPath:
        """The agent's file on the board, its hash compared there before every start."""
        wanted = agent_sha256()
        path = files.root / f"agent-{wanted[:12]}" / "agent.pyz"
        found = files.sha256(path)
        if found == wanted:
            return path
        if found is not None:
            warn(f"device {self._device.name}: the agent's file there was changed; it is replaced")
        files.upload(agent_file(), path)
        return path

    def _upload_model(self, files: RemoteFiles, model: bytes, path: PurePosixPath) -> None:
        """Put a model there; those written longest ago make room for it, and all of them where the disk is full."""
        self._make_room(files, _KEPT_BYTES - len(model))
        try:
            files.upload(model, path)
        except Unwritable:
            if not self._make_room(files, 0):
                raise
            files.upload(model, path)

    def _make_room(self, files: RemoteFiles, allowed: int) -> bool:
        """Remove old models until no more than so many bytes are left; whether there was anything to remove."""
        sizes = files.sizes(files.root / "models")
        total = sum(sizes.values())
        removed = False
        for name, size in sizes.items():
            if total <= allowed:
                break
            files.remove(files.root / "models" / name)
            self._verified.discard(name)
            total -= size
            removed = True
        return removed
