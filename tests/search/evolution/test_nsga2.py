"""The inner search against fronts that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from mosegnet import space as spaces
from mosegnet.digits import DigitSpace
from search.evolution.hypervolume import ReferencePoint, hypervolume
from search.evolution.initialisation import distinct, everything
from search.evolution.nsga2 import candidates
from search.evolution.problem import Candidates, Problem


class Additive:
    """Each option of each digit has its share of accuracy and of latency."""

    def __init__(self, cardinalities: list[int], seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._miou = [np.sort(rng.uniform(0, 1, c)) / len(cardinalities) for c in cardinalities]
        self._latency = [np.sort(rng.integers(1, 30, c)) for c in cardinalities]

    def miou(self, X: np.ndarray) -> np.ndarray:
        return sum(share[X[:, d]] for d, share in enumerate(self._miou))

    def latency_ms(self, X: np.ndarray) -> np.ndarray:
        return sum(share[X[:, d]] for d, share in enumerate(self._latency)).astype(float)

    def objectives(self, X: np.ndarray) -> np.ndarray:
        return np.stack([-self.miou(X), self.latency_ms(X)], axis=1)

    def best_miou(self) -> dict[int, float]:
        """Greatest accuracy at each exact latency, by dynamic programming over the digits."""
        best = {0: 0.0}
        for miou, latency in zip(self._miou, self._latency, strict=True):
            longer: dict[int, float] = {}
            for so_far, accuracy in best.items():
                for gain, cost in zip(miou, latency, strict=True):
                    longer[so_far + int(cost)] = max(longer.get(so_far + int(cost), -1.0), accuracy + gain)
            best = longer
        return best


def _run(
    space: DigitSpace, landscape: Additive, seed: int, generations: int = 120, start: object = (), population: int = 60
) -> Candidates:
    return candidates(
        Problem(space, landscape.objectives),
        population=population,
        generations=generations,
        start=np.array(start, dtype=np.int64).reshape(-1, len(space.cardinalities)),
        rng=np.random.default_rng(seed),
    )


def test_nearly_the_exact_front_of_29_digits() -> None:
    """At the default size; a population of 100 cannot hold every step of the exact front."""
    space = DigitSpace([3] * 29)
    landscape = Additive(space.cardinalities, 0)
    exact = landscape.best_miou()
    reference = ReferencePoint(0.0, float(max(exact)))
    best = hypervolume(list(exact.values()), [float(ms) for ms in exact], reference)
    found = _run(space, landscape, seed=1, generations=300, population=100)
    assert hypervolume(-found.objectives[:, 0], found.objectives[:, 1], reference) > 0.985 * best


def test_a_small_space_is_ranked_whole() -> None:
    space = DigitSpace([3] * 8)
    landscape = Additive(space.cardinalities, 2)
    found = _run(space, landscape, seed=1)
    assert (found.encodings == everything(space)).all()
    assert (found.objectives == landscape.objectives(found.encodings)).all()


def test_inactive_digits_make_no_second_network() -> None:
    space = spaces.load("tiny")
    landscape = Additive(space.cardinalities, 3)
    found = _run(space, landscape, seed=1, generations=15)
    assert (space.canonical(found.encodings) == found.encodings).all()
    assert len(distinct(found.encodings)) == len(found.encodings) == 60


def test_a_warm_start_is_never_worse_than_what_it_began_with() -> None:
    space = DigitSpace([3] * 29)
    landscape = Additive(space.cardinalities, 4)
    reference = ReferencePoint(0.0, 29 * 30.0)
    start = _run(space, landscape, seed=1, generations=30).encodings[:20]
    before = hypervolume(landscape.miou(start), landscape.latency_ms(start), reference)
    found = _run(space, landscape, seed=2, generations=2, start=start)
    assert hypervolume(-found.objectives[:, 0], found.objectives[:, 1], reference) >= before


@pytest.mark.parametrize("population", [4, 60])
def test_the_generator_decides_and_nothing_else(population: int) -> None:
    space = DigitSpace([3] * 15)
    landscape = Additive(space.cardinalities, 5)

    def run(seed: int) -> Candidates:
        np.random.seed(seed + 17)  # the global state must not matter
        rng = np.random.default_rng(seed)
        start = np.zeros((0, 15), dtype=np.int64)
        problem = Problem(space, landscape.objectives)
        return candidates(problem, population=population, generations=9, start=start, rng=rng)

    one, other = run(1), run(2)
    np.random.seed(99)
    assert (run(1).encodings == one.encodings).all()
    assert one.encodings.shape != other.encodings.shape or (one.encodings != other.encodings).any()
