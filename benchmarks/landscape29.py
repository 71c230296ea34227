"""A made-up landscape over the 29 digits, for the benchmarks of the search: its accuracies and its latencies."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mosegnet import space as spaces
from mosegnet.cost import unit_costs
from profiler import lut
from search.evolution import nsga2
from search.evolution.hypervolume import ReferencePoint, hypervolume
from search.evolution.problem import Problem


class Landscape:
    """More of every digit is better by shares of its own; pairs and triples of digits add, and all of it saturates.

    The latency is that of a table, or without one the multiply-adds, as 10⁹ of them a millisecond.
    """

    def __init__(self, seed: int, table: Path | None = None, preset: str = "paper") -> None:
        rng = np.random.default_rng([29, seed])
        read = lut.load(table) if table else None
        self.space = read.space if read else spaces.load(preset)
        self._table = read
        self._flops = unit_costs(self.space)[:, 0] / 1e9
        digits = len(self.space.cardinalities)
        self._alone = np.cumsum(rng.gamma(1.5, 1.0, (digits, 3)), axis=1) * rng.gamma(1.0, 1.0, (digits, 1))
        self._pairs = [(rng.choice(digits, 2, replace=False), rng.normal(0, 0.8, (3, 3))) for _ in range(40)]
        self._triples = [(rng.choice(digits, 3, replace=False), rng.normal(0, 0.6, (3, 3, 3))) for _ in range(20)]
        some = self._sum(self.space.sample(2000, rng))
        self._centre, self._scale = float(some.mean()), float(some.std())
        ends = np.stack([self.space.smallest(), self.space.largest()])
        high = self.latency_ms(ends).max()
        self.reference = ReferencePoint(float(self.accuracy(ends).min()), float(high))

    def latency_ms(self, X: np.ndarray) -> np.ndarray:
        """Latencies (n,) of encodings (n, 29)."""
        if self._table:
            return self._table.predict(X)
        return self._flops.take(self.space.unit_indices(X)).sum(axis=1)

    def accuracy(self, X: np.ndarray) -> np.ndarray:
        """Accuracies (n,) of encodings (n, 29), in 0..1, and the same ones whenever they are asked for."""
        X = self.space.canonical(X)
        return 0.75 / (1 + np.exp(-0.5 * (self._sum(X) - self._centre) / self._scale - 0.5))

    def _sum(self, X: np.ndarray) -> np.ndarray:
        total = self._alone[np.arange(X.shape[1]), X].sum(axis=1)
        for places, values in [*self._pairs, *self._triples]:
            total = total + values[tuple(X[:, place] for place in places)]
        return total

    def best(self, seeds: int = 3) -> float:
        """The greatest hypervolume that long searches of the landscape itself come to."""
        problem = Problem(self.space, lambda X: np.stack([-self.accuracy(X), self.latency_ms(X)], axis=1))
        start, found = np.zeros((0, 29), dtype=np.int64), []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            found.append(nsga2.candidates(problem, population=300, generations=400, start=start, rng=rng).encodings)
        return self.volume(np.concatenate(found))

    def volume(self, X: np.ndarray) -> float:
        """Hypervolume of the networks X."""
        return hypervolume(self.accuracy(X), self.latency_ms(X), self.reference)
