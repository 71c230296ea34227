"""Whole networks correct what is known of the units: one Bayesian model, whatever the method that knew it.

    measured = (sum of units + constant of the scale) (1 + noise),   units ~ N(prior, K)

K says in which directions a prior is usually wrong, each as a share of the prior: all units alike, those of an input
scale, of a kind, of a stage, of one shape at every scale, one alone, and along a cost such as the weights. How wrong
it is in each direction, and the noise, are those under which the measurements are most likely, held near what is
usual (MacKay, "Bayesian interpolation", 1992; Rasmussen and Williams, "Gaussian processes for machine learning", 2006,
sections 2.2, 5.4). With no network at all the prior stays as it is; each network more moves it as far as it can bear.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from scipy.optimize import minimize, nnls

from device_agents.statistics import t975
from mosegnet.digits import FloatArray, IntArray
from mosegnet.space import SCALE, Space
from mosegnet.unit import Unit

_HYPER_SPREAD = 1.0  # how far, in powers of e, the evidence may move a spread from what is usual
_MOST_FOR_EVIDENCE = 300  # networks: more add little to the spreads and cost the cube of their number
_NOISE = 0.01  # usual, of a network's latency
_POOLED_NETWORKS = 6  # so many of all scales count beside a scale's own in its interval
_LEAST_SHARE = 1e-3  # of its prior, that no unit falls below


@dataclass(frozen=True, slots=True)
class Spreads:
    """By how much a prior is usually wrong in each direction: standard deviations as shares of it."""

    total: float
    scale: float
    kind: float
    stage: float
    shape: float  # the same unit but for its height and width
    unit: float
    costs: float  # of a network's latency, along each of the prior's costs
    constant: float  # of a middling network's latency


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of the units without whole networks, arrays in the order of `space.units`.

    mean_ms, sd_ms: (units,). costs: (units, n), what it may be wrong in proportion to. call_ms: what a call of the
    runtime costs beside its units, one for all or (scales,).
    """

    mean_ms: FloatArray
    sd_ms: FloatArray
    costs: FloatArray
    call_ms: float | FloatArray
    spreads: Spreads


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known with the whole networks: units and constants in milliseconds.

    unit_ms, unit_sd_ms: (units,). constant_ms, interval: (scales,), the interval as a share of a prediction, 95 %,
    for the measurement of a network not seen yet. noise: of one network, as a share.
    """

    unit_ms: FloatArray
    unit_sd_ms: FloatArray
    constant_ms: FloatArray
    noise: float
    interval: FloatArray


def fit(space: Space, prior: Prior, X: IntArray, latency_ms: FloatArray) -> Posterior:
    """Correct the prior to the networks X, shape (n, digits), that took `latency_ms`, shape (n,)."""
    model = _Model(space, prior, X, latency_ms)
    variances, noise = model.most_likely()
    covariance = model.covariance(variances, noise)
    inverse = np.linalg.inv(covariance)
    residual = model.residual
    gain, constant_gain = model.gains(variances)
    unit_ms = prior.mean_ms + gain @ (inverse @ residual)
    unit_variance = model.prior_variance(variances) - np.einsum("ij,jk,ik->i", gain, inverse, gain)
    constant_ms = model.constant_ms + constant_gain @ (inverse @ residual)
    if (unit_ms < _LEAST_SHARE * prior.mean_ms).any():
        unit_ms = _non_negative(model, variances, noise)
    left_out = (inverse @ residual) / np.diag(inverse)
    interval = _interval(space, X, left_out, noise)
    return Posterior(unit_ms, np.sqrt(np.maximum(unit_variance, 0)), constant_ms, noise, interval)


def predict(space: Space, fitted: Posterior, X: IntArray) -> FloatArray:
    """Latency in milliseconds of the networks X, shape (n, digits); the result has shape (n,)."""
    latency_ms: FloatArray = unit_counts(space, X) @ fitted.unit_ms + fitted.constant_ms[X[:, SCALE]]
    return latency_ms


class _Model:
    """The linear model in relative terms: every row is one network, divided by its latency."""

    def __init__(self, space: Space, prior: Prior, X: IntArray, latency_ms: FloatArray) -> None:
        self._prior = prior
        units = space.units
        counts = unit_counts(space, X) / latency_ms[:, None]  # (n, units)
        self._counts = counts
        here = X[:, SCALE, None] == np.arange(len(space.scales))
        middles_ms = _middles_ms(space, prior.mean_ms)
        self._constants = middles_ms  # (scales,)
        self.constant_ms = np.broadcast_to(np.asarray(prior.call_ms, dtype=np.float64), len(middles_ms))
        self._constant_rows = here * middles_ms / latency_ms[:, None]  # (n, scales)
        self.residual = 1 - counts @ prior.mean_ms - here @ self.constant_ms / latency_ms
        self._directions = _directions(space, units, prior)  # each (units, k)
        self._rows = [counts @ direction for direction in self._directions]  # each (n, k)
        self._grams = [rows @ rows.T for rows in [*self._rows, self._constant_rows]]
        own = counts * prior.sd_ms
        self._own_gram = own @ own.T

    def covariance(self, variances: FloatArray, noise: float) -> FloatArray:
        """Of the networks' relative residuals, shape (n, n)."""
        total = self._own_gram + noise**2 * np.eye(len(self.residual))
        for variance, gram in zip(variances, self._grams, strict=True):
            total = total + variance * gram
        return total

    def gains(self, variances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Covariance of the units, and of the constants, with the networks: (units, n), (scales, n)."""
        gain = self._prior.sd_ms[:, None] ** 2 * self._counts.T
        for variance, direction, rows in zip(variances, self._directions, self._rows, strict=False):
            gain = gain + variance * direction @ rows.T
        return gain, variances[-1] * self._constants[:, None] * self._constant_rows.T

    def prior_variance(self, variances: FloatArray) -> FloatArray:
        """Of each unit, shape (units,)."""
        total = self._prior.sd_ms**2
        for variance, direction in zip(variances, self._directions, strict=False):
            total = total + variance * (direction**2).sum(axis=1)
        return total

    def unit_covariance(self, variances: FloatArray) -> FloatArray:
        """Prior covariance of the units, shape (units, units)."""
        total = np.diag(self._prior.sd_ms**2)
        for variance, direction in zip(variances, self._directions, strict=False):
            total = total + variance * direction @ direction.T
        return total

    def augmented(self, variances: FloatArray, noise: float) -> tuple[FloatArray, FloatArray]:
        """Rows and targets whose least squares are the posterior of units and constants, both as deviations."""
        covariance = self.unit_covariance(variances)
        whiten = np.linalg.inv(np.linalg.cholesky(covariance + 1e-12 * np.diag(np.diag(covariance))))
        sd_ms = np.sqrt(variances[-1]) * self._constants
        scales = len(sd_ms)
        rows = np.block(
            [
                [whiten, np.zeros((len(whiten), scales))],
                [np.zeros((scales, len(whiten))), np.diag(1 / sd_ms)],
                [self._counts / noise, self._constant_rows / self._constants / noise],
            ]
        )
        return rows, np.concatenate([np.zeros(len(whiten) + scales), self.residual / noise])

    def most_likely(self) -> tuple[FloatArray, float]:
        """The variance in each direction and the noise, by the evidence of at most so many networks."""
        usual = np.log([*astuple(self._prior.spreads), _NOISE])
        keep = slice(0, _MOST_FOR_EVIDENCE)
        grams = [gram[keep, keep] for gram in self._grams]
        residual, own = self.residual[keep], self._own_gram[keep, keep]
        grams.append(np.eye(len(residual)))

        def loss(logs: FloatArray) -> tuple[float, FloatArray]:
            covariance = own + sum(np.exp(2 * log) * gram for log, gram in zip(logs, grams, strict=True))
            inverse = np.linalg.inv(covariance)
            weights = inverse @ residual
            off = (logs - usual) / _HYPER_SPREAD
            value = 0.5 * (residual @ weights + np.linalg.slogdet(covariance)[1] + off @ off)
            inner = inverse - np.outer(weights, weights)
            slope = [np.exp(2 * log) * np.vdot(inner, gram) for log, gram in zip(logs, grams, strict=True)]
            return float(value), np.array(slope) + off / _HYPER_SPREAD

        found = minimize(loss, usual, jac=True, method="L-BFGS-B", bounds=[(log - 4, log + 4) for log in usual])
        return np.exp(2 * found.x[:-1]), float(np.exp(found.x[-1]))


def unit_counts(space: Space, X: IntArray) -> FloatArray:
    """How often each unit occurs in each network, shape (n, units)."""
    rows = space.unit_indices(X)
    counts = np.zeros((len(X), len(space.units) + 1))
    np.add.at(counts, (np.arange(len(X))[:, None], rows), 1.0)
    return counts[:, :-1]


def _directions(space: Space, units: Sequence[Unit], prior: Prior) -> list[FloatArray]:
    """In the order of `Spreads` without the constant: each (units, k), in milliseconds."""
    scales = space.unit_scales.tolist()
    names: list[list[Hashable]] = [
        [0] * len(units),
        scales,
        [unit.kind for unit in units],
        [(unit.kind, unit.height, scale) for unit, scale in zip(units, scales, strict=True)],
        [(unit.kind, *astuple(unit)[2:]) for unit in units],
    ]
    groups = [_indicator(name) * prior.mean_ms[:, None] for name in names]
    typical = unit_counts(space, np.stack([space.smallest(0), space.largest(0)])).mean(axis=0)
    shares = prior.costs * (typical @ prior.mean_ms) / np.maximum(typical @ prior.costs, 1e-300)
    return [*groups, np.diag(prior.mean_ms), shares]


def _indicator(names: Sequence[Hashable]) -> FloatArray:
    distinct = list(dict.fromkeys(names))
    index = {name: k for k, name in enumerate(distinct)}
    indicator = np.zeros((len(names), len(distinct)))
    indicator[np.arange(len(names)), [index[name] for name in names]] = 1.0
    return indicator


def _middles_ms(space: Space, unit_ms: FloatArray) -> FloatArray:
    """Latency of a middling network at each scale, shape (scales,): the measure for a scale's constant."""
    middle = (np.array(space.cardinalities) - 1) // 2
    X = np.tile(middle, (len(space.scales), 1))
    X[:, SCALE] = np.arange(len(space.scales))
    middles_ms: FloatArray = unit_counts(space, X) @ unit_ms
    return middles_ms


def _interval(space: Space, X: IntArray, left_out: FloatArray, noise: float) -> FloatArray:
    """95 % half-width of a new network's relative error at each scale, shape (scales,).

    From what the other networks say of each one in turn; never under the noise. A scale with few networks of its own
    borrows from the others.
    """
    pooled = np.mean(left_out**2)
    found = []
    for scale in range(len(space.scales)):
        own = left_out[X[:, SCALE] == scale]
        variance = (np.sum(own**2) + _POOLED_NETWORKS * pooled) / (len(own) + _POOLED_NETWORKS)
        found.append(np.sqrt(max(variance, noise**2)))
    return t975(max(1, len(X) - 1)) * np.array(found)


def _non_negative(model: _Model, variances: FloatArray, noise: float) -> FloatArray:
    """The most likely units of which none is negative (Lawson and Hanson's NNLS)."""
    prior_ms = model._prior.mean_ms
    rows, target = model.augmented(variances, noise)
    floor_ms = _LEAST_SHARE * prior_ms
    units = len(prior_ms)
    start = np.concatenate([floor_ms - prior_ms, np.zeros(rows.shape[1] - units)])  # deviations at the floor
    free = rows[:, units:]  # constants may be of either sign: as two non-negative parts
    stacked = np.hstack([rows, -free])
    solution = nnls(stacked, target - rows @ start, maxiter=30 * stacked.shape[1])[0]
    found: FloatArray = floor_ms + solution[:units]
    return found
