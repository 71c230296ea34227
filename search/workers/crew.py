"""Workers outside this process: who is free gets the next network, who is lost or hangs is replaced."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from mosegnet.common.console import warn
from mosegnet.common.errors import DeviceError
from mosegnet.digits import IntArray
from search.workers.pool import Job, Outcome

_START_S = 600.0  # at least: a supernet to read, a place in the cluster to wait for
_FAILED_STARTS = 3  # in a row, with no sign of life in between: the fault is not the worker's

HandleT = TypeVar("HandleT")


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker says that it can begin."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is no more, or could not begin."""

    reason: str


Event = Ready | Lost | Outcome


class Backend(Protocol[HandleT]):
    """How workers are started and spoken to; the crew decides what they do."""

    def start(self, number: int) -> HandleT:
        """Begin to start a worker; `Ready` or `Lost` follows."""

    def send(self, handle: HandleT, job: Job) -> None:
        """Give a ready worker its next network; an `Outcome` or `Lost` follows."""

    def wait(self, handles: Sequence[HandleT], timeout_s: float) -> list[tuple[HandleT, Event]]:
        """What the workers have said; nothing after `timeout_s`.

        Raises:
            DeviceError: the workers cannot be reached any more.
        """

    def kill(self, handle: HandleT) -> None:
        """End a worker at once, whatever it does; nothing more is heard of it."""

    def name(self, number: int) -> str:
        """What a worker is called in the archive."""

    def close(self) -> None:
        """Give back what is shared by the workers."""


@dataclass(slots=True)
class _Seat(Generic[HandleT]):
    """A worker's place: who sits there, and what it does."""

    number: int
    handle: HandleT
    since: float  # monotonic, of the start or of the job
    ready: bool = False
    job: Job | None = field(default=None)


class Crew(Generic[HandleT]):
    """A pool of `size` workers of one backend.

    Args:
        deadline_s: a worker that takes longer over one network is hung and is replaced.
    """

    def __init__(self, backend: Backend[HandleT], size: int, deadline_s: float) -> None:
        self.size, self._backend, self._deadline_s = size, backend, deadline_s
        self._waiting: deque[Job] = deque()
        self._failed_starts = 0
        self._seats = [_Seat(number, backend.start(number), time.monotonic()) for number in range(size)]

    def submit(self, id: int, encoding: IntArray) -> None:
        """See `Pool`."""
        self._waiting.append(Job(id, encoding))

    def completed(self) -> list[Outcome]:
        """See `Pool`."""
        found: list[Outcome] = []
        while not found:
            self._assign()
            for handle, event in self._backend.wait([seat.handle for seat in self._seats], self._patience_s()):
                found += self._hear(next(seat for seat in self._seats if seat.handle is handle), event)
            for seat in self._seats:
                if self._left_s(seat) <= 0:
                    found += self._hear(seat, Lost(f"nothing heard for {self._limit_s(seat):g} s"))
        self._assign()  # nobody idles while the caller thinks
        return found

    def close(self) -> None:
        """See `Pool`."""
        for seat in self._seats:
            self._backend.kill(seat.handle)
        self._backend.close()

    def _assign(self) -> None:
        for seat in self._seats:
            if seat.ready and seat.job is None and self._waiting:
                seat.job, seat.since = self._waiting.popleft(), time.monotonic()
                self._backend.send(seat.handle, seat.job)

    def _hear(self, seat: _Seat[HandleT], event: Event) -> list[Outcome]:
        if isinstance(event, Lost):
            return self._replace(seat, event.reason)
        self._failed_starts = 0
        if isinstance(event, Ready):
            seat.ready = True
            return []
        seat.job = None
        return [event]

    def _replace(self, seat: _Seat[HandleT], reason: str) -> list[Outcome]:
        """A new worker at the seat; what the lost one was at has failed."""
        self._backend.kill(seat.handle)  # it may still run
        if not seat.ready:
            self._failed_starts += 1
            if self._failed_starts >= min(_FAILED_STARTS, self.size + 1):
                raise DeviceError(f"no worker can be started ({reason}): mend it and go on with --resume")
        name, now = self._backend.name(seat.number), time.monotonic()
        warn(f"worker {name} is replaced: {reason}")
        lost = [] if seat.job is None else [Outcome(seat.job.id, None, name, now - seat.since, reason)]
        seat.handle, seat.since, seat.ready, seat.job = self._backend.start(seat.number), now, False, None
        return lost

    def _left_s(self, seat: _Seat[HandleT]) -> float:
        """Until the worker's deadline; one without work has no deadline."""
        idle = seat.ready and seat.job is None
        return float("inf") if idle else seat.since + self._limit_s(seat) - time.monotonic()

    def _limit_s(self, seat: _Seat[HandleT]) -> float:
        return self._deadline_s if seat.ready else max(self._deadline_s, _START_S)

    def _patience_s(self) -> float:
        return max(0.0, min(self._deadline_s, *map(self._left_s, self._seats)))
