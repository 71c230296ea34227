"""What the inner search minimises, what it finds, and what is known already: the records that its pieces exchange."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.evolution.initialisation import IntArray, Runs, SearchSpace, all_run

FloatArray = NDArray[np.float64]


def unconstrained(X: IntArray) -> FloatArray:
    """No network is outside the constraints when there are none, (n,)."""
    return np.zeros(len(X))


@dataclass(frozen=True, slots=True)
class Problem:
    """Any number of objectives over digits, all minimised.

    `objectives` takes canonical encodings (n, D) and gives (n, m), m ≥ 2; column 0 is minus the predicted accuracy. A
    row with an infinity is of a network that cannot be run: any other beats it. `violation` says how far a network is
    outside the constraints, (n,), 0 being inside; of two networks the one less far outside is better, whatever their
    objectives (Deb's rules). `runs` tells the networks that may be evaluated at all; no other is ever chosen.
    """

    space: SearchSpace
    objectives: Callable[[IntArray], FloatArray]
    violation: Callable[[IntArray], FloatArray] = unconstrained
    runs: Runs = all_run


@dataclass(frozen=True, slots=True)
class Candidates:
    """Networks that can be run, and what they promise."""

    encodings: IntArray  # (n, D) canonical, distinct
    objectives: FloatArray  # (n, m) finite, all minimised
    violation: FloatArray  # (n,)


@dataclass(frozen=True, slots=True)
class Archive:
    """Networks evaluated so far, without those that failed, and what they turned out to be."""

    encodings: IntArray  # (n, D) canonical
    objectives: FloatArray  # (n, m) as in `Candidates`, column 0 measured
