"""Objectives, limits and the networks asked for first: through the simple interface, with no file or device."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from mosegnet.digits import DigitSpace
from search.evolution.feasible import draw_inside
from search.goals import Goals, Limit, Quantity
from search.loop import Search
from search.predicted_limit import below

DIGITS = 24  # 3 ** 24: far too many to be listed
SPACE = DigitSpace([3] * DIGITS)
_RNG = np.random.default_rng(7)
_GAIN, _MS, _MJ = (_RNG.uniform(0.2, 1, (DIGITS, 3)).cumsum(axis=1) for _ in range(3))


def total(table: np.ndarray) -> object:
    return lambda X: table[np.arange(DIGITS), X].sum(axis=1)


LATENCY, ENERGY = Quantity("latency", "ms", total(_MS)), Quantity("energy", "mJ", total(_MJ))  # type: ignore[arg-type]


def accuracy(X: np.ndarray) -> np.ndarray:
    return _GAIN[np.arange(DIGITS), X].sum(axis=1) / 60


def limit(quantity: Quantity, sign: str, bound: float) -> Limit:
    return Limit(quantity, bound, sign == "<=", f"{quantity.name}{sign}{bound:g}{quantity.unit}")


def finished(goals: Goals, evaluations: int = 40, **changed: object) -> Search:
    options = {"initial": 20, "infill": 5, "surrogate": "ridge", "population": 20, "inner_generations": 15}
    own = Search(SPACE, goals, **(options | changed))  # type: ignore[arg-type]
    while len(own.miou) < evaluations and len(X := own.ask()):
        own.tell(X, accuracy(X))
    return own


def test_three_objectives_come_in_the_order_of_the_goals() -> None:
    own = finished(Goals((LATENCY, ENERGY)))
    other = finished(Goals((ENERGY, LATENCY)))
    assert own.goals.names == ("latency", "energy")
    np.testing.assert_array_equal(own.costs[:20], other.costs[:20, ::-1])  # the same sample
    found = own.front()
    F = np.column_stack([-found.miou, found.costs])
    for row in F:
        assert not ((row >= F).all(axis=1) & (row > F).any(axis=1)).any()
    np.testing.assert_array_equal(found.latency_ms, found.costs[:, 0])
    assert (np.diff(found.latency_ms) >= 0).all()
    volumes = [one.hypervolume for one in own.history]
    assert volumes == sorted(volumes)
    assert 0 < volumes[0] < volumes[-1] < 1
    assert len(own.reference.costs) == 2


def test_three_objectives_resume_as_unbroken() -> None:
    goals = Goals((LATENCY, ENERGY), (limit(LATENCY, "<=", 22.0),), least_miou=0.4)
    unbroken = finished(goals)
    options = {"initial": 20, "infill": 5, "surrogate": "ridge", "population": 20, "inner_generations": 15}
    resumed = Search(SPACE, goals, **options)  # type: ignore[arg-type]
    resumed.tell(unbroken.encodings[:27], unbroken.miou[:27])
    while len(resumed.miou) < 40:
        X = resumed.ask(1)
        resumed.tell(X, accuracy(X))
    np.testing.assert_array_equal(resumed.encodings, unbroken.encodings)
    assert resumed.history == unbroken.history


def test_limits_are_kept_before_an_evaluation_is_spent() -> None:
    """A band of latency that about one random network of ten thousand is in."""
    low = float(_MS[:, 0].sum())
    goals = Goals((LATENCY,), (limit(LATENCY, "<=", 1.12 * low), limit(LATENCY, ">=", 1.1 * low)))
    sample = SPACE.sample(20_000, np.random.default_rng(0))
    assert goals.runs(sample).sum() == 0
    own = finished(goals, 60)
    assert len(own.encodings) == 60
    assert goals.runs(own.encodings).all()
    assert len(np.unique(own.encodings, axis=0)) == 60
    assert len(np.unique(own.encodings[:20], axis=0)) == 20


def test_an_equation_of_two_costs_is_found() -> None:
    """Latency low and energy high at once, to within a thousandth of it: chance has no hope."""
    x = np.where(_MJ[:, 2] - _MJ[:, 0] > _MS[:, 2] - _MS[:, 0], 2, 0)
    ms, mj = float(LATENCY(x[None])[0]), float(ENERGY(x[None])[0])
    goals = Goals((LATENCY, ENERGY), (limit(LATENCY, "<=", ms * 1.001), limit(ENERGY, ">=", mj * 0.999)))
    own = finished(goals, 8, initial=2, infill=2)
    assert len(own.encodings) >= 1
    assert goals.runs(own.encodings).all()


def test_impossible_limits_are_said_at_once_with_the_least_violation() -> None:
    low = float(_MS[:, 0].sum())
    with pytest.raises(UserError, match=r"meets latency<=.*nearest has latency .* ms, 100 % outside; relax"):
        finished(Goals((LATENCY,), (limit(LATENCY, "<=", low / 2),)))
    small = DigitSpace([3, 3])
    cost = Quantity("latency", "ms", lambda X: 1.0 + X.sum(axis=1))
    with pytest.raises(UserError, match="no network meets latency>=8ms: the nearest has latency 5 ms, 38 % outside"):
        Search(small, Goals((cost,), (limit(cost, ">=", 8.0),)))


def test_a_small_space_inside_limits_is_used_up() -> None:
    small = DigitSpace([3, 3, 3])
    cost = Quantity("latency", "ms", lambda X: 1.0 + X.sum(axis=1))
    own = Search(small, Goals((cost,), (limit(cost, "<=", 3.0),)), initial=4, infill=3, surrogate="ridge")
    while len(X := own.ask()):
        own.tell(X, X.sum(axis=1) / 6)
    assert own.exhausted
    assert len(own.encodings) == 10  # of 27, those whose digits sum to 2 or less


def test_the_least_accuracy_steers_the_search_and_bounds_the_front() -> None:
    free, bound = finished(Goals((LATENCY,)), 60), finished(Goals((LATENCY,), least_miou=0.62), 60)
    assert (bound.front().miou >= 0.62).all()
    assert len(bound.front().miou) > 0
    share = [(own.miou[20:] >= 0.62).mean() for own in (free, bound)]
    assert share[1] > share[0] + 0.1
    assert len(finished(Goals((LATENCY,), least_miou=1.0)).front().miou) == 0


def test_first_networks_are_evaluated_first_whatever_their_spelling() -> None:
    tiny = spaces.load("tiny")
    x = tiny.smallest()
    spelled = x.copy()
    spelled[8] = 2  # a layer that depth 0 switches off
    X = np.stack([tiny.largest(), spelled, x])
    own = Search(tiny, lambda X: 1.0 + X.sum(axis=1), initial=5, first=X)
    asked = own.ask()
    np.testing.assert_array_equal(asked[:2], np.stack([tiny.largest(), x]))
    assert len(asked) == 5
    many = SPACE.sample(30, np.random.default_rng(1))
    assert len(Search(SPACE, LATENCY.of, initial=10, first=many).ask()) == 30


def test_a_first_network_outside_the_limits_is_refused() -> None:
    goals = Goals((LATENCY,), (limit(LATENCY, "<=", 20.0),))
    with pytest.raises(UserError, match=r"is outside latency<=20ms \(latency 4.* ms\), so it is not evaluated"):
        Search(SPACE, goals, first=[[2] * DIGITS])


def test_nothing_but_failures_inside_limits_still_ends() -> None:
    goals = Goals((LATENCY,), (limit(LATENCY, "<=", 15.0),), least_miou=0.5)
    own = Search(SPACE, goals, initial=6, infill=3, surrogate="ridge")
    for _ in range(3):
        X = own.ask()
        own.tell(X, [None] * len(X))
    assert len(own.miou) == 12
    assert len(own.front().miou) == 0
    assert own.history[-1].hypervolume == 0.0


def test_another_table_moves_costs_and_limits_but_not_bounds() -> None:
    goals = Goals((LATENCY, ENERGY), (limit(LATENCY, "<=", 30.0),))
    own = finished(goals, 20)
    before = own.costs
    own.use_latency(lambda X: 2 * LATENCY(X), "latency")
    np.testing.assert_allclose(own.costs, before * [2, 1])
    assert (own.front().latency_ms <= 30.0).all()
    assert own.goals.limits[0].bound == 30.0


def test_no_cost_or_one_twice_is_refused() -> None:
    with pytest.raises(UserError, match="needs a cost"):
        Goals(())
    with pytest.raises(UserError, match="named twice: latency, latency"):
        Goals((LATENCY, LATENCY))


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0.05, 0.95), width=st.floats(0.003, 0.5), seed=st.integers(0, 99), n=st.integers(1, 12))
def test_what_is_drawn_inside_is_inside_distinct_and_new(share: float, width: float, seed: int, n: int) -> None:
    low, high = float(_MS[:, 0].sum()), float(_MS[:, 2].sum())
    bound = low + share * (high - low)
    goals = Goals((LATENCY,), (limit(LATENCY, "<=", bound), limit(LATENCY, ">=", bound * (1 - width))))
    first = draw_inside(SPACE, goals.violation, n, set(), np.random.default_rng(seed)).inside
    again = draw_inside(SPACE, goals.violation, n, set(), np.random.default_rng(seed)).inside
    np.testing.assert_array_equal(first, again)
    seen = {x.tobytes() for x in first}
    more = draw_inside(SPACE, goals.violation, n, seen, np.random.default_rng(seed), start=first).inside
    assert len(first) == n
    assert goals.runs(np.concatenate([first, more])).all()
    assert len(np.unique(np.concatenate([first, more]), axis=0)) == len(first) + len(more)


@pytest.mark.parametrize(
    ("good", "inside"),
    [
        ([False, False, True, True], [False, False, True, True]),
        ([False, True, False, True], [False, True, True, True]),
        ([True] * 4, [True] * 4),
        ([False] * 4, [False] * 4),
    ],
)
def test_the_border_of_accuracy_in_a_scale_that_only_ranks(good: list[bool], inside: list[bool]) -> None:
    scores = np.array([-3.0, 1.0, 40.0, 1000.0])
    X = np.arange(4)[:, None]
    violation = below(lambda X: scores[X[:, 0]], scores, np.array(good))(X)
    assert (violation <= 0).tolist() == inside
    assert (np.diff(violation) <= 0).all()  # nearer to the border the higher the score
