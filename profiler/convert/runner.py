"""Where a conversion runs: the few things that it needs of a machine, and this machine."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from mosegnet.common.files import explain_os_errors

KEPT_OF_A_RUN = 5  # folders of failed conversions
KEPT_OF_ALL_RUNS = 20
_ABANDONED_S = 24 * 3600.0  # the process that made the folder was killed
_POLL_S = 0.02
_CGROUP_FILES = (  # limit, use and what the use is made of, versions 2 and 1
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
_TAIL_BYTES = 1 << 20  # of an output; what decides is at its end


class Stopped(Exception):
    """The conversion was given up because nobody wants its result any more."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ended; `status` is negative for a signal, None when it was killed at its deadline."""

    status: int | None
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a machine has to convert with; None: it does not say."""

    cores: int
    free_memory_bytes: int | None


class Runner(Protocol):
    """A machine that converts. Paths are its own; all methods are called from several threads at once.

    An unreachable machine raises its link's error, a full disk `UserError`: both end the whole run.
    """

    where: str

    def capacity(self) -> Capacity:
        """What there is to convert with, now."""

    def make_folder(self) -> str:
        """A fresh empty folder that nobody else uses."""

    def put(self, path: str, data: bytes) -> None:
        """Write a file."""

    def get(self, path: str) -> bytes | None:
        """Read a file; None: there is none."""

    def modified_s(self, path: str) -> float | None:
        """When a file was written by the machine's own clock; None: there is none."""

    def run(self, command: Sequence[str], folder: str, timeout_s: float, stop: threading.Event) -> Finished:
        """Run a command in `folder`, each item one argument; end it with all its children at the deadline.

        Raises:
            Stopped: `stop` was set; nothing of the command runs on.
        """

    def remove(self, folder: str) -> None:
        """Delete a folder and all in it."""

    def keep(self, folder: str) -> str | None:
        """Put a failed conversion's folder aside and say where it is; None: enough are kept, it is deleted."""


class LocalRunner:
    """This machine. Working folders, and those kept after a failure, are under `root`."""

    where = "this host"

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._kept = 0
        self._tidied = self._registered = self._over = False

    def capacity(self) -> Capacity:
        """Cores that this process may use, and memory that neither the machine nor its control group has given out."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return Capacity(cores, free_memory_bytes())

    def make_folder(self) -> str:
        """See `Runner`."""
        with explain_os_errors(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            with self._lock:
                if not self._tidied:
                    self._tidied = True
                    self._tidy()
            return tempfile.mkdtemp(prefix="work-", dir=self._root)

    def put(self, path: str, data: bytes) -> None:
        """See `Runner`."""
        with explain_os_errors(path):
            Path(path).write_bytes(data)

    def get(self, path: str) -> bytes | None:
        """See `Runner`."""
        try:
            return Path(path).read_bytes()
        except OSError:
            return None

    def modified_s(self, path: str) -> float | None:
        """See `Runner`."""
        try:
            return os.stat(path).st_mtime
        except OSError:
            return None

    def run(self, command: Sequence[str], folder: str, timeout_s: float, stop: threading.Event) -> Finished:
        """See `Runner`."""
        if stop.is_set():
            raise Stopped
        with explain_os_errors(folder), tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            process = self._start(command, folder, stdout, stderr)
            try:
                in_time = _wait(process, timeout_s, stop)
            finally:
                self._end(process)
            if self._over:
                raise Stopped
            return Finished(process.returncode if in_time else None, _tail(stdout), _tail(stderr))

    def remove(self, folder: str) -> None:
        """See `Runner`."""
        shutil.rmtree(folder, ignore_errors=True)

    def keep(self, folder: str) -> str | None:
        """See `Runner`; of one run the first `KEPT_OF_A_RUN` are kept, so that paths in messages stay true."""
        with self._lock:
            if self._kept == KEPT_OF_A_RUN:
                self.remove(folder)
                return None
            kept = str(Path(folder).with_name(Path(folder).name.replace("work-", "failed-")))
            try:
                os.rename(folder, kept)
            except OSError:
                return folder
            self._kept += 1
            return kept

    def _start(
        self, command: Sequence[str], folder: str, stdout: IO[bytes], stderr: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._over:
                raise Stopped
            if not self._registered:
                self._registered = True
                atexit.register(self._end_all)
            with explain_os_errors(command[0], "run"):
                process = subprocess.Popen(
                    command, cwd=folder, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                    start_new_session=True,  # a process group of its own, so that all of it can be ended
                )  # fmt: skip
            self._running.add(process)
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Kill whatever is left of the command's process group: ATC's compilers outlive it when it is killed."""
        _kill_group(process)
        process.wait()
        with self._lock:
            self._running.discard(process)

    def _end_all(self) -> None:
        """This program ends, and whoever should have stopped the conversions did not."""
        with self._lock:
            self._over = True
            for process in self._running:
                _kill_group(process)

    def _tidy(self) -> None:
        """Delete what killed runs left, and the oldest of what was kept."""
        folders = sorted(self._root.iterdir(), key=lambda path: self.modified_s(str(path)) or 0.0)
        failed = [path for path in folders if path.name.startswith("failed-")]
        work = [path for path in folders if path.name.startswith("work-")]
        oldest_s = time.time() - _ABANDONED_S
        left = [path for path in work if (self.modified_s(str(path)) or 0.0) < oldest_s]
        for path in left + failed[: max(0, len(failed) - KEPT_OF_ALL_RUNS)]:
            self.remove(str(path))


def free_memory_bytes(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Memory that can still be used, of the machine or of this process's control group, whichever is less."""
    known = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = (proc / "meminfo").read_text().splitlines()
        known.append(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")))
    for most, used, stat in _CGROUP_FILES:
        with contextlib.suppress(OSError, ValueError):  # "max" is no number: no limit
            taken = int((cgroup / used).read_text()) - _reclaimable_bytes(cgroup / stat)
            known.append(max(0, int((cgroup / most).read_text()) - taken))
    return min(known, default=None)


def _reclaimable_bytes(stat: Path) -> int:
    """What a control group counts as used but gives back when asked: files in memory."""
    values = dict(line.split()[:2] for line in stat.read_text().splitlines())
    return int(values.get("inactive_file", 0))


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes], timeout_s: float, stop: threading.Event) -> bool:
    """Whether the process ended by itself before the deadline."""
    deadline_s = time.monotonic() + timeout_s
    while process.poll() is None:
        if stop.wait(_POLL_S):
            raise Stopped
        if time.monotonic() > deadline_s:
            return False
    return True


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    return file.read().decode(errors="replace")
