"""Random networks, each at most once, from spaces that are used up."""

from __future__ import annotations

import numpy as np
import pytest

from mosegnet import space as spaces
from mosegnet.digits import DigitSpace
from search.evolution.initialisation import bounds, distinct, draw_unseen, everything, initial_sample, key


def test_the_first_networks_hold_both_bounds_of_the_space() -> None:
    space = spaces.load("tiny")
    X = initial_sample(space, 50, np.random.default_rng(3))
    assert X.shape == (50, 29)
    assert (X[0] == space.smallest()).all()
    assert (X[1] == space.canonical(space.largest())[0]).all()
    assert len({key(x) for x in X}) == 50
    assert (space.canonical(X) == X).all()


def test_plain_digits_are_bounded_by_least_and_greatest() -> None:
    assert bounds(DigitSpace([2, 3, 1])).tolist() == [[0, 0, 0], [1, 2, 0]]


@pytest.mark.parametrize("n", [1, 2, 11, 12, 40])
def test_a_small_space_gives_all_that_it_has_and_no_more(n: int) -> None:
    X = initial_sample(DigitSpace([2, 3, 2]), n, np.random.default_rng(0))
    assert len(X) == len(distinct(X)) == min(n, 12)


def test_the_last_networks_of_a_space_are_found() -> None:
    space = DigitSpace([4] * 7)
    all_of_it = everything(space)
    left = np.random.default_rng(5).permutation(len(all_of_it))[:3]
    seen = {key(x) for row, x in enumerate(all_of_it) if row not in left}
    drawn = draw_unseen(space, 10, seen, np.random.default_rng(1))
    assert {key(x) for x in drawn} == {key(all_of_it[row]) for row in left}


def test_a_space_of_many_spellings_and_few_networks_ends() -> None:
    class Collapsed(DigitSpace):
        def canonical(self, X: object) -> np.ndarray:
            return self.validate(X) * (np.arange(len(self.cardinalities)) < 2)

    space = Collapsed([3] * 40)  # 3^40 spellings of nine networks: cannot be listed
    assert len(draw_unseen(space, 20, set(), np.random.default_rng(2))) == 9


def test_the_generator_decides() -> None:
    space = spaces.load("tiny")
    one, same, other = (initial_sample(space, 20, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()
