"""The compiled kernels of NSGA-II against definitions and pymoo."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from search.evolution.dominance import front
from search.evolution.survival import survivors
from search.evolution.variation import breed, unlike


@settings(max_examples=80, deadline=None)
@given(st.integers(2, 4), st.integers(1, 30), st.integers(0, 10_000))
def test_fronts_are_those_of_pymoo(m: int, n: int, seed: int) -> None:
    F = np.random.default_rng(seed).integers(0, 5, (n, m)).astype(float)  # with many ties
    kept, _, ranks = survivors(F, np.zeros(n), n)
    assert sorted(kept) == list(range(n))
    expected = NonDominatedSorting().do(F)
    got = [sorted(kept[ranks == rank]) for rank in range(ranks.max() + 1)]
    assert got == [sorted(rows) for rows in expected]
    assert sorted(front(F)) == sorted(expected[0])


def test_inside_first_then_the_least_far_outside() -> None:
    F = np.array([[9.0, 9.0], [0.0, 0.0], [1.0, 1.0], [8.0, 8.0], [0.0, 0.0]])
    kept, _, ranks = survivors(F, np.array([0.0, 2.0, 1.0, 0.0, np.inf]), 5)
    assert kept.tolist() == [3, 0, 2, 1, 4]
    assert ranks.tolist() == [0, 1, 2, 3, 4]


def test_crowded_rows_go_one_by_one() -> None:
    """Going all at once would take 1 to 3, which are equally close, and leave a hole; so 2 alone goes, then another."""
    x = np.array([0.0, 1.0, 1.1, 1.2, 2.2, 3.0])
    F = np.stack([x, -x], axis=1)
    kept, crowding, _ = survivors(F, np.zeros(6), 5)
    assert sorted(kept) == [0, 1, 3, 4, 5]
    assert np.isinf(crowding[np.isin(kept, [0, 5])]).all()


def test_children_mix_their_parents_and_mutate() -> None:
    P, D, options = 10, 40, np.full(40, 9)
    genes = np.repeat(np.arange(2), 5)[:, None].repeat(D, axis=1)  # only 0 and 1 among the parents
    F = np.zeros((P, 2))
    children = breed(genes, F, np.zeros(P), np.zeros(P), options, 4001, np.random.default_rng(0))
    assert children.shape == (4001, D)
    assert ((children >= 0) & (children < 9)).all()
    assert (children > 1).mean() == pytest.approx(1 / D * 7 / 8, rel=0.1)
    mixed = [len(np.unique(child[child < 2])) > 1 for child in children]
    assert 0.1 < np.mean(mixed) < 0.75


def test_a_parent_that_is_beaten_leaves_no_children() -> None:
    genes = np.array([[0] * 30, [1] * 30])
    F = np.array([[0.0, 1.0], [0.0, 2.0]])
    for V, winner in (([0.0, 0.0], 0), ([1.0, 0.0], 1)):
        children = breed(genes, F, np.array(V), np.zeros(2), np.full(30, 2), 50, np.random.default_rng(1))
        assert (children == winner).mean() > 0.9


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12))
def test_unlike_takes_the_first_new_ones(seed: int, wanted: int) -> None:
    rng = np.random.default_rng(seed)
    known, X = rng.integers(0, 3, (6, 3)), rng.integers(0, 3, (15, 3))
    marks = np.random.default_rng(0).integers(1, 2**64, (3, 3), dtype=np.uint64)
    have, expected = {tuple(x) for x in known}, []
    for row, x in enumerate(X):
        if len(expected) < wanted and tuple(x) not in have:
            have.add(tuple(x))
            expected.append(row)
    assert unlike(known, X, marks, wanted).tolist() == expected


def test_kernels_run_where_nothing_can_be_kept() -> None:
    """Neither beside the file nor in the user's cache."""
    program = (
        "import numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "import numpy as np\n"
        "from search.evolution.survival import survivors\n"
        "print(survivors(np.eye(2), np.zeros(2), 1)[2].tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert done.stdout == "[0]\n", done.stderr
