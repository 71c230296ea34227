"""The inner searches against fronts that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from pymoo.indicators.hv import HV

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from mosegnet.digits import DigitSpace
from search.evolution import engines
from search.evolution.hypervolume import ReferencePoint, hypervolume
from search.evolution.initialisation import distinct, everything
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
    space: DigitSpace,
    landscape: Additive,
    seed: int,
    generations: int = 120,
    start: object = (),
    population: int = 60,
    name: str = engines.DEFAULT,
) -> Candidates:
    return engines.candidates(
        name,
        Problem(space, landscape.objectives),
        population=population,
        generations=generations,
        start=np.array(start, dtype=np.int64).reshape(-1, len(space.cardinalities)),
        rng=np.random.default_rng(seed),
    )


@pytest.mark.parametrize(("name", "share"), [("nsga2", 0.99), ("nsga2-pymoo", 0.985), ("moead", 0.98)])
def test_nearly_the_exact_front_of_29_digits(name: str, share: float) -> None:
    """At the default size; a population of 100 cannot hold every step of the exact front."""
    space = DigitSpace([3] * 29)
    landscape = Additive(space.cardinalities, 0)
    exact = landscape.best_miou()
    reference = ReferencePoint(0.0, float(max(exact)))
    best = hypervolume(list(exact.values()), [float(ms) for ms in exact], reference)
    found = _run(space, landscape, seed=1, generations=300, population=100, name=name)
    assert hypervolume(-found.objectives[:, 0], found.objectives[:, 1], reference) > share * best


def test_a_small_space_is_ranked_whole() -> None:
    space = DigitSpace([3] * 8)
    landscape = Additive(space.cardinalities, 2)
    found = _run(space, landscape, seed=1)
    assert (found.encodings == everything(space)).all()
    assert (found.objectives == landscape.objectives(found.encodings)).all()


@pytest.mark.parametrize("name", engines.NAMES)
def test_inactive_digits_make_no_second_network(name: str) -> None:
    space = spaces.load("tiny")
    landscape = Additive(space.cardinalities, 3)
    found = _run(space, landscape, seed=1, generations=15, name=name)
    assert (space.canonical(found.encodings) == found.encodings).all()
    assert len(distinct(found.encodings)) == len(found.encodings)
    assert len(found.encodings) == 60 or name in ("nsga2-sbx", "moead")
    assert (found.objectives == landscape.objectives(found.encodings)).all()


@pytest.mark.parametrize("name", engines.NAMES)
def test_constraints_are_met_and_what_cannot_run_is_no_candidate(name: str) -> None:
    """At most 200 ms; networks whose third digit is 2, the most accurate ones, cannot be run."""
    space = DigitSpace([3] * 15)
    landscape = Additive(space.cardinalities, 6)

    def objectives(X: np.ndarray) -> np.ndarray:
        F = landscape.objectives(X)
        F[X[:, 2] == 2, 1] = np.inf
        return F

    def violation(X: np.ndarray) -> np.ndarray:
        return np.maximum(0.0, landscape.latency_ms(X) - 200.0)

    problem = Problem(space, objectives, violation)
    start = np.full((1, 15), 2)
    found = engines.candidates(name, problem, population=40, generations=40, start=start, rng=np.random.default_rng(0))
    assert (found.encodings[:, 2] < 2).all()
    assert np.isfinite(found.objectives).all()
    assert (found.violation == violation(found.encodings)).all()
    assert (found.violation == 0).all()


@pytest.mark.parametrize("name", engines.NAMES)
def test_a_third_objective_is_searched_too(name: str) -> None:
    space = DigitSpace([3] * 15)
    landscape, other = Additive(space.cardinalities, 7), Additive(space.cardinalities, 8)

    def objectives(X: np.ndarray) -> np.ndarray:
        return np.column_stack([landscape.objectives(X), other.latency_ms(2 - X)])

    start = np.zeros((0, 15), dtype=np.int64)
    found = engines.candidates(
        name, Problem(space, objectives), population=60, generations=60, start=start, rng=np.random.default_rng(0)
    )
    chance = objectives(space.sample(3600, np.random.default_rng(1)))
    end = np.concatenate([found.objectives, chance]).max(axis=0) + 1.0
    assert HV(ref_point=end)(found.objectives) > HV(ref_point=end)(chance)


def test_a_space_with_fewer_networks_than_a_population_ends() -> None:
    """More spellings than would be evaluated, but only the first digit counts."""

    class Hollow(DigitSpace):
        def canonical(self, X: object) -> np.ndarray:
            return np.where(np.arange(15) == 0, self.validate(X), 0)

    space = Hollow([3] * 15)
    problem = Problem(space, lambda X: np.stack([-X[:, 0], X[:, 0]], axis=1).astype(float))
    start = np.zeros((0, 15), dtype=np.int64)
    found = engines.candidates(
        "nsga2", problem, population=20, generations=10, start=start, rng=np.random.default_rng(0)
    )
    assert sorted(found.encodings[:, 0]) == [0, 1, 2]


def test_an_unknown_inner_search_is_told() -> None:
    with pytest.raises(UserError, match="unknown inner search 'nsga3'"):
        engines.check("nsga3")


def test_a_warm_start_is_never_worse_than_what_it_began_with() -> None:
    space = DigitSpace([3] * 29)
    landscape = Additive(space.cardinalities, 4)
    reference = ReferencePoint(0.0, 29 * 30.0)
    start = _run(space, landscape, seed=1, generations=30).encodings[:20]
    before = hypervolume(landscape.miou(start), landscape.latency_ms(start), reference)
    found = _run(space, landscape, seed=2, generations=2, start=start)
    assert hypervolume(-found.objectives[:, 0], found.objectives[:, 1], reference) >= before


@pytest.mark.parametrize("name", engines.NAMES)
@pytest.mark.parametrize("population", [4, 60])
def test_the_generator_decides_and_nothing_else(population: int, name: str) -> None:
    space = DigitSpace([3] * 15)
    landscape = Additive(space.cardinalities, 5)

    def run(seed: int) -> Candidates:
        np.random.seed(seed + 17)  # the global state must not matter
        rng = np.random.default_rng(seed)
        start = np.zeros((0, 15), dtype=np.int64)
        problem = Problem(space, landscape.objectives)
        return engines.candidates(name, problem, population=population, generations=9, start=start, rng=rng)

    one, other = run(1), run(2)
    np.random.seed(99)
    assert (run(1).encodings == one.encodings).all()
    assert one.encodings.shape != other.encodings.shape or (one.encodings != other.encodings).any()
