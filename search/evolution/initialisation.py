"""Networks drawn at random, each one at most once, and the first networks of a search."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.int64]

ENUMERABLE = 1 << 18  # spellings; a space of so few is listed when chance no longer finds what is left
_FRUITLESS_DRAWS = 50

Runs = Callable[[IntArray], NDArray[np.bool_]]  # of networks (n, D): which of them can be run at all, (n,)


class SearchSpace(Protocol):
    """What the engine asks of a space: any `mosegnet.digits.DigitSpace` will do.

    A space may also have `smallest()` and `largest()`, each one encoding, where the least and the greatest digits
    are not what bounds it.
    """

    cardinalities: list[int]

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw n canonical encodings, shape (n, D); repetitions may occur."""

    def canonical(self, X: ArrayLike) -> IntArray:
        """One spelling for each network, shape (n, D)."""


def key(x: IntArray) -> bytes:
    """What tells one canonical encoding from another; for membership, never for an order."""
    return np.ascontiguousarray(x, dtype=np.int64).tobytes()


def bounds(space: SearchSpace) -> IntArray:
    """The smallest and the largest network, canonical, shape (2, D)."""
    digits = np.array(space.cardinalities, dtype=np.int64)
    smallest = space.smallest() if hasattr(space, "smallest") else np.zeros_like(digits)
    largest = space.largest() if hasattr(space, "largest") else digits - 1
    return space.canonical(np.stack([smallest, largest]))


def all_run(X: IntArray) -> NDArray[np.bool_]:
    """Every network can be run."""
    return np.ones(len(X), dtype=np.bool_)


def initial_sample(space: SearchSpace, n: int, rng: np.random.Generator, runs: Runs = all_run) -> IntArray:
    """Up to n distinct networks, shape (m, D): both bounds first, the rest uniform; m < n when there are no more."""
    first = distinct(bounds(space))
    first = first[runs(first)][:n]
    rest = draw_unseen(space, n - len(first), {key(x) for x in first}, rng, runs)
    return np.concatenate([first, rest])


def draw_unseen(
    space: SearchSpace, n: int, seen: Collection[bytes], rng: np.random.Generator, runs: Runs = all_run
) -> IntArray:
    """Up to n distinct canonical encodings that can be run and whose key is not in `seen`, shape (m, D).

    m < n only when the space has no more; a space too large to be listed is taken to be used up when
    fifty rounds of drawing find nothing new.
    """
    drawn: list[IntArray] = []
    known = set(seen)
    fruitless = 0
    while len(drawn) < n and fruitless < _FRUITLESS_DRAWS:
        before = len(drawn)
        X = space.sample(max(16, n - len(drawn)), rng)
        for x in X[runs(X)]:
            if len(drawn) < n and key(x) not in known:
                known.add(key(x))
                drawn.append(x)
        fruitless = fruitless + 1 if len(drawn) == before else 0
    if len(drawn) < n and enumerable(space):
        X = everything(space)
        left = [x for x in X[runs(X)] if key(x) not in known]
        drawn += [left[i] for i in rng.permutation(len(left))[: n - len(drawn)]]
    return np.array(drawn, dtype=np.int64).reshape(len(drawn), len(space.cardinalities))


def distinct(X: IntArray) -> IntArray:
    """The rows of X without repetitions, in the order of their first appearance."""
    _, first = np.unique(X, axis=0, return_index=True)
    return X[np.sort(first)]


def enumerable(space: SearchSpace, limit: int = ENUMERABLE) -> bool:
    """Whether the space has at most `limit` spellings, so that it can be listed."""
    return math.prod(space.cardinalities) <= limit


def everything(space: SearchSpace) -> IntArray:
    """Every network of an enumerable space, canonical, in lexical order, shape (n, D)."""
    grid = np.indices(space.cardinalities).reshape(len(space.cardinalities), -1).T
    return np.unique(space.canonical(grid), axis=0)
