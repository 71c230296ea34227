"""What sequences of evaluated networks are worth: shares of a front, medians and intervals over seeds, and a journal.

Every run is one line of a JSON-lines file: which landscape, strategy, settings and seed, and the true accuracy and
the cost of every distinct network in the order of evaluation. From these any share at any number of evaluations
follows, so a comparison can be cut off, gone on with, and split among processes that append to one file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from landscapes import FloatArray, Landscape

_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Run:
    """One search: its key and what it evaluated."""

    landscape: str
    strategy: str  # with its settings, as on the command line
    code: str  # what else the outcome depends on: the fingerprint of our search; empty for peers
    seed: int
    budget: int
    accuracy: list[float]  # true ones, by evaluation
    cost: list[float]
    cpu_s: float


class Journal:
    """The runs in a file, each on a line; what others append after it was opened is not seen."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._runs: dict[tuple[str, str, str, int], Run] = {}
        if path.exists():
            with open(path) as file:
                for line in file:
                    if line.endswith("}\n"):  # a line that was cut off counts as not there
                        self._keep(Run(**json.loads(line)))

    def find(self, landscape: str, strategy: str, code: str, seed: int, budget: int) -> Run | None:
        """A run with this key and at least this budget (the beginning of a longer one is the same), or None."""
        run = self._runs.get((landscape, strategy, code, seed))
        return run if run and run.budget >= budget else None

    def append(self, run: Run) -> None:
        """Write a run at the end, in one piece so that others may append as well."""
        with open(self._path, "a") as file:
            file.write(json.dumps(asdict(run), separators=(",", ":")) + "\n")
        self._keep(run)

    def _keep(self, run: Run) -> None:
        key = (run.landscape, run.strategy, run.code, run.seed)
        if key not in self._runs or self._runs[key].budget < run.budget:
            self._runs[key] = run


def shares(run: Run, landscape: Landscape, corner: str, evaluations: Sequence[int]) -> FloatArray:
    """Share of the best front's hypervolume after so many evaluations, (len(evaluations),)."""
    accuracy, cost = np.array(run.accuracy), np.array(run.cost)
    return np.array([landscape.share(accuracy[:n], cost[:n], corner) for n in evaluations])


def first_at(run: Run, landscape: Landscape, goal: float) -> float:
    """How many evaluations a run took to this share of the whole table; infinity where it never got there."""
    low, high = 1, len(run.accuracy)
    if not high or shares(run, landscape, "whole", [high])[0] < goal:
        return float("inf")
    while low < high:  # the share never falls
        middle = (low + high) // 2
        if shares(run, landscape, "whole", [middle])[0] >= goal:
            high = middle
        else:
            low = middle + 1
    return float(low)


def median_interval(values: FloatArray) -> tuple[float, float, float]:
    """The median of n values and its 95 % interval by bootstrap (percentiles of 10,000 resamples' medians)."""
    drawn = np.random.default_rng(0).integers(0, len(values), size=(_RESAMPLES, len(values)))
    medians = np.sort(np.median(values[drawn], axis=1))  # sorted by place: infinities have no percentiles between
    return float(np.median(values)), float(medians[int(0.025 * _RESAMPLES)]), float(medians[int(0.975 * _RESAMPLES)])
