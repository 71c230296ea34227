"""One process at a time for a run's folder; and who that is."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from mosegnet.common.console import warn
from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors

NAME = "run.lock"


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that works, or worked last, on a run."""

    pid: int
    host: str
    started: float  # seconds since 1970


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder, which is made where it is missing; given back by the system however this process ends.

    Raises:
        UserError: another process holds it.
    """
    path = folder / NAME
    with explain_os_errors(path, "open"):
        folder.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+")  # noqa: SIM115 - closed below
    with file:
        if not _taken(file):
            owner = _read(path)
            who = f"process {owner.pid} on {owner.host}" if owner else "another process"
            raise UserError(f"{who} is working on {folder}: wait for it, or take another --out")
        with explain_os_errors(path):
            file.truncate(0)
            file.write(json.dumps(asdict(Owner(os.getpid(), socket.gethostname(), time.time()))) + "\n")
            file.flush()
        yield


def owner_of(folder: Path) -> tuple[Owner | None, bool]:
    """Who worked on a run last, None where that is not known; and whether it still does."""
    path = folder / NAME
    if not path.exists():
        return None, False
    with explain_os_errors(path, "read"), open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(path), True
        except OSError:
            return _read(path), False
    return _read(path), False


def _taken(file: IO[str]) -> bool:
    """Whether the lock is ours now; a file system without locks has everyone believe so, with a warning."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL):
            raise
        warn(f"the file system of {file.name} has no locks: see that no other process works on this run")
    return True


def _read(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
