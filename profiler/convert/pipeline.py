"""Conversions that keep ahead of the device: in its order, side by side, never more unused ones than agreed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Generic, Protocol, TypeVar

from profiler.convert.failures import Failure
from profiler.convert.runner import Capacity, Stopped

_WAKE_S = 0.5
_JOIN_S = 10.0


class Source(Protocol):
    """What a converter needs of a job, such as `profiler.plan.Job`."""

    @property
    def key(self) -> str:
        """Its name in messages."""

    @property
    def make(self) -> Callable[[], bytes | Path]:
        """Gives its ONNX bytes, or the file that holds them."""


J = TypeVar("J", bound=Source)
Result = bytes | Path | Failure


@dataclass(slots=True)
class Statistics:
    """What happened so far: seconds summed over the workers, and the seconds that the consumer had to wait."""

    converted: int = 0
    cache_hits: int = 0
    failures: int = 0
    converting_s: float = 0.0
    waited_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, **amounts: float) -> None:
        """Add to fields by name, from any thread."""
        with self._lock:
            for name, amount in amounts.items():
                setattr(self, name, getattr(self, name) + amount)


def workers_for(capacity: Capacity, memory_bytes: int, limit: int | None = None) -> int:
    """How many conversions side by side: as cores and free memory allow, at most `limit`, at least one."""
    allowed = [capacity.cores, *([limit] if limit is not None else [])]
    if capacity.free_memory_bytes is not None:
        allowed.append(capacity.free_memory_bytes // memory_bytes)
    return max(1, min(allowed))


class Pipeline(Generic[J]):
    """An iterator over (job, its model or Failure) in the order of `jobs`, converted ahead by `workers` threads.

    At most `ahead` jobs are being converted or finished and not yet taken. An exception in a worker ends all of it
    and is raised by the next `next`. Use it as a context manager: leaving it, in whatever way, ends the conversions
    under way. `convert` gets the job and an event that is set when it shall give up, by raising `Stopped`.
    """

    def __init__(
        self,
        jobs: Iterable[J],
        convert: Callable[[J, threading.Event], Result],
        workers: int,
        ahead: int,
        statistics: Statistics | None = None,
    ) -> None:
        self._statistics = statistics or Statistics()
        self._work = _Work(iter(jobs), convert, max(1, ahead))
        # Threads hold the work, not the pipeline: one that is dropped unfinished is collected, and ends them.
        self._threads = [
            threading.Thread(target=self._work.run, name=f"convert-{number}", daemon=True) for number in range(workers)
        ]
        self._started = False

    def __enter__(self) -> Pipeline[J]:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self._work.give_up()

    def __iter__(self) -> Iterator[tuple[J, Result]]:
        return self

    def __next__(self) -> tuple[J, Result]:
        self._start()
        asked_s = time.monotonic()
        try:
            return self._work.take()
        except BaseException:  # the end, an error of a worker, Ctrl-C while waiting
            self.close()
            raise
        finally:
            self._statistics.add(waited_s=time.monotonic() - asked_s)

    def close(self) -> None:
        """End the conversions under way and wait until they have ended."""
        self._work.give_up()
        if self._started:
            for thread in self._threads:
                thread.join(_JOIN_S)

    def _start(self) -> None:
        if not self._started:
            self._started = True
            for thread in self._threads:
                thread.start()


class _Work(Generic[J]):
    """What the threads share: jobs numbered as they are taken, results by number until they are given out."""

    def __init__(self, jobs: Iterator[J], convert: Callable[[J, threading.Event], Result], ahead: int) -> None:
        self._jobs, self._convert, self._ahead = jobs, convert, ahead
        self._change = threading.Condition()
        self._results: dict[int, tuple[J, Result]] = {}
        self._begun = self._given = 0
        self._no_more = False
        self._error: BaseException | None = None
        self.stop = threading.Event()

    def run(self) -> None:
        """A worker's life."""
        with contextlib.suppress(Stopped):
            try:
                while (claim := self._claim()) is not None:
                    number, job = claim
                    result = self._convert(job, self.stop)
                    with self._change:
                        self._results[number] = job, result
                        self._change.notify_all()
            except Stopped:
                raise
            except BaseException as error:  # a bug included: it belongs to the consumer, with its traceback
                self._fail(error)

    def take(self) -> tuple[J, Result]:
        """The next result, waited for."""
        with self._change:
            # The system may hand Ctrl-C to another thread: this one acts on it when it wakes, so it wakes now and then.
            while not self._change.wait_for(self._has_news, _WAKE_S):
                pass
            if self._error is not None:
                raise self._error
            if self._given not in self._results:
                raise StopIteration
            result = self._results.pop(self._given)
            self._given += 1
            self._change.notify_all()
            return result

    def give_up(self) -> None:
        """Nothing more is wanted."""
        with self._change:
            self._no_more = True
            self.stop.set()
            self._results.clear()
            self._change.notify_all()

    def _has_news(self) -> bool:
        ended = self._no_more and (self._given == self._begun or self.stop.is_set())
        return self._error is not None or self._given in self._results or ended

    def _claim(self) -> tuple[int, J] | None:
        with self._change:
            self._change.wait_for(lambda: self._no_more or self._begun - self._given < self._ahead)
            if self._no_more:
                return None
            try:
                job = next(self._jobs)
            except StopIteration:
                self._no_more = True
                self._change.notify_all()
                return None
            self._begun += 1
            return self._begun - 1, job

    def _fail(self, error: BaseException) -> None:
        with self._change:
            self._error = self._error or error
            self._no_more = True
            self.stop.set()
            self._change.notify_all()
