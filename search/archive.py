"""Everything that was ever evaluated in a run, one line each, on the disk as soon as its result is known."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mosegnet.common.errors import UserError
from mosegnet.common.journal import Journal, read_journal
from search.evolution.initialisation import IntArray, SearchSpace, key

TAKEN_OVER = "taken over"  # the worker of a network whose accuracy another run knew


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One evaluated network."""

    id: int  # its place in the order of asking, from 0
    generation: int  # 0 for the initial sample
    encoding: tuple[int, ...]  # canonical
    miou: float | None  # 0..1; None where the evaluation failed
    latency_ms: float
    failure: str | None = None  # why it failed
    attempts: int = 1
    worker: str | None = None  # who made the last attempt
    seconds: float | None = None  # that the last attempt took
    ended: float | None = None  # when, in seconds since 1970


class Archive:
    """The journal of a run's evaluated networks: no network twice, no result ever changed.

    Lines stand in the order in which results came in, which is that of the ids only with one worker at a time; what
    is read back is sorted by id. A failed network may be evaluated again: then its later line counts.

    Raises:
        UserError: the file is damaged, holds a network of another space, or the same network or id twice.
    """

    def __init__(self, path: Path | str, space: SearchSpace, *, read_only: bool = False) -> None:
        self._path, self._space = Path(path), space
        self._networks: dict[int, Evaluated] = {}
        self._ids: dict[bytes, int] = {}
        self._next_id = 0
        for number, record in enumerate(read_journal(self._path), start=1):
            try:
                self._remember(_parse(record))
            except (UserError, ValueError, TypeError, KeyError) as error:
                raise UserError(
                    f"{self._path}, line {number} is no network of this run ({_reason(error)}): "
                    "restore the file, or start a new run folder"
                ) from None
        self._journal = None if read_only else Journal(self._path)

    @property
    def networks(self) -> tuple[Evaluated, ...]:
        """Every evaluated network, by id: the order in which they were asked for."""
        return tuple(self._networks[id] for id in sorted(self._networks))

    @property
    def next_id(self) -> int:
        """The least id that no network has: every smaller one is evaluated."""
        return self._next_id

    def __len__(self) -> int:
        return len(self._networks)

    def __contains__(self, encoding: object) -> bool:
        return self.find(np.asarray(encoding)) is not None

    def get(self, id: int) -> Evaluated | None:
        """The network of an id; None where it was not evaluated."""
        return self._networks.get(id)

    def find(self, encoding: IntArray) -> Evaluated | None:
        """The network of an encoding, however spelled; None where it was not evaluated."""
        id = self._ids.get(key(self._space.canonical(encoding)[0]))
        return None if id is None else self._networks[id]

    def append(
        self,
        encoding: IntArray,
        miou: float | None,
        latency_ms: float,
        generation: int,
        failure: str | None = None,
        *,
        id: int | None = None,
        attempts: int = 1,
        worker: str | None = None,
        seconds: float | None = None,
        ended: float | None = None,
    ) -> Evaluated:
        """Add one network; it is on the disk when this returns. A NaN accuracy is kept as a failure.

        `id` is by default the next one.

        Raises:
            UserError: the disk is full; the network then counts as not evaluated.
            ValueError: the network or the id is in the archive already, and did not fail.
        """
        if miou is not None and not np.isfinite(miou):
            miou, failure = None, failure or "its accuracy is not a number"
        network = Evaluated(
            id=self._next_id if id is None else id,
            generation=generation,
            encoding=tuple(int(digit) for digit in self._space.canonical(encoding)[0]),
            miou=None if miou is None else float(miou),
            latency_ms=float(latency_ms),
            failure=failure,
            attempts=attempts,
            worker=worker,
            seconds=None if seconds is None else round(seconds, 3),
            ended=None if ended is None else round(ended, 3),
        )
        self._check(network)
        assert self._journal is not None, "the archive was opened for reading"
        self._journal.append(asdict(network))
        self._remember(network)
        return network

    def arrays(self) -> tuple[IntArray, np.ndarray]:
        """Encodings (n, D) and accuracies (n,) by id, NaN where the evaluation failed: what `Search.tell` takes."""
        networks = self.networks
        X = np.array([network.encoding for network in networks], dtype=np.int64)
        miou = np.array([np.nan if network.miou is None else network.miou for network in networks])
        return X.reshape(len(self), len(self._space.cardinalities)), miou

    def close(self) -> None:
        """Close the file; every line is on the disk already."""
        if self._journal is not None:
            self._journal.close()

    def _check(self, network: Evaluated) -> None:
        """What a line must be beside those before it.

        Raises:
            ValueError: says what is wrong.
        """
        canonical = self._space.canonical(np.array(network.encoding))[0]
        if tuple(canonical) != network.encoding:
            raise ValueError("an encoding that is not canonical")
        if network.id < 0:
            raise ValueError(f"an id of {network.id}")
        known = self._ids.get(key(canonical))
        if known is not None and (known != network.id or self._networks[known].failure is None):
            raise ValueError(f"network {list(network.encoding)} is in the archive already")
        if known is None and network.id in self._networks:
            raise ValueError(f"id {network.id} is in the archive already")

    def _remember(self, network: Evaluated) -> None:
        self._check(network)
        self._ids[key(self._space.canonical(np.array(network.encoding))[0])] = network.id
        self._networks[network.id] = network
        while self._next_id in self._networks:
            self._next_id += 1


def _parse(record: dict[str, Any]) -> Evaluated:
    known = {name: record[name] for name in ("id", "generation", "encoding", "miou", "latency_ms", "failure")}
    known["encoding"] = tuple(int(digit) for digit in known["encoding"])
    known["miou"] = None if known["miou"] is None else float(known["miou"])
    known["latency_ms"] = float(known["latency_ms"])
    if not isinstance(known["id"], int):
        raise ValueError(f"an id of {known['id']!r}")
    known["attempts"] = int(record.get("attempts", 1))  # lines of older versions have no more than the above
    known |= {name: record.get(name) for name in ("worker", "seconds", "ended")}
    return Evaluated(**known)


def _reason(error: Exception) -> str:
    return f"no field {error}" if isinstance(error, KeyError) else str(error)
