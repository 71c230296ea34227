"""What the command line says becomes the settings of a run: profiles, budgets, early stops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosegnet.common.errors import UserError
from mosegnet.digits import DigitSpace
from search.commands.wishes import Wishes
from search.loop import Search
from search.profiles import PROFILES
from search.stopping import NEVER
from search.warm_start import FirstNetworks

NOTHING = dict.fromkeys(
    ("initial", "generations", "infill", "surrogate", "criterion", "budget", "minutes", "early_stop", "warm_start")
)


def wishes(**said: object) -> Wishes:
    rest = {"objectives": ("miou", "latency"), "require": (), "tries": (), "profile": "default"}
    return Wishes(**(NOTHING | rest | said))  # type: ignore[arg-type]


def first(networks: int, known: int) -> FirstNetworks:
    miou = np.concatenate([np.full(known, 0.5), np.full(networks - known, np.nan)])
    return FirstNetworks(np.zeros((networks, 4), dtype=np.int64), miou)


def test_the_paper_is_table_one() -> None:
    paper = wishes(profile="paper").resolved()
    assert (paper.initial, paper.generations, paper.infill) == (300, 20, 8)
    assert (paper.population, paper.inner_generations) == (100, 1000)
    assert (paper.criterion, paper.settling) == ("hierarchical-ga", NEVER)
    assert paper.surrogate.startswith("ranknet")


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_profile_names_pieces_that_exist(name: str) -> None:
    own = wishes(profile=name).resolved()
    pieces = {"surrogate": own.surrogate, "criterion": own.criterion, "inner": own.inner}
    assert len(Search(DigitSpace([3] * 3), lambda X: 1.0 + X.sum(axis=1), initial=4, **pieces).ask()) == 4


def test_what_is_said_counts() -> None:
    own = wishes(profile="paper", infill=4, surrogate="ridge", criterion="survival", generations=3).resolved()
    assert (own.initial, own.generations, own.infill) == (300, 3, 4)
    assert (own.surrogate, own.criterion) == ("ridge", "survival")


@pytest.mark.parametrize(
    ("said", "stops"),
    [
        ({}, True),
        ({"generations": 9}, False),
        ({"budget": 90}, False),
        ({"generations": 9, "early_stop": True}, True),
        ({"early_stop": False}, False),
        ({"profile": "paper"}, False),
        ({"profile": "paper", "early_stop": True}, True),
    ],
)
def test_an_amount_that_was_said_is_spent(said: dict, stops: bool) -> None:
    assert (wishes(**said).resolved().settling != NEVER) is stops


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"profile": "best"}, "unknown profile 'best': choose one of paper, default"),
        ({"surrogate": "oracle"}, "unknown surrogate 'oracle'"),
        ({"criterion": "taste"}, "unknown in-fill criterion 'taste'"),
        ({"budget": 50, "generations": 2}, "leave one out"),
    ],
)
def test_what_cannot_be(said: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        wishes(**said).resolved()


@given(
    budget=st.integers(2, 2000),
    initial=st.none() | st.integers(2, 300),
    networks=st.integers(0, 60),
    known=st.integers(0, 60),
)
def test_a_budget_pays_for_exactly_what_is_not_known(
    budget: int, initial: int | None, networks: int, known: int
) -> None:
    own = wishes(budget=budget, initial=initial)
    begun = first(networks, min(known, networks))
    try:
        amounts = own.amounts(own.resolved(), begun)
    except UserError:
        assert max(initial or 0, networks) > budget + begun.known
        return
    assert amounts["budget"] == budget + begun.known
    assert amounts["initial"] >= networks
    whole = amounts["initial"] + amounts["generations"] * own.resolved().infill
    assert 0 <= whole - amounts["budget"] < own.resolved().infill or amounts["generations"] == 0
    assert amounts["initial"] <= amounts["budget"]


def test_without_a_budget_whole_generations_are_spent() -> None:
    own = wishes(initial=40, generations=5, infill=4)
    assert own.amounts(own.resolved(), first(0, 0)) == {"initial": 40, "generations": 5, "budget": 0}
    assert own.amounts(own.resolved(), first(70, 70))["initial"] == 70
