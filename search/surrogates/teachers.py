"""The teachers of Algorithm 3: they label made-up networks, so that RankNet has something to learn from early."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.surrogates.base import FloatArray, IntArray, Surrogate
from search.surrogates.kernels import CubicRbf
from search.surrogates.linear import OneHotRidge
from search.surrogates.trees import Boosting, Tree

PAPER_TEACHERS: tuple[type[Surrogate], ...] = (CubicRbf, Tree, Boosting)
# The paper's three and, fourth, ridge regression: on the accuracy tables of supernets that we could measure it ranks
# better than any of the three from the same few samples, and a pupil gets no better than its teachers.
TEACHERS: tuple[type[Surrogate], ...] = (*PAPER_TEACHERS, OneHotRidge)


def synthetic_samples(
    teachers: Sequence[type[Surrogate]], cardinalities: Sequence[int], X: IntArray, t: FloatArray, n: int, seed: int
) -> tuple[IntArray, FloatArray]:
    """n made-up networks and what each teacher, fitted to (X, t), says of them: (n, D) and (teachers, n).

    Half are drawn uniformly; half are true samples with some digits redrawn, since the search will ask about the
    neighbours of what it has seen.
    """
    rng = np.random.default_rng(seed)
    digits = np.array(cardinalities)
    made_up = rng.integers(0, digits, size=(n, len(digits)))
    near = n // 2
    kept = rng.random((near, len(digits))) < rng.uniform(0.5, 1.0, size=(near, 1))
    made_up[:near] = np.where(kept, X[rng.integers(0, len(X), size=near)], made_up[:near])
    labels = [teacher(cardinalities, seed).fit(X, t).predict(made_up) for teacher in teachers]
    return made_up, np.stack(labels)
