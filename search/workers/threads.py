"""Evaluation in this process: threads that share one score."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from mosegnet.digits import IntArray
from search.workers.pool import Job, Outcome, Score, attempt

NAME = "here"


class Threads:
    """`size` threads of this process. A network that hangs or brings the process down cannot be helped here.

    Args:
        prepare: called once in each thread.
    """

    def __init__(self, score: Score, size: int, prepare: Callable[[], None] | None = None) -> None:
        self.size, self._score = size, score
        self._executor = ThreadPoolExecutor(size, initializer=prepare)
        self._futures: set[Future[Outcome]] = set()

    def submit(self, id: int, encoding: IntArray) -> None:
        """See `Pool`."""
        self._futures.add(self._executor.submit(attempt, self._score, Job(id, encoding), NAME))

    def completed(self) -> list[Outcome]:
        """See `Pool`."""
        done, self._futures = wait(self._futures, return_when=FIRST_COMPLETED)
        return sorted((future.result() for future in done), key=lambda outcome: outcome.id)

    def close(self) -> None:
        """Finish what runs, begin nothing more."""
        self._executor.shutdown(cancel_futures=True)
