"""Networks inside constraints that chance does not find: a search of the cheap side alone, bounded and seeded."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from search.evolution.initialisation import (
    IntArray,
    SearchSpace,
    bounds,
    distinct,
    draw_unseen,
    enumerable,
    everything,
    key,
)
from search.evolution.problem import FloatArray

_PILOT = 2048  # random networks that tell whether drawing is enough
_COMMON = 0.02  # of them inside: drawing is enough
_POPULATION = 200
_GENERATIONS = 250
_PATIENCE = 40  # generations without a smaller violation, or without a new network
_SPARE = 4  # so many times more are found than wanted, so that those taken are not all of one family
_DESCENTS = 8
_ROUNDS = 3

Violation = Callable[[IntArray], FloatArray]  # canonical encodings (n, D) -> (n,), 0 inside, infinity: cannot be run


@dataclass(frozen=True, slots=True)
class Found:
    """What a search for networks inside the constraints came to."""

    inside: IntArray  # (m, D) distinct, none seen before
    nearest: IntArray  # (D,) the network of the least violation, seen or not
    violation: float  # of `nearest`
    exact: bool  # whether the whole space was looked at


def draw_inside(
    space: SearchSpace,
    violation: Violation,
    n: int,
    seen: Collection[bytes],
    rng: np.random.Generator,
    start: IntArray | None = None,
) -> Found:
    """Up to n distinct networks inside the constraints, none of them in `seen`.

    Uniform where many networks are inside or the space can be listed. Otherwise an evolution towards the least
    violation finds them, and goes on by mutation and crossover among those inside. m < n when no more are found.

    Args:
        start: networks to begin from besides random ones and the bounds of the space, (s, D).
    """
    known = set(seen)
    if enumerable(space):
        return _listed(space, violation, n, known, rng)
    pilot = distinct(np.concatenate([bounds(space), space.sample(_PILOT, rng)]))
    outside = violation(pilot)
    nearest = int(np.argmin(outside))
    if (outside <= 0).mean() >= _COMMON:
        drawn = draw_unseen(space, n, known, rng, lambda X: violation(X) <= 0)
        return Found(drawn, pilot[nearest], 0.0, exact=False)
    if start is not None and len(start):
        pilot = distinct(np.concatenate([start, pilot]))
    return _evolved(space, violation, n, known, rng, pilot)


def _listed(space: SearchSpace, violation: Violation, n: int, known: set[bytes], rng: np.random.Generator) -> Found:
    X = everything(space)
    outside = violation(X)
    left = np.array([x for x in X[outside <= 0] if key(x) not in known], dtype=np.int64).reshape(-1, X.shape[1])
    nearest = int(np.argmin(outside))
    return Found(left[rng.permutation(len(left))[:n]], X[nearest], float(outside[nearest]), exact=True)


def _evolved(
    space: SearchSpace, violation: Violation, n: int, known: set[bytes], rng: np.random.Generator, first: IntArray
) -> Found:
    """A (μ + λ) evolution whose ties are broken by chance, so that it wanders among the networks inside."""
    herd = _Herd(space, violation, known, rng, first)
    for round_ in range(_ROUNDS):
        idle = 0
        for _ in range(_GENERATIONS):
            if len(herd.inside) >= _SPARE * n or idle >= _PATIENCE:
                break
            idle = 0 if herd.breed() else idle + 1
        if (len(herd.inside) >= n and herd.least <= 0) or round_ == _ROUNDS - 1:
            break
        herd.look_around()  # evolution is blind to the last step: pairs of digits, one up and one down
    inside = np.array(herd.inside, dtype=np.int64).reshape(len(herd.inside), first.shape[1])
    chosen = np.sort(rng.permutation(len(inside))[:n])
    return Found(inside[chosen], herd.nearest, herd.least, exact=False)


class _Herd:
    """The population of `_evolved`, and what it has found on its way."""

    def __init__(
        self, space: SearchSpace, violation: Violation, known: set[bytes], rng: np.random.Generator, first: IntArray
    ) -> None:
        self._space, self._violation, self._rng = space, violation, rng
        self._options = np.array(space.cardinalities)
        self._known = known
        self._visited: set[bytes] = set()
        self._X, self._V = first[:0], np.zeros(0)
        self.inside: list[IntArray] = []
        self.nearest, self.least = first[0], np.inf
        self._join(first)

    def breed(self) -> bool:
        """One generation; whether it brought a new network inside or one nearer than any before."""
        n, digits = _POPULATION, len(self._options)
        mothers, fathers = self._X[self._rng.integers(len(self._X), size=(2, n))]
        children = np.where(self._rng.random((n, digits)) < 0.5, mothers, fathers)
        changed = self._rng.random((n, digits)) < 1.0 / digits
        changed[np.arange(n), self._rng.integers(digits, size=n)] |= self._rng.random(n) < 0.5
        step = self._rng.integers(1, np.maximum(self._options, 2), size=(n, digits))
        return self._join(self._space.canonical(np.where(changed, (children + step) % self._options, children)))

    def look_around(self) -> None:
        """From some of the nearest networks, the best change of one or two digits, again and again."""
        nearest = np.argsort(self._V, kind="stable")
        for x in self._X[nearest[:_DESCENTS]]:
            here, least = x, np.inf
            while True:
                X = self._space.canonical(_neighbours(here, self._options))
                V = self._violation(X)
                best = int(np.argmin(V))
                self._join(X[np.maximum(0.0, V[best]) >= V])
                if V[best] >= least or V[best] <= 0:
                    break
                here, least = X[best], float(V[best])

    def _join(self, X: IntArray) -> bool:
        fresh = [x for x in distinct(X) if key(x) not in self._visited]
        if not fresh:
            return False
        self._visited.update(key(x) for x in fresh)
        X = np.array(fresh)
        V = self._violation(X)
        best = int(np.argmin(V))
        progress = bool(V[best] < self.least)
        if progress:
            self.nearest, self.least = X[best], float(V[best])
        for x in X[V <= 0]:
            if key(x) not in self._known:
                self.inside.append(x)
                progress = True
        self._X, self._V = np.concatenate([self._X, X]), np.concatenate([self._V, V])
        kept = np.lexsort((self._rng.random(len(self._V)), self._V))[:_POPULATION]
        self._X, self._V = self._X[kept], self._V[kept]
        return progress


def _neighbours(x: IntArray, options: IntArray) -> IntArray:
    """Every change of one or two digits of x, and x itself, (k, D)."""
    singles = [x]
    for place, count in enumerate(options):
        for digit in range(int(count)):
            if digit != x[place]:
                other = x.copy()
                other[place] = digit
                singles.append(other)
    one = np.array(singles)
    changed = (one != x).argmax(axis=1)
    apart = changed[:, None] < changed[None, :]  # two changes at one place would be no digit
    return np.concatenate([one, (one[:, None] + one[None, :] - x)[apart]])
