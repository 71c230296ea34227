"""Several devices' tables of one space: do they agree on which networks are fast, and on which units they differ."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mosegnet.common.errors import UserError
from mosegnet.digits import FloatArray, IntArray
from profiler.lut import Lut
from profiler.validate import kendall_tau, pearson_r, tau_within_scale

_DIFFERING = 8  # units named for each pair


@dataclass(frozen=True, slots=True)
class Pair:
    """Two devices by their places; `speed` is the second's latency over the first's, in the middle.

    `differing` names the units whose ratio is furthest from the usual one, with their ratio over it.
    """

    first: int
    second: int
    kendall_tau: float
    kendall_tau_within_scale: float
    pearson_r: float
    speed: float
    differing: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Latencies of the same sampled networks, shape (devices, n), and what each pair of devices makes of them."""

    names: tuple[str, ...]
    scales: tuple[str, ...]
    X: IntArray
    latency_ms: FloatArray
    pairs: tuple[Pair, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        pairs = [
            {**asdict(pair), "first": self.names[pair.first], "second": self.names[pair.second]} for pair in self.pairs
        ]
        return {"devices": list(self.names), "networks": len(self.X), "pairs": pairs}


def compare(luts: Sequence[Lut], networks: int, seed: int) -> Comparison:
    """Compare tables over networks that all of the devices can run, drawn uniformly.

    Raises:
        UserError: tables of different spaces, or too few networks that all can run.
    """
    space = luts[0].space
    for lut in luts[1:]:
        if lut.space.fingerprint != space.fingerprint:
            raise UserError(
                f"the tables are of different spaces, {space.name!r} of {luts[0].device.name} and "
                f"{lut.space.name!r} of {lut.device.name}: build both for one space"
            )
    X = space.sample(networks, np.random.default_rng(seed))
    X = X[np.all([lut.runs(X) for lut in luts], axis=0)]
    if len(X) < 3:
        raise UserError("the devices have too few networks in common that all can run")
    latency_ms = np.stack([lut.predict(X) for lut in luts])
    pairs = tuple(_pair(luts, X, latency_ms, a, b) for a, b in itertools.combinations(range(len(luts)), 2))
    names = tuple(f"{lut.device.name}{' (simulated)' if lut.device.simulated else ''}" for lut in luts)
    if len(set(names)) < len(names):
        names = tuple(f"{name} #{k + 1}" for k, name in enumerate(names))
    return Comparison(names, tuple(f"{h}x{w}" for h, w in space.scales), X, latency_ms, pairs)


def _pair(luts: Sequence[Lut], X: IntArray, latency_ms: FloatArray, a: int, b: int) -> Pair:
    one, other = latency_ms[a], latency_ms[b]
    return Pair(
        first=a,
        second=b,
        kendall_tau=round(kendall_tau(one, other), 4),
        kendall_tau_within_scale=tau_within_scale(one, other, X) or 0.0,
        pearson_r=round(pearson_r(one, other), 5),
        speed=round(float(np.median(other / one)), 5),
        differing=_differing(luts[a], luts[b]),
    )


def _differing(one: Lut, other: Lut) -> tuple[tuple[str, float], ...]:
    keys = [key for key in one.table.entries if key in other.table.entries]
    ratios = np.array([other.table.entries[key].latency_ms / one.table.entries[key].latency_ms for key in keys])
    shares = ratios / np.median(ratios)
    order = np.argsort(-np.abs(np.log(shares)))[:_DIFFERING]
    return tuple((keys[k], round(float(shares[k]), 3)) for k in order)
