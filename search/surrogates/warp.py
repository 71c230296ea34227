"""A monotone bend of the accuracies, so that a process with Gaussian noise fits scales that saturate or have a tail."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from search.surrogates.base import FloatArray

_STRAIGHT = 1e-5  # a bend below this is taken as its limit, where the formulas would divide zero by zero
_STEEPEST = 1.0  # how many deviations of the targets one deviation of the bent ones is worth outside the samples


class Bent(NamedTuple):
    """Targets after the bend, with what a likelihood needs of it."""

    values: FloatArray  # (n,), mean 0 and deviation 1
    log_jacobian: float  # Σ log dvalues/dt
    values_slope: FloatArray  # dvalues/dbend, (n,)
    log_jacobian_slope: float  # dlog_jacobian/dbend


def bend_targets(t: FloatArray, bend: float) -> Bent:
    """f(t) = (exp(bend · t) - 1) / bend, brought to mean 0 and deviation 1; bend 0 leaves standardised targets alone.

    A positive bend spreads the best networks and draws the tail of bad ones in. Of targets (n,), n ≥ 2, not all equal.
    """
    raw, raw_slope = _raw(t, bend)
    deviation = raw.std()
    values = (raw - raw.mean()) / deviation
    slope = (raw_slope - raw_slope.mean()) / deviation
    shrinks = float((values * slope).mean())
    return Bent(
        values,
        float(bend * t.sum() - len(t) * np.log(deviation)),
        slope - values * shrinks,
        float(t.sum() - len(t) * shrinks),
    )


class Unbend:
    """The way back from bent values to targets, straight outside the range of the samples so that no two tie."""

    def __init__(self, t: FloatArray, bend: float) -> None:
        raw, _ = _raw(t, bend)
        self._bend, self._mean, self._deviation = bend, float(raw.mean()), float(raw.std())
        self._ends = np.array([t.min(), t.max()])
        self._bent_ends = (_raw(self._ends, bend)[0] - self._mean) / self._deviation
        self._end_slopes = np.minimum(self._deviation * np.exp(-bend * self._ends), _STEEPEST)

    def __call__(self, values: FloatArray) -> FloatArray:
        """Targets (n,) of bent values (n,)."""
        low, high = self._bent_ends
        t = self._within(np.clip(values, low, high))
        t += self._end_slopes[0] * np.minimum(values - low, 0.0)
        t += self._end_slopes[1] * np.maximum(values - high, 0.0)
        return t

    def slope(self, values: FloatArray) -> FloatArray:
        """How fast the targets grow with the bent values there, (n,)."""
        low, high = self._bent_ends
        within = self._deviation * np.exp(-self._bend * self._within(np.clip(values, low, high)))
        return np.where(values < low, self._end_slopes[0], np.where(values > high, self._end_slopes[1], within))

    def _within(self, values: FloatArray) -> FloatArray:
        raw = self._mean + self._deviation * values
        if abs(self._bend) < _STRAIGHT:
            return raw
        inner = np.maximum(1 + self._bend * raw, np.exp(self._bend * self._ends).min())  # rounding at the ends
        return np.log(inner) / self._bend


def _raw(t: FloatArray, bend: float) -> tuple[FloatArray, FloatArray]:
    """(exp(bend · t) - 1) / bend and its derivative in bend."""
    if abs(bend) < _STRAIGHT:
        return t + 0.0, t**2 / 2
    grown = np.exp(bend * t)
    return (grown - 1) / bend, (t * grown * bend - grown + 1) / bend**2
