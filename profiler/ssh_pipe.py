"""One process of the agent on a machine over SSH, as a pipe of bytes."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from profiler.outside import last_line
from profiler.pipe import LinkLost
from profiler.ssh_connection import Connection
from profiler.ssh_errors import BROKEN, ConnectionGone, SshProblem

_CLOSE_S = 5.0
_DEATH_S = 1.0
_CHUNK = 1 << 16
_KEPT_ERRORS = 1 << 16  # bytes of standard error
NO_SET_ENV, NO_PROGRAM = 126, 127  # exit statuses

# $1 a script to source or nothing, $2 the program, then its arguments. Both may begin with ~/. What the script prints
# is no answer of the agent, and its status means nothing: many end with a test that fails.
_START = r"""
env=$1 program=$2
shift 2
case $env in "~/"*) env=$HOME/${env#??} ;; esac
case $program in "~/"*) program=$HOME/${program#??} ;; esac
{ read -r _ _ _ _ group _ < /proc/self/stat; } 2> /dev/null
echo "mosegnas process $$ of group ${group:-$$}" >&2
if [ -n "$env" ]; then
  [ -r "$env" ] || { echo "there is no $env" >&2; exit 126; }
  . "$env" >&2 < /dev/null
fi
exec "$program" "$@"
"""
# set_env.sh of some versions wants bash, and a small system has none
_ANY_SHELL = 'if command -v bash > /dev/null 2>&1; then exec bash -c "$0" bash "$@"; else exec sh -c "$0" sh "$@"; fi'
_STARTED = re.compile(rb"^mosegnas process (\d{1,10}) of group (\d{1,10})\n", re.MULTILINE)
_KILL_IF = 'tr "\\0" "\\n" < "/proc/$1/cmdline" | grep -qxF -- "$3" && kill -9 "-$2"'


def start_command(set_env: str | None, program: str, arguments: Sequence[str]) -> list[str]:
    """The words that start a program after sourcing a script; standard error begins with the process's numbers."""
    return ["sh", "-c", _ANY_SHELL, _START, set_env or "", program, *arguments]


@dataclass(frozen=True, slots=True)
class Process:
    """Who runs there, and an argument of its own by which it is known."""

    pid: int
    group: int
    mark: str


class SshPipe:
    """See `profiler.pipe.Pipe`. `arguments` contain `mark`, which no other process has.

    Raises:
        ConnectionGone: there is no connection any more.
    """

    def __init__(
        self, connection: Connection, set_env: str | None, program: str, arguments: Sequence[str], mark: str
    ) -> None:
        self._connection, self._set_env, self._program, self._mark = connection, set_env, program, mark
        self.channel = connection.open(start_command(set_env, program, arguments))
        self._errors = b""
        self.process: Process | None = None
        self._drained = threading.Thread(target=self._drain, daemon=True)
        self._drained.start()

    def send(self, data: bytes, silence_s: float) -> None:
        """See `profiler.pipe.Pipe`."""
        self.channel.settimeout(silence_s)
        try:
            with self._connection.within(silence_s + _DEATH_S):
                self.channel.sendall(data)
        except TimeoutError:
            raise self._silent(silence_s) from None
        except BROKEN:
            raise self._death() from None

    def receive(self, silence_s: float) -> bytes:
        """See `profiler.pipe.Pipe`."""
        self.channel.settimeout(silence_s)
        try:
            chunk = self.channel.recv(_CHUNK)
        except TimeoutError:
            raise self._silent(silence_s) from None
        except BROKEN:
            raise self._death() from None
        if not chunk:
            raise self._death()
        return chunk

    def last_words(self) -> str:
        """See `profiler.pipe.Pipe`."""
        self._drained.join(0.5)
        return last_line(self.errors)

    @property
    def errors(self) -> bytes:
        """The end of what it wrote to standard error, which is complete soon after its end."""
        self._drained.join(0.5 if self.channel.exit_status_ready() else 0.0)
        return _STARTED.sub(b"", self._errors)

    def end(self, patient: bool) -> None:
        """See `profiler.pipe.Pipe`; closing the channel alone would leave the process running."""
        with contextlib.suppress(*BROKEN), self._connection.within(2 * _CLOSE_S):
            self.channel.shutdown_write()
            until_s = time.monotonic() + (_CLOSE_S if patient else 0.0)
            while not self.channel.exit_status_ready() and time.monotonic() < until_s:
                time.sleep(0.01)
        if not self.channel.exit_status_ready():
            self._kill()
        with contextlib.suppress(*BROKEN), self._connection.within(_CLOSE_S):
            self.channel.close()

    def _kill(self) -> None:
        if self.process is not None and self._connection.alive:
            with contextlib.suppress(ConnectionGone, SshProblem):
                kill(self._connection, self.process)

    def _silent(self, silence_s: float) -> LinkLost:
        """A frozen peer does not notice a closed connection either: it is given up as a whole."""
        self._kill()
        self._connection.close()
        return LinkLost(f"the agent was silent for {silence_s:g} s")

    def _death(self) -> LinkLost | SshProblem:
        until_s = time.monotonic() + _DEATH_S
        while not self.channel.exit_status_ready() and time.monotonic() < until_s:
            time.sleep(0.01)
        status = self.channel.exit_status
        if status < 0 and not self._connection.alive:
            return LinkLost("the connection to the board broke")
        if not self.channel.exit_status_ready():
            return LinkLost("the agent closed its output")
        where = f"{self._connection.address}"
        if status == NO_SET_ENV:
            return SshProblem(f"{where} has no {self._set_env}", "say in devices.toml where CANN's `set_env` is there")
        if status == NO_PROGRAM:
            return SshProblem(
                f"{where} cannot run {self._program} ({self.last_words()})", "give its `python` in devices.toml"
            )
        return LinkLost("the agent was killed by a signal" if status < 0 else f"the agent ended with status {status}")

    def _drain(self) -> None:
        while True:
            try:
                chunk = self.channel.recv_stderr(1 << 15)
            except TimeoutError:
                continue  # the deadline is for answers; standard error may be silent
            except BROKEN:
                return
            if not chunk:
                return
            self._errors = (self._errors + chunk)[-_KEPT_ERRORS:]
            if self.process is None and (found := _STARTED.search(self._errors)):
                pid, group = int(found[1]), int(found[2])
                if pid > 1 and group > 1:
                    self.process = Process(pid, group, self._mark)


def kill(connection: Connection, process: Process) -> None:
    """Kill a process with all that it started, if it is still the one that it was.

    Raises:
        ConnectionGone: there is no connection any more.
    """
    connection.run(["sh", "-c", _KILL_IF, "sh", str(process.pid), str(process.group), process.mark], 2 * _CLOSE_S)
