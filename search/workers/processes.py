"""Workers that are processes of this machine: a crash is theirs alone."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from mosegnet.common import console
from search.workers.crew import Event, Lost, Ready
from search.workers.pool import Job, Outcome, Recipe, reason, seeded_attempt


@dataclass(slots=True, eq=False)
class _Handle:
    process: SpawnProcess
    connection: Connection


class Processes:
    """The backend of local processes, spawned, so that none inherits a thread, a lock or a GPU context."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._context = multiprocessing.get_context("spawn")

    def start(self, number: int) -> _Handle:
        """See `Backend`."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._recipe, number, self.name(number)))
        process.daemon = True
        process.start()
        theirs.close()  # so that its end is seen here
        return _Handle(process, ours)

    def send(self, handle: _Handle, job: Job) -> None:
        """See `Backend`."""
        with contextlib.suppress(OSError):  # it is gone: `wait` will say so
            handle.connection.send(job)

    def wait(self, handles: Sequence[_Handle], timeout_s: float) -> list[tuple[_Handle, Event]]:
        """See `Backend`."""
        by_connection = {handle.connection: handle for handle in handles}
        ready = wait(list(by_connection), timeout_s)
        return [(handle, _heard(handle)) for connection, handle in by_connection.items() if connection in ready]

    def kill(self, handle: _Handle) -> None:
        """See `Backend`."""
        handle.process.kill()
        handle.process.join()
        handle.connection.close()

    def name(self, number: int) -> str:
        """See `Backend`."""
        return f"process-{number}"

    def close(self) -> None:
        """Nothing is shared."""


def _heard(handle: _Handle) -> Event:
    try:
        event: Event = handle.connection.recv()
    except (EOFError, OSError):
        handle.process.join()
        handle.connection.close()
        return Lost(_how_it_ended(handle.process.exitcode or 0))
    return event


def _how_it_ended(status: int) -> str:
    if status < 0:
        hint = ", perhaps for want of memory" if -status == signal.SIGKILL else ""
        return f"the worker was killed by {signal.Signals(-status).name}{hint}"
    return f"the worker ended with status {status}"


def _serve(connection: Connection, recipe: Recipe, number: int, name: str) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    console.stderr.quiet = True  # its progress too
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        score = recipe(number)
    except Exception as error:
        connection.send(Lost(reason(error)))
        return
    connection.send(Ready())
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            return
        outcome: Outcome = seeded_attempt(score, job, name)
        connection.send(outcome)


def _end_with_parent() -> None:
    """A parent that was killed must not leave workers behind that still hold a GPU."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
