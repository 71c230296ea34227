"""What a search wants of a network: accuracy, costs to keep small, and limits to keep to.

Costs are the cheap side: known exactly before an evaluation is spent. The order of objectives is that of the tuple.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mosegnet.common.errors import UserError
from mosegnet.digits import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number that every network has before it is evaluated.

    `of` takes canonical encodings (n, D) and gives (n,); infinity for a network that cannot be run.
    """

    name: str  # as a person writes it: latency, latency:atlas, flops
    unit: str
    of: Callable[[IntArray], FloatArray]

    def __call__(self, X: IntArray) -> FloatArray:
        """The quantity of the networks X, shape (n,).

        Raises:
            UserError: it is not a number for one of them; names the network.
        """
        if not len(X):
            return np.zeros(0)
        values = np.asarray(self.of(X), dtype=np.float64)
        if values.shape != (len(X),):
            raise ValueError(f"{len(X)} networks with {self.name} of shape {values.shape}")
        if np.isnan(values).any():
            row = int(np.flatnonzero(np.isnan(values))[0])
            table = self.name.partition(":")[0]
            raise UserError(f"the {self.name} of network {X[row].tolist()} is {values[row]}: mend the {table} table")
        return values


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound on a quantity."""

    quantity: Quantity
    bound: float
    at_most: bool  # else at least
    text: str  # as a person wrote it

    def violation(self, X: IntArray) -> FloatArray:
        """How far the networks X are outside, as a share of the bound, (n,); 0 inside."""
        values = self.quantity(X)
        over = values - self.bound if self.at_most else self.bound - values
        share = np.maximum(0.0, over) / (abs(self.bound) or 1.0)
        return np.where(np.isinf(values), np.inf, share)


@dataclass(frozen=True, slots=True)
class Goals:
    """Objectives beside accuracy, all minimised, in order; limits; and the least accuracy that is of any use.

    Raises:
        UserError: no cost, or one twice.
    """

    costs: tuple[Quantity, ...]
    limits: tuple[Limit, ...] = ()
    least_miou: float = -math.inf

    def __post_init__(self) -> None:
        names = self.names
        if not names:
            raise UserError("a search needs a cost beside accuracy: name one, such as latency")
        if len(set(names)) < len(names):
            raise UserError(f"an objective is named twice: {', '.join(names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the costs."""
        return tuple(cost.name for cost in self.costs)

    @property
    def constrained(self) -> bool:
        """Whether anything is asked of a network beside that it can be run."""
        return bool(self.limits) or self.least_miou > -math.inf

    def costs_of(self, X: IntArray) -> FloatArray:
        """Every cost of canonical networks X, shape (n, len(costs))."""
        return np.stack([cost(X) for cost in self.costs], axis=1)

    def violation(self, X: IntArray) -> FloatArray:
        """How far the networks X are outside the limits, (n,): the sum over the limits; accuracy is not asked."""
        total = np.zeros(len(X))
        for limit in self.limits:
            total += limit.violation(X)
        return total

    def runs(self, X: IntArray) -> NDArray[np.bool_]:
        """Which of the networks X can be run and are inside the limits, (n,)."""
        runs: NDArray[np.bool_] = np.isfinite(self.costs_of(X)).all(axis=1) & (self.violation(X) <= 0)
        return runs

    def with_quantity(self, name: str, of: Callable[[IntArray], FloatArray]) -> Goals:
        """The same goals by another table: the bounds stay."""
        costs = tuple(replace(cost, of=of) if cost.name == name else cost for cost in self.costs)
        limits = tuple(
            replace(one, quantity=replace(one.quantity, of=of)) if one.quantity.name == name else one
            for one in self.limits
        )
        return replace(self, costs=costs, limits=limits)


def of_latency(latency: Callable[[IntArray], FloatArray]) -> Goals:
    """The usual goals: accuracy and one latency in milliseconds."""
    return Goals((Quantity("latency", "ms", latency),))


def described(limits: Sequence[Limit], x: IntArray) -> str:
    """What a network has of everything that is limited: `latency 31.2 ms, flops 1.2e+09`."""
    quantities = {limit.quantity.name: limit.quantity for limit in limits}
    return ", ".join(
        f"{name} {float(quantity(x[None])[0]):.4g} {quantity.unit}".rstrip() for name, quantity in quantities.items()
    )
