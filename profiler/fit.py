"""Measurements to entries (the stub's context subtracted), and the calibration of their sum by a few whole networks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from device_agents.statistics import t975
from mosegnet.cost import costs
from mosegnet.digits import FloatArray, IntArray
from mosegnet.space import SCALE, Space
from mosegnet.unit import Shape, Unit
from profiler.plan import EMPTY_SHAPE, context_key, context_shapes, is_image
from profiler.schema import Calibration, Entry, NetworkRecord
from profiler.visits import Estimate

_LEAST_MS = 1e-6  # an entry below its own noise is still no zero

# Prior spread of the calibration's coefficients, as shares of a network's latency: what the sum of units is off by
# before anything is known. Tried on 105 networks of `tiny`, 15 of them at a time: any of half to twice these serves.
_TOTAL_SPREAD = 0.3  # of the one factor on everything
_SCALE_SPREAD = 0.1  # of each input scale's own
_PART_SPREAD = 0.05  # of each kind of unit, of each scale's constant, of the weights
_NOISE_GRID = np.geomspace(0.001, 0.1, 41)


def entries(space: Space, known: Mapping[str, Estimate]) -> dict[str, Entry]:
    """The latency of every unit, net of its context and of what a call of the runtime costs.

    A stub model is call + stub convs + unit + pool of the output. A context is call + stub conv + pool. So
    unit = stub model - call - sum of stub convs - pool, with
    call: the empty context; pool: in proportion to the elements, known from the images' contexts, which have no conv;
    stub conv: context - call - pool.

    Raises:
        KeyError: something in the plan was not measured.
    """
    context = _Context(space, known)
    return {unit.key: _entry(unit, known[unit.key], context) for unit in space.units}


class _Context:
    """What to subtract, with the variance of it."""

    def __init__(self, space: Space, known: Mapping[str, Estimate]) -> None:
        self._known = known
        self.call = known[context_key(EMPTY_SHAPE)]
        images = [shape for shape in context_shapes(space) if is_image(shape) and shape != EMPTY_SHAPE]
        pooled_ms = sum(known[context_key(shape)].latency_ms - self.call.latency_ms for shape in images)
        self._pool_ms = max(0.0, pooled_ms) / sum(math.prod(shape) for shape in images)  # an element

    def pool_ms(self, shape: Shape) -> float:
        return self._pool_ms * math.prod(shape)

    def stub_ms(self, shape: Shape) -> float:
        return 0.0 if is_image(shape) else self.of(shape).latency_ms - self.call.latency_ms - self.pool_ms(shape)

    def of(self, shape: Shape) -> Estimate:
        return self._known[context_key(shape)]


def _entry(unit: Unit, stub: Estimate, context: _Context) -> Entry:
    around_ms = context.call.latency_ms + context.pool_ms(unit.output_shape)
    around_ms += sum(context.stub_ms(shape) for shape in unit.input_shapes)
    parts = [stub, *(context.of(shape) for shape in unit.input_shapes if not is_image(shape))]
    ci95_ms = math.sqrt(math.fsum(part.ci95_ms**2 for part in parts))
    latency_ms = stub.latency_ms - around_ms
    below_noise = latency_ms < ci95_ms
    return Entry(
        latency_ms=round(max(latency_ms, _LEAST_MS), 7),
        ci95_ms=round(ci95_ms, 7),
        samples=stub.samples,
        converged=all(part.converged for part in parts),
        flags=[*stub.flags, *(["below_noise"] if below_noise else [])],
    )


@dataclass(frozen=True, slots=True)
class Design:
    """Networks as columns that are linear in the calibration's coefficients, shape (n, coefficients), milliseconds."""

    columns: FloatArray
    prior: FloatArray  # (coefficients,) mean
    spread: FloatArray  # (coefficients,) standard deviation


def calibrate(
    space: Space, table: Mapping[str, Entry], X: IntArray, measured: list[Estimate], call_ms: float
) -> Calibration:
    """Correct the sum of entries to the networks X, shape (n, digits), that were measured.

    Bayesian linear regression of the relative error, shrunk to "the sum is right": one factor for all, one for each
    input scale, one for each kind of unit, a constant for each scale, and a price of weights. The noise is the one
    under which the measurements are most likely (MacKay, "Bayesian interpolation", 1992).
    """
    kinds = sorted({unit.kind for unit in space.units})
    design = _design(space, table, X, kinds, call_ms)
    latency_ms = np.array([estimate.latency_ms for estimate in measured])
    A = design.columns / latency_ms[:, None]  # the relative error is 1 - A w
    noise = max(_NOISE_GRID, key=lambda noise: _log_evidence(A, design, noise))
    w, covariance = _posterior(A, design, noise)
    interval = t975(max(1, len(X) - len(space.scales))) * _spread_of_new(A, w, covariance, noise)
    predicted_ms = design.columns @ w
    scales = len(space.scales)
    own, parts, constants = w[1 : 1 + scales], w[1 + scales : 1 + scales + len(kinds)], w[-1 - scales : -1]
    middles_ms = _middles_ms(space, table)
    return Calibration(
        constant_ms=[round(float(c * ms), 7) for c, ms in zip(constants, middles_ms, strict=True)],
        factors={
            kind: [round(float(w[0] + of_scale + of_kind), 6) for of_scale in own]
            for kind, of_kind in zip(kinds, parts, strict=True)
        },
        ms_per_million_params=round(float(w[-1]), 7),
        noise_percent=round(100 * float(noise), 3),
        interval_percent=round(100 * interval, 3),
        networks=network_records(X, measured, predicted_ms),
    )


