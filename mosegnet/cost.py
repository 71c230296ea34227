"""What networks cost without a device: multiply-adds, parameters and activation bytes, for many encodings at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from mosegnet.architecture import Architecture
from mosegnet.digits import IntArray
from mosegnet.graph import operators
from mosegnet.space import Space
from mosegnet.unit import Unit

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of n networks, each an integer array of shape (n,).

    `flops` are multiply-adds of the convolutions, `params` the trained numbers, `activation_bytes` everything that
    the operators write in single precision at batch 1. Auxiliary heads exist in training only and do not count.
    """

    flops: IntArray
    params: IntArray
    activation_bytes: IntArray


def costs(space: Space, X: ArrayLike) -> Costs:
    """Costs of the networks X, shape (n, 29); sums over units, gathered as a latency table is."""
    totals = unit_costs(space)[space.unit_indices(X)].sum(axis=1)  # (n, 3)
    return Costs(totals[:, 0], totals[:, 1], totals[:, 2])


@lru_cache(maxsize=16)
def unit_costs(space: Space) -> IntArray:
    """(flops, params, activation bytes) of each unit of the space, shape (units + 1, 3); the last row is 0."""
    return np.array([*(_unit_cost(unit) for unit in space.units), (0, 0, 0)], dtype=np.int64)


def _unit_cost(unit: Unit) -> tuple[int, int, int]:
    ops = operators(unit)
    written = sum(int(np.prod(op.shape)) for op in ops)
    return sum(op.macs for op in ops), sum(op.params for op in ops), FLOAT_BYTES * written


@dataclass(frozen=True, slots=True)
class NetworkCosts:
    """What one network costs; see `Costs`."""

    flops: int
    params: int
    activation_bytes: int

    def __str__(self) -> str:
        return f"{self.flops / 1e9:.3g} G multiply-adds, {self.params / 1e6:.3g} M parameters"


def architecture_costs(architecture: Architecture) -> NetworkCosts:
    """Costs of one network, of a space or of none."""
    flops, params, activation_bytes = (sum(values) for values in zip(*map(_unit_cost, architecture.units), strict=True))
    return NetworkCosts(flops, params, activation_bytes)
