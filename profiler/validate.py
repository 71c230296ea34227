"""The proof of a table: held-out whole networks, beside what FLOPs alone would have said."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from mosegnet.cost import costs
from mosegnet.digits import FloatArray, IntArray
from mosegnet.space import SCALE, Space
from profiler.lut import Lut
from profiler.schema import NetworkRecord, Scores, Validation
from profiler.visits import Estimate

_NOISE_DRAWS = 500
_RESAMPLES = 400
_INTERVALS_OF = ("kendall_tau", "mape_percent", "bias_percent", "within_5_percent", "within_10_percent")


def validation(
    lut: Lut, X: IntArray, measured: list[Estimate], seed: int, measured_at: str | None = None
) -> Validation:
    """Scores of the table on the networks X, shape (n, digits), that it has not seen.

    FLOPs and FLOPs + params are linear fits with a constant for each input scale, by least squares of the relative
    error, to the networks that calibrated the table: they see the same whole networks as it, and may differ by scale
    as it may.
    """
    latency_ms = np.array([estimate.latency_ms for estimate in measured])
    predicted_ms, half_ms = lut.predict_interval(X)
    noise = label_noise(measured)
    return Validation(
        **scores(predicted_ms, latency_ms, X).model_dump(),
        measured_at=measured_at,
        seed=seed,
        networks=len(X),
        label_noise_percent=round(100 * noise, 3),
        tau_ceiling=round(tau_ceiling(latency_ms, noise), 4),
        mape_floor_percent=round(100 * noise * math.sqrt(2 / math.pi), 3),
        coverage_percent=_percent(np.abs(predicted_ms - latency_ms) <= half_ms),
        flops=scores(linear_fit_ms(lut, X, params=False), latency_ms, X),
        flops_params=scores(linear_fit_ms(lut, X, params=True), latency_ms, X),
        measured=network_records(X, measured, predicted_ms),
    )


def scores(predicted_ms: FloatArray, measured_ms: FloatArray, X: IntArray) -> Scores:
    """All figures of one predictor; `kendall_tau_within_scale` is the mean over input scales, which differ most.

    The intervals come from drawing the networks anew, with replacement (Efron, 1979).
    """
    return Scores(
        **_figures(predicted_ms, measured_ms),
        kendall_tau_within_scale=tau_within_scale(predicted_ms, measured_ms, X),
        pearson_r=round(pearson_r(predicted_ms, measured_ms), 5),
        intervals=_bootstrap(predicted_ms, measured_ms),
    )


def _figures(predicted_ms: FloatArray, measured_ms: FloatArray) -> dict[str, float]:
    error = predicted_ms / measured_ms - 1
    return {
        "kendall_tau": round(kendall_tau(predicted_ms, measured_ms), 4),
        "mape_percent": round(100 * float(np.abs(error).mean()), 3),
        "bias_percent": round(100 * float(error.mean()), 3),
        "within_5_percent": _percent(np.abs(error) <= 0.05),
        "within_10_percent": _percent(np.abs(error) <= 0.10),
    }


def _bootstrap(predicted_ms: FloatArray, measured_ms: FloatArray) -> dict[str, tuple[float, float]]:
    rng = np.random.default_rng(0)
    draws = rng.integers(len(measured_ms), size=(_RESAMPLES, len(measured_ms)))
    found = [_figures(predicted_ms[draw], measured_ms[draw]) for draw in draws]
    intervals = {}
    for name in _INTERVALS_OF:
        low, high = np.quantile([figures[name] for figures in found], [0.025, 0.975])
        intervals[name] = (round(float(low), 4), round(float(high), 4))
    return intervals


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


def linear_fit_ms(lut: Lut, X: IntArray, params: bool) -> FloatArray:
    """Latency of X from a constant for each scale, FLOPs and, with `params`, params, fitted as `validation` says."""
    known = lut.calibration.networks
    encodings = np.array([network.encoding for network in known])
    latency_ms = np.array([network.measured_ms for network in known])
    design = _linear(lut.space, encodings, params)
    size = np.maximum(design.max(axis=0), 1)  # FLOPs are a million times the rest: solve in comparable units
    w = np.linalg.lstsq(design / size / latency_ms[:, None], np.ones(len(known)), rcond=None)[0]
    fitted_ms: FloatArray = _linear(lut.space, X, params) / size @ w
    return fitted_ms


def label_noise(measured: list[Estimate]) -> float:
    """Standard error of a network's measured latency as a share of it: how its visits differ, over their root.

    A network with one visit has its own interval.
    """
    shares = [
        float(np.var(one.visits_ms, ddof=1)) / len(one.visits_ms) / one.latency_ms**2
        if len(one.visits_ms) > 1
        else (one.ci95_ms / 1.96 / one.latency_ms) ** 2
        for one in measured
    ]
    return math.sqrt(float(np.mean(shares))) if shares else 0.0


def tau_ceiling(latency_ms: FloatArray, noise: float) -> float:
    """Kendall tau of the true latencies against themselves measured with this relative noise, on average."""
    rng = np.random.default_rng(0)
    noisy = latency_ms * (1 + noise * rng.standard_normal((_NOISE_DRAWS, len(latency_ms))))
    return float(np.mean([kendall_tau(row, latency_ms) for row in noisy]))


def _linear(space: Space, X: IntArray, params: bool) -> FloatArray:
    cost = costs(space, X)
    here = X[:, SCALE, None] == np.arange(len(space.scales))
    columns: FloatArray = np.column_stack([here, cost.flops, *([cost.params] if params else [])]).astype(np.float64)
    return columns


def tau_within_scale(a: FloatArray, b: FloatArray, X: IntArray) -> float | None:
    """Kendall tau of latencies a and b of the networks X, mean over input scales; None where none has three of them."""
    groups = [X[:, SCALE] == scale for scale in np.unique(X[:, SCALE])]
    within = [kendall_tau(a[group], b[group]) for group in groups if group.sum() > 2]
    return round(float(np.mean(within)), 4) if within else None


def kendall_tau(a: FloatArray, b: FloatArray) -> float:
    """Of two lists of latencies; 0 where one has no order at all."""
    tau = float(stats.kendalltau(a, b).statistic)
    return tau if math.isfinite(tau) else 0.0  # all equal: no order at all


def pearson_r(a: FloatArray, b: FloatArray) -> float:
    """Of two lists of latencies; 0 where one does not vary."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _percent(share: np.ndarray) -> float:
    return round(100 * float(share.mean()), 2)