def network_records(X: IntArray, measured: list[Estimate], predicted_ms: FloatArray) -> list[NetworkRecord]:
    """What a table keeps of whole networks."""
    return [
        NetworkRecord(
            encoding=[int(digit) for digit in x],
            measured_ms=round(estimate.latency_ms, 6),
            ci95_ms=round(estimate.ci95_ms, 6),
            predicted_ms=round(float(ms), 6),
        )
        for x, estimate, ms in zip(X, measured, predicted_ms, strict=True)
    ]


def _design(space: Space, table: Mapping[str, Entry], X: IntArray, kinds: list[str], call_ms: float) -> Design:
    rows = space.unit_indices(X)
    by_kind_ms = np.stack([_sums_ms(space, table, rows, kind) for kind in kinds], axis=1)  # (n, kinds)
    total_ms = by_kind_ms.sum(axis=1)
    here = X[:, SCALE, None] == np.arange(len(space.scales))  # (n, scales)
    params = costs(space, X).params * 1e-6  # millions
    middles_ms = _middles_ms(space, table)
    columns = np.column_stack([total_ms, total_ms[:, None] * here, by_kind_ms, middles_ms * here, params])
    scales = len(space.scales)
    prior = np.concatenate([[1.0], np.zeros(scales + len(kinds)), call_ms / middles_ms, [0.0]])
    spread = np.concatenate(
        [
            [_TOTAL_SPREAD],
            np.full(scales, _SCALE_SPREAD),
            np.full(len(kinds) + scales, _PART_SPREAD),
            [_PART_SPREAD * middles_ms.min() / np.median(params)],
        ]
    )
    return Design(columns, prior, spread)


def _sums_ms(space: Space, table: Mapping[str, Entry], rows: IntArray, kind: str) -> FloatArray:
    """Sum of the entries of one kind of unit in each network, shape (n,)."""
    values_ms = [table[unit.key].latency_ms if unit.kind == kind else 0.0 for unit in space.units]
    sums_ms: FloatArray = np.array([*values_ms, 0.0])[rows].sum(axis=1)
    return sums_ms


def _middles_ms(space: Space, table: Mapping[str, Entry]) -> FloatArray:
    """Latency of a middling network at each scale, shape (scales,): the measure for a scale's constant."""
    middle = (np.array(space.cardinalities) - 1) // 2
    X = np.tile(middle, (len(space.scales), 1))
    X[:, SCALE] = np.arange(len(space.scales))
    rows = space.unit_indices(X)
    values_ms = np.array([*(table[unit.key].latency_ms for unit in space.units), 0.0])
    middles_ms: FloatArray = values_ms[rows].sum(axis=1)
    return middles_ms


def _posterior(A: FloatArray, design: Design, noise: float) -> tuple[FloatArray, FloatArray]:
    """Mean and covariance of the coefficients w in 1 = A w + noise."""
    precision = np.diag(design.spread**-2.0) + A.T @ A / noise**2
    covariance = np.asarray(np.linalg.inv(precision), dtype=np.float64)
    return covariance @ (design.prior * design.spread**-2.0 + A.sum(axis=0) / noise**2), covariance


def _spread_of_new(A: FloatArray, w: FloatArray, covariance: FloatArray, noise: float) -> float:
    """Standard deviation of the relative error of a network not yet seen.

    By the model, noise and the coefficients' own uncertainty; by leaving each network out in turn, what the others say
    of it (for a linear fit the residual over 1 - leverage). With few networks either may be too small by chance: the
    larger counts.
    """
    leverage = np.einsum("ij,jk,ik->i", A, covariance, A) / noise**2
    left_out = (1 - A @ w) / (1 - leverage)
    by_model = noise**2 * (1 + float(np.mean(leverage)))
    return math.sqrt(max(by_model, float(np.mean(left_out**2))))


def _log_evidence(A: FloatArray, design: Design, noise: float) -> float:
    covariance = (A * design.spread**2) @ A.T + noise**2 * np.eye(len(A))
    error = 1 - A @ design.prior
    return -0.5 * float(error @ np.linalg.solve(covariance, error) + np.linalg.slogdet(covariance)[1])
