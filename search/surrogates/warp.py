"""A monotone bend of the accuracies, so that a process with Gaussian noise fits scales that saturate or have a tail."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from search.surrogates.base import FloatArray

BENDS = 2  # parameters: the exponent, and the log of how strongly distances from the best are shrunk
_STRAIGHT = 1e-5  # an exponent below this is taken as its limit, where the formulas would divide zero by zero
_STEEPEST = 1.0  # how many deviations of the targets one deviation of the bent ones is worth outside the samples


class Bent(NamedTuple):
    """Targets after the bend, with what a likelihood needs of it."""

    values: FloatArray  # (n,), mean 0 and deviation 1
    log_jacobian: float  # Σ log dvalues/dt
    values_slopes: FloatArray  # dvalues/dbends, (BENDS, n)
    log_jacobian_slopes: FloatArray  # dlog_jacobian/dbends, (BENDS,)


def bend_targets(t: FloatArray, bends: FloatArray) -> Bent:
    """Targets (n,) bent by (exponent e, log shrinkage) and brought to mean 0 and deviation 1; n ≥ 2, not all equal.

    First u = -log(1 + s (max t - t)) / s, as errors are often told in logarithms: the tail of bad networks is drawn
    in. Then (exp(e u) - 1) / e: a positive exponent spreads the best networks, a negative one those at the bottom.
    Together they hold the powers of the error, its logarithm, and (small s, e = 0) the targets as they are.
    """
    u, raw, by_shrinkage = _raw(t, t.max(), bends)
    exponent, shrinkage = bends[0], np.exp(bends[1])
    deviation = raw.std()
    values = (raw - raw.mean()) / deviation
    below = t.max() - t
    grown = np.exp(exponent * u)
    by_exponent = u**2 / 2 if abs(exponent) < _STRAIGHT else (u * grown * exponent - grown + 1) / exponent**2
    raw_slopes = np.stack([by_exponent, grown * by_shrinkage])
    slopes = (raw_slopes - raw_slopes.mean(axis=1, keepdims=True)) / deviation
    shrinks = slopes @ values / len(t)
    log_slope = exponent * u - np.log1p(shrinkage * below)
    log_slope_slopes = [u.sum(), (exponent * by_shrinkage - shrinkage * below / (1 + shrinkage * below)).sum()]
    return Bent(
        values,
        float(log_slope.sum() - len(t) * np.log(deviation)),
        slopes - values * shrinks[:, None],
        np.array(log_slope_slopes) - len(t) * shrinks,
    )


class Unbend:
    """The way back from bent values to targets, straight outside the range of the samples so that no two tie."""

    def __init__(self, t: FloatArray, bends: FloatArray) -> None:
        self._bends = bends
        self._ends = np.array([t.min(), t.max()])
        raw = _raw(t, t.max(), bends)[1]
        self._mean, self._deviation = float(raw.mean()), float(raw.std())
        self._bent_ends = (_raw(self._ends, self._ends[1], bends)[1] - self._mean) / self._deviation
        self._end_slopes = np.minimum(self._slope_at(self._ends), _STEEPEST)

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
        within = self._slope_at(self._within(np.clip(values, low, high)))
        return np.where(values < low, self._end_slopes[0], np.where(values > high, self._end_slopes[1], within))

    def _within(self, values: FloatArray) -> FloatArray:
        exponent, shrinkage = self._bends[0], np.exp(self._bends[1])
        u = self._mean + self._deviation * values
        if abs(exponent) >= _STRAIGHT:
            u = np.log1p(np.maximum(exponent * u, -1 + 1e-300)) / exponent
        return self._ends[1] + np.minimum(-np.expm1(-shrinkage * u), 0.0) / shrinkage

    def _slope_at(self, t: FloatArray) -> FloatArray:
        below = self._ends[1] - t
        u = _raw(t, self._ends[1], self._bends)[0]
        return self._deviation * (1 + np.exp(self._bends[1]) * below) * np.exp(-self._bends[0] * u)


def _raw(t: FloatArray, top: float, bends: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """u, the bent targets before they are scaled, and du/dlog s."""
    exponent, shrinkage = bends[0], np.exp(bends[1])
    below = top - t
    u = -np.log1p(shrinkage * below) / shrinkage
    by_shrinkage = -u - below / (1 + shrinkage * below)
    raw = u + exponent * u**2 / 2 if abs(exponent) < _STRAIGHT else np.expm1(exponent * u) / exponent
    return u, raw, by_shrinkage
