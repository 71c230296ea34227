"""A search and its workers brought together: what is asked is evaluated, kept at once, and told in order.

Results come in whatever order the workers end; the search is told them by id. So with the same seed it asks for the
same networks whatever the number of workers, their speed, and however often the run was killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mosegnet.common.console import Bar, note
from mosegnet.common.errors import DeviceError
from mosegnet.digits import FloatArray, IntArray
from search.archive import TAKEN_OVER, Archive, Evaluated
from search.loop import Search
from search.workers import Outcome, Pool

STOP_AFTER = 8  # failed evaluations and no other: what is wrong is not the network


@dataclass(frozen=True, slots=True)
class _Asked:
    """A network that is being evaluated."""

    encoding: IntArray  # (D,)
    generation: int
    latency_ms: float


class Conductor:
    """Spends a budget of evaluations.

    Args:
        search: asked and told.
        archive: of this run; what it holds already is told first and is not evaluated again. Where it holds nothing
            but failures, these are.
        pool: evaluates.
        budget: evaluations in all, the archived ones included.
        lag: that of the search: so many networks may be under way when the next generation is asked for.
        latency_ms: canonical encodings (n, D) to what the archive says of them, (n,).
        before_asking: called with the number of networks asked so far, before more are asked for.
        after_telling: called whenever the search was told something.
        stop: called with the number of networks asked so far, before more are asked for: a reason to ask for no more.
        over: whether to leave everything as it is, now; what is under way is then lost, and asked for again later.
    """

    def __init__(
        self,
        search: Search,
        archive: Archive,
        pool: Pool,
        *,
        budget: int,
        lag: int,
        latency_ms: Callable[[IntArray], FloatArray],
        before_asking: Callable[[int], None],
        after_telling: Callable[[], None],
        stop: Callable[[int], str | None] = lambda asked: None,
        over: Callable[[], bool] = lambda: False,
    ) -> None:
        self._search, self._archive, self._pool = search, archive, pool
        self._budget, self._lag, self._latency_ms = budget, lag, latency_ms
        self._before_asking, self._after_telling = before_asking, after_telling
        self._stop, self._over = stop, over
        self._reason: str | None = None  # to ask for no more
        self._told = 0  # every id below it was told
        self._asked: set[int] = set()  # and not told
        self._under_way: dict[int, _Asked] = {}
        own = [network for network in archive.networks if network.worker != TAKEN_OVER]
        self._scored = any(network.miou is not None for network in own)
        self._failed = 0  # here, while nothing was scored
        self._again = set() if self._scored else {network.id for network in own}

    def go(self, bar: Bar) -> None:
        """Evaluate until the budget is used, or the space.

        Raises:
            DeviceError: every evaluation fails, or no worker is left.
            UserError: the disk is full.
        """
        bar.advance(len(self._archive) - len(self._again))
        self._tell()
        while True:
            self._ask()
            if not self._under_way:
                return
            for outcome in self._pool.completed():
                self._keep(outcome, bar)
            self._tell()
            if self._over():
                return

    def _ask(self) -> None:
        """Hand out whole generations as long as the lag allows."""
        while (out := self._told + len(self._asked)) < self._budget and len(self._asked) <= self._lag:
            self._before_asking(out)
            if self._reason is None and (reason := self._stop(out)):
                self._reason = reason
                note(reason)
            if self._reason is not None or self._over():
                return
            X = self._search.ask(self._budget - out)
            if not len(X):
                if not self._asked:
                    note("the space is used up: every network of it was evaluated")
                return
            for x, latency_ms in zip(X, self._latency_ms(X), strict=True):
                self._hand_out(x, float(latency_ms))
            self._tell()

    def _hand_out(self, x: IntArray, latency_ms: float) -> None:
        known = self._archive.find(x)
        id = self._free_id() if known is None else known.id
        self._asked.add(id)
        if known is None or id in self._again:
            self._under_way[id] = _Asked(x, self._search.generation, latency_ms)
            self._pool.submit(id, x)

    def _free_id(self) -> int:
        """The least that is neither evaluated nor asked: after a kill, the one that the network had before."""
        id = self._archive.next_id
        while id in self._asked or self._archive.get(id) is not None:
            id += 1
        return id

    def _keep(self, outcome: Outcome, bar: Bar) -> None:
        asked = self._under_way.pop(outcome.id)
        network = self._archive.append(
            asked.encoding,
            outcome.miou,
            asked.latency_ms,
            asked.generation,
            outcome.failure,
            id=outcome.id,
            attempts=outcome.attempts,
            worker=outcome.worker,
            seconds=outcome.seconds,
            ended=time.time(),
        )
        self._again.discard(network.id)
        bar.advance(1, _described(network))
        self._stop_where_nothing_works(network)

    def _stop_where_nothing_works(self, network: Evaluated) -> None:
        self._scored = self._scored or network.miou is not None
        self._failed += network.miou is None
        if not self._scored and self._failed >= min(STOP_AFTER, self._budget):
            raise DeviceError(
                f"the first {self._failed} evaluations have all failed ({network.failure}): mend it, --resume tries "
                "them again"
            )

    def _tell(self) -> None:
        """Tell what is evaluated, by id, up to the first that is not."""
        ready: list[Evaluated] = []
        while (network := self._archive.get(self._told)) is not None and network.id not in self._again:
            ready.append(network)
            self._asked.discard(network.id)
            self._told += 1
        if ready:
            scores = [np.nan if network.miou is None else network.miou for network in ready]
            self._search.tell([network.encoding for network in ready], scores)
            self._after_telling()


def _described(network: Evaluated) -> str:
    if network.miou is None:
        return f"generation {network.generation}, failed: {network.failure}"
    return f"generation {network.generation}, mIoU {network.miou:.3f} at {network.latency_ms:.2f} ms"
