"""A failed evaluation is tried again a bounded number of times, then it stays failed."""

from __future__ import annotations

from dataclasses import replace

from mosegnet.digits import IntArray
from search.workers.pool import Outcome, Pool

RETRIES = 2


class Retrying:
    """A pool whose failures are final: each was tried `1 + RETRIES` times. An accuracy of NaN is a result."""

    def __init__(self, pool: Pool) -> None:
        self.size, self._pool = pool.size, pool
        self._encodings: dict[int, IntArray] = {}
        self._attempts: dict[int, int] = {}

    def submit(self, id: int, encoding: IntArray) -> None:
        """See `Pool`."""
        self._encodings[id], self._attempts[id] = encoding, 1
        self._pool.submit(id, encoding)

    def completed(self) -> list[Outcome]:
        """See `Pool`; outcomes say how many attempts were made."""
        final: list[Outcome] = []
        while not final:
            for outcome in self._pool.completed():
                id = outcome.id
                if outcome.failure is not None and self._attempts[id] <= RETRIES:
                    self._attempts[id] += 1
                    self._pool.submit(id, self._encodings[id])
                else:
                    del self._encodings[id]
                    final.append(replace(outcome, attempts=self._attempts.pop(id)))
        return final

    def close(self) -> None:
        """See `Pool`."""
        self._pool.close()
