"""What a search asks of those who evaluate: networks in, outcomes out, in whatever order they end."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mosegnet.digits import IntArray

Score = Callable[[IntArray], float]
"""A canonical encoding (D,) to its accuracy in 0..1; NaN or an exception where the evaluation fails."""

Recipe = Callable[[int], Score]
"""Makes a worker's score, once, given the worker's number from 0; it can be pickled, the score need not be."""

_REASON_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Job:
    """One network to evaluate."""

    id: int
    encoding: IntArray  # (D,)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one evaluation ended."""

    id: int
    miou: float | None  # None where it failed
    worker: str
    seconds: float
    failure: str | None = None
    attempts: int = 1


class Pool(Protocol):
    """Evaluates what is submitted; every id submitted comes back once. An id may then be submitted again."""

    size: int  # how many networks are evaluated at a time

    def submit(self, id: int, encoding: IntArray) -> None:
        """Have one network evaluated; returns at once."""

    def completed(self) -> list[Outcome]:
        """The outcomes since the last call; waits until there is one.

        Raises:
            DeviceError: no worker is left, and none can be started.
        """

    def close(self) -> None:
        """Stop all work; what is not completed is lost."""


def attempt(score: Score, job: Job, worker: str) -> Outcome:
    """Evaluate one network here; an exception is an outcome."""
    started = time.perf_counter()
    try:
        miou, failure = float(score(job.encoding)), None
    except Exception as error:
        miou, failure = None, reason(error)
    return Outcome(job.id, miou, worker, time.perf_counter() - started, failure)


def seeded_attempt(score: Score, job: Job, worker: str) -> Outcome:
    """As `attempt`, in a process that evaluates one network at a time: chance follows the network, not the worker."""
    random.seed(job.id)
    np.random.seed(job.id)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(job.id)
    return attempt(score, job, worker)


def reason(error: BaseException) -> str:
    """An exception in one line that is not too long."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:_REASON_CHARACTERS]
