"""Ask and tell: distinct networks, a resumed search that equals an unbroken one, failures, and better than chance."""

from __future__ import annotations

import numpy as np
import pytest

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from mosegnet.digits import DigitSpace
from search.evolution.hypervolume import hypervolume
from search.loop import Search

SPACE = DigitSpace([3] * 10)
_RNG = np.random.default_rng(42)
_GAIN, _COST = _RNG.uniform(0.2, 1, (10, 3)).cumsum(axis=1), _RNG.uniform(0.2, 1, (10, 3)).cumsum(axis=1)
_PAIR = _RNG.normal(0, 0.3, (10, 10))


def latency(X: np.ndarray) -> np.ndarray:
    return _COST[np.arange(10), X].sum(axis=1)


def accuracy(X: np.ndarray) -> np.ndarray:
    """Additive, with pairs of digits that work together, saturating."""
    pairs = np.einsum("ni,ij,nj->n", X, _PAIR, X) / 40
    return 1 / (1 + np.exp(-(_GAIN[np.arange(10), X].sum(axis=1) + pairs - 8) / 4))


def search(seed: int = 0, **changed: object) -> Search:
    settings = {"initial": 20, "infill": 5, "surrogate": "ridge", "population": 20, "inner_generations": 15}
    return Search(SPACE, latency, seed=seed, **(settings | changed))  # type: ignore[arg-type]


def finish(own: Search, evaluations: int, one_by_one: bool = False) -> Search:
    while len(own.miou) < evaluations:
        X = own.ask(1) if one_by_one else own.ask()
        if not len(X):
            break
        own.tell(X, accuracy(X))
    return own


def test_no_network_is_asked_twice_and_both_bounds_come_first() -> None:
    own = finish(search(), 60)
    assert len(np.unique(own.encodings, axis=0)) == len(own.encodings) == 60
    first = {tuple(x) for x in own.encodings[:20].tolist()}
    assert {(0,) * 10, (2,) * 10} <= first
    assert [generation.evaluated for generation in own.history] == list(range(20, 61, 5))


@pytest.mark.parametrize("told", [0, 1, 19, 20, 23, 25, 39])
def test_an_archive_told_to_a_new_search_goes_on_as_the_unbroken_one(told: int) -> None:
    unbroken = finish(search(), 40)
    resumed = search()
    if told:
        resumed.tell(unbroken.encodings[:told], unbroken.miou[:told])
    finish(resumed, 40, one_by_one=True)
    np.testing.assert_array_equal(resumed.encodings, unbroken.encodings)
    assert resumed.history == unbroken.history


@pytest.mark.parametrize("surrogate", ["ridge", "ranknet"])
def test_a_search_killed_after_every_evaluation_ends_as_the_unbroken_one(surrogate: str) -> None:
    unbroken = finish(search(surrogate=surrogate), 28)
    X, miou = np.zeros((0, 10), dtype=np.int64), np.zeros(0)
    for _ in range(28):
        own = search(surrogate=surrogate)  # a new process knows the archive and nothing else
        own.tell(X, miou)
        x = own.ask(1)
        X, miou = np.concatenate([X, x]), np.concatenate([miou, accuracy(x)])
    np.testing.assert_array_equal(X, unbroken.encodings[:28])


def test_another_seed_is_another_search() -> None:
    assert not np.array_equal(finish(search(0), 30).encodings, finish(search(1), 30).encodings)


def test_failures_are_marked_and_never_asked_again() -> None:
    own = search()
    for _ in range(6):
        X = own.ask()
        scores = accuracy(X)
        scores[0] = np.nan
        own.tell(X, [None if np.isnan(score) else score for score in scores])
    assert np.isnan(own.miou).sum() == 6
    assert len(np.unique(own.encodings, axis=0)) == len(own.encodings)
    assert not np.isnan(own.front().miou).any()


def test_nothing_but_failures_still_asks() -> None:
    own = search()
    for _ in range(3):
        X = own.ask()
        own.tell(X, [None] * len(X))
    assert len(own.miou) == 30
    assert len(own.front().miou) == 0


def test_a_space_smaller_than_the_budget_is_used_up() -> None:
    small = DigitSpace([2, 2, 2])
    own = Search(small, lambda X: 1.0 + X.sum(axis=1), seed=0, initial=4, infill=3, surrogate="ridge")
    while len(X := own.ask()):
        own.tell(X, X.sum(axis=1) / 4)
    assert own.exhausted
    assert len(own.encodings) == 8


def test_two_spellings_of_a_network_are_one() -> None:
    tiny = spaces.load("tiny")
    own = Search(tiny, lambda X: 1.0 + X.sum(axis=1), seed=0, initial=10, infill=4, surrogate="ridge")
    x = tiny.smallest()
    spelled = x.copy()
    spelled[8] = 2  # a layer that depth 0 switches off
    own.tell(x, [0.5])
    with pytest.raises(ValueError, match="told twice"):
        own.tell(spelled, [0.5])


def test_better_than_chance_at_equal_evaluations() -> None:
    """Hypervolume after 60 evaluations, five seeds, against as many random networks."""
    won = []
    for seed in range(5):
        own = finish(search(seed), 60)
        X = SPACE.sample(60, np.random.default_rng(100 + seed))
        found = hypervolume(own.miou, own.latency_ms, own.reference)
        won.append(found / hypervolume(accuracy(X), latency(X), own.reference))
    assert min(won) > 1.0
    assert np.mean(won) > 1.05


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"surrogate": "oracle"}, "unknown surrogate"), ({"initial": 0}, "initial is 0"), ({"seed": -1}, "seed is -1")],
)
def test_what_cannot_be(settings: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        search(**settings)


def test_a_latency_that_is_no_number_is_said() -> None:
    with pytest.raises(UserError, match="mend the latency table"):
        Search(SPACE, lambda X: np.full(len(X), np.nan), seed=0)


@pytest.mark.parametrize("generations", [15, 400])
def test_networks_that_the_device_cannot_run_are_never_asked_for(generations: int) -> None:
    """Those whose third digit is 2, the most accurate ones; by NSGA-II and, with 400, by ranking the whole space."""

    def partly_infinite(X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 2] == 2, np.inf, latency(X))

    population = 150 if generations == 400 else 20
    own = Search(
        SPACE,
        partly_infinite,
        seed=3,
        initial=20,
        infill=5,
        surrogate="ridge",
        population=population,
        inner_generations=generations,
    )
    finish(own, 45)
    assert len(own.encodings) == 45
    assert (own.encodings[:, 2] < 2).all()
    assert np.isfinite(own.latency_ms).all()
    with pytest.raises(UserError, match="cannot be run on this device"):
        own.tell([[2] * 10], [0.5])
