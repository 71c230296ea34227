"""One process of the agent, here or on a board, as a pipe of bytes with deadlines."""

from __future__ import annotations

import base64
import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from mosegnet.common.errors import DeviceError
from profiler.outside import last_line

_CLOSE_S = 5.0
_DEATH_S = 1.0
_CHUNK = 1 << 16


class LinkLost(Exception):
    """The agent died, fell silent or talks nonsense: this process of it is of no more use."""


class DeviceLost(LinkLost):
    """The device itself failed: it needs a new process, and perhaps some time to come back."""


class Pipe(Protocol):
    """What an agent's process looks like from here, wherever it runs."""

    def send(self, data: bytes, silence_s: float) -> None:
        """Write all of it.

        Raises:
            LinkLost: the process is gone, or took nothing for `silence_s`.
        """

    def receive(self, silence_s: float) -> bytes:
        """Some bytes of its output, at least one.

        Raises:
            LinkLost: the process is gone, or said nothing for `silence_s`.
        """

    def last_words(self) -> str:
        """The last line that it wrote to standard error."""

    def end(self, patient: bool) -> None:
        """Close its input, wait a little when `patient`, then kill it and whatever it started."""


class Host(Protocol):
    """Where agents are started."""

    def start(self) -> Pipe:
        """A new process of the agent.

        Raises:
            UserError: something that the user can mend stands in the way.
            DeviceError: the host cannot be had for good.
            LinkLost: it cannot be had now.
        """

    def place(self, model: bytes | Path) -> dict[str, str]:
        """A model as the agent's request names it: by the bytes themselves, or by a path on the agent's side."""

    def close(self) -> None:
        """Let go of the host."""


class LocalPipe:
    """A child process in a session of its own, so that Ctrl-C in the terminal is this side's to handle."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,
                env={**os.environ, **environment} if environment else None,
            )
        except OSError as error:
            raise DeviceError(f"cannot start the agent {command[0]}: {error.strerror}") from error
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._in, self._out = self._popen.stdin.fileno(), self._popen.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)

    def send(self, data: bytes, silence_s: float) -> None:
        """See `Pipe`."""
        while data:
            self._wait(self._in, selectors.EVENT_WRITE, silence_s)
            try:
                data = data[os.write(self._in, data) :]
            except BlockingIOError:
                continue
            except OSError:
                raise LinkLost(self._death()) from None

    def receive(self, silence_s: float) -> bytes:
        """See `Pipe`."""
        self._wait(self._out, selectors.EVENT_READ, silence_s)
        chunk = os.read(self._out, _CHUNK)
        if not chunk:
            raise LinkLost(self._death())
        return chunk

    def last_words(self) -> str:
        """See `Pipe`."""
        self._stderr.seek(0)
        return last_line(self._stderr.read())

    def end(self, patient: bool) -> None:
        """See `Pipe`."""
        with contextlib.suppress(OSError):
            assert self._popen.stdin is not None
            self._popen.stdin.close()
        try:
            self._popen.wait(_CLOSE_S if self._popen.poll() is None and patient else 0)
        except subprocess.TimeoutExpired:
            self._kill()
            self._popen.wait()
        assert self._popen.stdout is not None
        self._popen.stdout.close()
        self._stderr.close()

    def _wait(self, descriptor: int, event: int, silence_s: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, event)
            if not selector.select(silence_s):
                self._kill()
                raise LinkLost(f"the agent was silent for {silence_s:g} s")

    def _kill(self) -> None:
        """The whole group: a runtime may have started helpers of its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)

    def _death(self) -> str:
        deadline_s = time.monotonic() + _DEATH_S
        while self._popen.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.01)
        status = self._popen.poll()
        if status is None:
            return "the agent closed its output"
        return f"the agent was killed by signal {-status}" if status < 0 else f"the agent ended with status {status}"


class LocalHost:
    """This machine."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._command, self._environment = command, environment

    def start(self) -> LocalPipe:
        """See `Host`."""
        return LocalPipe(self._command, self._environment)

    def place(self, model: bytes | Path) -> dict[str, str]:
        """See `Host`."""
        return {"path": str(model.resolve())} if isinstance(model, Path) else encoded(model)

    def close(self) -> None:
        """See `Host`."""


def encoded(model: bytes) -> dict[str, str]:
    """The model inside the request itself."""
    return {"bytes": base64.b64encode(model).decode()}
