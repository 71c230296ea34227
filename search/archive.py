"""Everything that was ever evaluated in a run, one line each, on the disk before the next evaluation begins."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mosegnet.common.errors import UserError
from mosegnet.common.journal import Journal, read_journal
from search.evolution.initialisation import IntArray, SearchSpace, key


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One evaluated network."""

    id: int  # its place in the archive, from 0
    generation: int  # 0 for the initial sample
    encoding: tuple[int, ...]  # canonical
    miou: float | None  # 0..1; None where the evaluation failed
    latency_ms: float
    failure: str | None = None  # why it failed


class Archive:
    """The journal of a run's evaluated networks: no network twice, nothing ever changed.

    Raises:
        UserError: the file is damaged, holds a network of another space, or the same network twice.
    """

    def __init__(self, path: Path | str, space: SearchSpace) -> None:
        self._path, self._space = Path(path), space
        self._networks: list[Evaluated] = []
        self._known: set[bytes] = set()
        for number, record in enumerate(read_journal(self._path), start=1):
            try:
                self._remember(_parse(record))
            except (UserError, ValueError, TypeError, KeyError) as error:
                raise UserError(
                    f"{self._path}, line {number} is no network of this run ({_reason(error)}): "
                    "restore the file, or start a new run folder"
                ) from None
        self._journal = Journal(self._path)

    @property
    def networks(self) -> tuple[Evaluated, ...]:
        """Every evaluated network, in the order of evaluation."""
        return tuple(self._networks)

    def __len__(self) -> int:
        return len(self._networks)

    def __contains__(self, encoding: object) -> bool:
        return key(self._space.canonical(np.asarray(encoding))[0]) in self._known

    def append(
        self,
        encoding: IntArray,
        miou: float | None,
        latency_ms: float,
        generation: int,
        failure: str | None = None,
    ) -> Evaluated:
        """Add one network; it is on the disk when this returns. A NaN accuracy is kept as a failure.

        Raises:
            UserError: the disk is full; the network then counts as not evaluated.
            ValueError: the network is in the archive already.
        """
        if miou is not None and not np.isfinite(miou):
            miou, failure = None, failure or "its accuracy is not a number"
        digits = tuple(int(digit) for digit in self._space.canonical(encoding)[0])
        network = Evaluated(
            len(self), generation, digits, None if miou is None else float(miou), float(latency_ms), failure
        )
        if digits in self:
            raise ValueError(f"network {list(digits)} is in the archive already")
        self._journal.append(asdict(network))
        self._remember(network)
        return network

    def arrays(self) -> tuple[IntArray, np.ndarray]:
        """Encodings (n, D) and accuracies (n,), NaN where the evaluation failed: what `Search.tell` takes."""
        X = np.array([network.encoding for network in self._networks], dtype=np.int64)
        miou = np.array([np.nan if network.miou is None else network.miou for network in self._networks])
        return X.reshape(len(self), len(self._space.cardinalities)), miou

    def close(self) -> None:
        """Close the file; every line is on the disk already."""
        self._journal.close()

    def _remember(self, network: Evaluated) -> None:
        canonical = self._space.canonical(np.array(network.encoding))[0]
        if key(canonical) in self._known or network.id != len(self):
            raise ValueError("a network twice" if key(canonical) in self._known else f"id {network.id} out of order")
        if tuple(canonical) != network.encoding:
            raise ValueError("an encoding that is not canonical")
        self._known.add(key(canonical))
        self._networks.append(network)


def _parse(record: dict[str, Any]) -> Evaluated:
    known = {name: record[name] for name in ("id", "generation", "encoding", "miou", "latency_ms", "failure")}
    known["encoding"] = tuple(int(digit) for digit in known["encoding"])
    known["miou"] = None if known["miou"] is None else float(known["miou"])
    known["latency_ms"] = float(known["latency_ms"])
    return Evaluated(**known)


def _reason(error: Exception) -> str:
    return f"no field {error}" if isinstance(error, KeyError) else str(error)
