"""A machine over SSH that converts models: the board itself, or a third one. See `profiler.convert.runner.Runner`."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence
from pathlib import PurePosixPath

from profiler.convert.runner import KEPT_OF_A_RUN, Capacity, Finished, Stopped
from profiler.outside import last_line
from profiler.ssh_address import Address
from profiler.ssh_connection import Connection, Drain
from profiler.ssh_errors import ConnectionGone, SshProblem
from profiler.ssh_files import RemoteFiles
from profiler.ssh_pipe import Process, SshPipe, kill

_STEP_S = 60.0
_POLL_S = 0.02
# Runs a command in a folder and then ends what it left of its process group: ATC's compilers outlive it when it is
# killed. Not the command itself but this shell bears the mark by which the group is known.
_IN_FOLDER = r"""
cd -- "$1" || exit 125
shift
"$@" < /dev/null
status=$?
{ read -r _ _ _ _ mine _ < /proc/self/stat; } 2> /dev/null
for file in /proc/[0-9]*/stat; do
  { read -r pid _ _ _ group _ < "$file"; } 2> /dev/null || continue
  if [ "$group" = "$mine" ] && [ "$pid" != "$$" ] && [ "$pid" != "$PPID" ]; then kill -9 "$pid"; fi
done
exit $status
"""
_MAKE = (
    'mkdir -p -m 700 -- "$1" && find "$1" -maxdepth 1 -name "work-*" -mmin +1440 -exec rm -rf -- {} + ; '
    'mktemp -d -- "$1/work-XXXXXXXX"'
)
_CAPACITY = "nproc; sed -n 's/^MemAvailable: *\\([0-9]*\\) kB$/\\1/p' /proc/meminfo"


class SshRunner:
    """Converts on one machine, in `folder` there, which begins with `~/` or `/`.

    Raises:
        SshProblem, Unreachable: nobody can log in there.
        ConnectionGone: the connection broke; the conversions under way are lost, and ended by the next connection.
    """

    def __init__(self, address: Address, folder: str) -> None:
        self._address, self._folder = address, folder
        self._lock = threading.RLock()  # paramiko's file transfer answers one thread at a time
        self._files: RemoteFiles | None = None
        self._left: list[Process] = []  # conversions that a broken connection left running there
        self._kept = 0
        self.where = str(address)

    def close(self) -> None:
        """Log out."""
        with self._lock:
            if self._files is not None:
                self._files.connection.close()
                self._files = None

    def capacity(self) -> Capacity:
        """See `Runner`."""
        found = self._connected().connection.run(["sh", "-c", _CAPACITY], _STEP_S).output.split()
        numbers = [int(word) for word in found if word.isdigit() and len(word) < 16]
        if not numbers:
            return Capacity(1, None)
        return Capacity(max(1, numbers[0]), numbers[1] * 1024 if len(numbers) > 1 else None)

    def make_folder(self) -> str:
        """See `Runner`."""
        root = self._connected().root / "conversions"
        made = self._shell(_MAKE, str(root))
        if PurePosixPath(made).parent != root or not PurePosixPath(made).name.startswith("work-"):
            raise SshProblem(f"{self.where} makes no folder in {root}", "is its disk full or read-only?")
        return made

    def put(self, path: str, data: bytes) -> None:
        """See `Runner`."""
        with self._lock:
            self._connected().upload(data, PurePosixPath(path))

    def get(self, path: str) -> bytes | None:
        """See `Runner`."""
        with self._lock:
            return self._connected().read(PurePosixPath(path))

    def modified_s(self, path: str) -> float | None:
        """See `Runner`; in whole seconds."""
        with self._lock:
            return self._connected().modified_s(PurePosixPath(path))

    def run(self, command: Sequence[str], folder: str, timeout_s: float, stop: threading.Event) -> Finished:
        """See `Runner`."""
        if stop.is_set():
            raise Stopped
        connection = self._connected().connection
        mark = secrets.token_hex(8)
        pipe = SshPipe(connection, None, "sh", ["-c", _IN_FOLDER, mark, folder, *command], mark)
        output = Drain(pipe.channel.recv)
        until_s = time.monotonic() + timeout_s
        try:
            while not pipe.channel.exit_status_ready():
                if stop.wait(_POLL_S):
                    raise Stopped
                if time.monotonic() > until_s:
                    return Finished(None, _text(output.so_far), _text(pipe.errors))
            status = pipe.channel.exit_status
            if status < 0 and not connection.alive:
                if pipe.process is not None:
                    self._left.append(pipe.process)
                raise ConnectionGone(f"{self.where}: the connection broke during a conversion")
            return Finished(status, _text(output.all()), _text(pipe.errors))
        finally:
            pipe.end(patient=False)

    def remove(self, folder: str) -> None:
        """See `Runner`."""
        if PurePosixPath(folder).parent == self._connected().root / "conversions":
            self._shell('rm -rf -- "$1"', folder)

    def keep(self, folder: str) -> str | None:
        """See `Runner`."""
        with self._lock:
            self._kept += 1
            if self._kept > KEPT_OF_A_RUN:
                self.remove(folder)
                return None
        kept = folder.replace("/work-", "/failed-")
        self._shell('mv -- "$1" "$2"', folder, kept)
        return f"{self.where}:{kept}"

    def _shell(self, script: str, *arguments: str) -> str:
        """The last line that a script says."""
        return last_line(self._connected().connection.run(["sh", "-c", script, "sh", *arguments], _STEP_S).output)

    def _connected(self) -> RemoteFiles:
        with self._lock:
            if self._files is None or not self._files.connection.alive:
                self._files = RemoteFiles(Connection(self._address), self._folder, "python3", secrets.token_hex(8))
                while self._left:
                    kill(self._files.connection, self._left[-1])
                    self._left.pop()
            return self._files


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
