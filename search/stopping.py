"""When a search ends before its budget is used: the hypervolume has settled, or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settling:
    """The rule: the last so many generations together brought less than a share of the hypervolume.

    Zero generations: never. A hypervolume of zero has not settled: nothing has been found yet.
    """

    generations: int
    share: float

    def settled(self, generation: int, hypervolume: Callable[[int], float]) -> bool:
        """Whether the search can stop after a generation; `hypervolume` tells that of any up to it, 0 the sample."""
        if not self.generations or generation < self.generations:
            return False
        now, before = hypervolume(generation), hypervolume(generation - self.generations)
        return now > 0 and now - before < self.share * now

    def describe(self) -> str:
        """The rule in words."""
        return f"{self.generations} generations together brought less than {100 * self.share:g} % of the hypervolume"


NEVER = Settling(generations=0, share=0.0)


class Clock:
    """A limit of time, from now on; none where `minutes` is None. It ends a run and decides nothing else of it."""

    def __init__(self, minutes: float | None, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._end_s = None if minutes is None else now_s() + 60 * minutes

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self._end_s is not None and self._now_s() >= self._end_s
