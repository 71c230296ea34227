"""Tables of digits to search on: one of real networks read from a file, three made up, each with its best front.

Four shapes, so that nothing is tuned to one of them:
- a CSV file in which every network of the space stands, such as NAS-Bench-Macro (Su et al., CVPR 2021);
- `synthetic`: the 29 digits of a space of this project. Accuracy rises with every digit and saturates; 28 % of its
  variance comes from pairs and triples of digits. Cost is a latency table's or, without one, multiply-adds;
- `cells`: 6 digits with 5 options in no order, as NAS-Bench-201 has them (Dong and Yang, ICLR 2020). Two
  fifths of the variance are interaction, and networks with cut edges fall off a cliff;
- `binary`: 15 switches, two fifths of the variance is interaction, each switch multiplies the cost.
An evaluation of a made-up network carries an error of its own, always the same for one network, as a supernet's mIoU
does; what a search reached is judged by the truth without it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from mosegnet import cost, space
from mosegnet.digits import DigitSpace
from profiler import lut as tables
from search.evolution.hypervolume import ReferencePoint, hypervolume
from search.evolution.initialisation import IntArray, SearchSpace, bounds, enumerable, everything, key
from search.evolution.nsga2 import candidates
from search.evolution.pareto import non_dominated
from search.evolution.problem import Problem

FloatArray = NDArray[np.float64]
Values = Callable[[IntArray], FloatArray]  # of canonical encodings (n, D), (n,)

_SAMPLE = 4096  # networks by which the parts of a landscape are weighed
_ORACLE = {"population": 400, "generations": 1000}


class Landscape:
    """A space in which every network's accuracy and cost can be had for nothing.

    `observed` is what an evaluation says, `truth` what a search is judged by; both grow with quality. `cost` is known
    exactly and for nothing. `band` is the accuracy above which the corner `upper` looks; None for no such corner.
    """

    def __init__(
        self, name: str, space: SearchSpace, observed: Values, truth: Values, cost: Values, band: float | None
    ) -> None:
        self.name, self.space = name, space
        self.observed, self.truth, self.cost = observed, truth, cost
        self._band = band

    @cached_property
    def corners(self) -> Mapping[str, ReferencePoint]:
        """The fixed reference points: of the whole table and, where there is a band, of its upper part."""
        X = everything(self.space) if enumerable(self.space) else self._sample()
        worst, greatest = float(self.truth(X).min()), float(self.cost(X).max())
        corners = {"whole": ReferencePoint(worst, greatest)}
        if self._band is not None:
            corners["upper"] = ReferencePoint(self._band, greatest)
        return corners

    @cached_property
    def front(self) -> tuple[FloatArray, FloatArray]:
        """Accuracies and costs of the true front, or of the best known: two long searches on the truth itself."""
        X = everything(self.space) if enumerable(self.space) else self._searched()
        accuracy, price = self.truth(X), self.cost(X)
        rows = non_dominated(accuracy, price)
        return accuracy[rows], price[rows]

    def share(self, accuracy: FloatArray, price: FloatArray, corner: str = "whole") -> float:
        """Hypervolume of networks with these true accuracies and costs, as a share of the best front's."""
        reference = self.corners[corner]
        return hypervolume(accuracy, price, reference) / hypervolume(*self.front, reference)

    def _sample(self) -> IntArray:
        drawn = self.space.sample(_SAMPLE, np.random.default_rng(0))
        return np.concatenate([drawn, bounds(self.space)])

    def _searched(self) -> IntArray:
        problem = Problem(self.space, lambda X: np.stack([-self.truth(X), self.cost(X)], axis=1))
        start = bounds(self.space)
        found = [candidates(problem, **_ORACLE, start=start, rng=np.random.default_rng(seed)) for seed in (0, 1)]
        return np.concatenate([one.encodings for one in found])


def load(spec: str) -> Landscape:
    """The landscape of a specification: a CSV file or `synthetic`, `cells`, `binary`, then `:name=value` settings.

    Raises:
        click.UsageError: no such landscape or setting, or a file that lacks networks.
    """
    name, *settings = spec.split(":")
    values = dict(setting.partition("=")[::2] for setting in settings)
    try:
        if name.endswith(".csv"):
            return from_csv(Path(name), **values)
        return {"synthetic": synthetic, "cells": cells, "binary": binary}[name](**values)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise click.UsageError(f"no landscape {spec!r}: {error}") from None


# --- a table of real networks ----------------------------------------------------------------------------------------


def from_csv(
    path: Path, digits: str = "op", accuracy: str = "mean_acc", cost: str = "flops", band: str | None = None
) -> Landscape:
    """Every network of a space with its accuracy and its cost; an option is numbered by its value's place."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    is_digit = re.compile(rf"(?:{'|'.join(map(re.escape, digits.split(',')))})\d+")
    names = [name for name in rows[0] if is_digit.fullmatch(name)]
    X = np.stack([np.unique([float(row[name]) for row in rows], return_inverse=True)[1] for name in names], axis=1)
    space = DigitSpace((X.max(axis=0) + 1).tolist())
    place = {key(x): k for k, x in enumerate(X)}
    if len(place) != space.count():
        raise ValueError(f"it holds {len(place)} of {space.count()} networks, all are needed")

    def column(name: str) -> Values:
        values = np.array([float(row[name]) for row in rows])
        return lambda X: values[[place[key(x)] for x in X]]

    floor = None if band is None else float(band)
    return Landscape(f"{path.name} {cost}", space, column(accuracy), column(accuracy), column(cost), floor)


# --- made-up tables --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the accuracies of a made-up landscape are put together.

    `trend` is the share of a digit's own effect that rises with its options' `worth` (by default their places), the
    rest has no order. The variance of own effects, pairs and triples is shared out as `shares`. The sum, standardised,
    is pressed into `low` … `high` by a logistic curve whose middle lies `saturation` deviations below the mean.
    `error` is an evaluation's deviation.
    """

    trend: float
    shares: tuple[float, float, float]
    terms: tuple[int, int]  # how many pairs and triples
    saturation: float
    low: float
    high: float
    error: float
    worth: FloatArray | None = None  # (D, options)


def synthetic(seed: str = "0", space_name: str = "paper", lut: str | None = None) -> Landscape:
    """The 29 digits of a space of this project; the cost is the latency in `lut` or the multiply-adds (millions)."""
    digits = tables.load(lut).space if lut else space.load(space_name)
    flops = cost.unit_costs(digits)[:, 0] / 1e6
    price = tables.load(lut).predict if lut else lambda X: flops.take(digits.unit_indices(X)).sum(axis=1)
    shape = _Shape(0.9, (0.72, 0.18, 0.10), (40, 30), 0.8, 0.40, 0.78, 0.004)
    return _made_up(f"synthetic {'latency' if lut else 'flops'} {seed}", digits, shape, price, int(seed), band=0.70)


def cells(seed: str = "0") -> Landscape:
    """6 digits of 5 options, the dearer the better by and large; option 0 cuts an edge, and two cuts are a cliff."""
    digits = DigitSpace([5] * 6)
    rng = np.random.default_rng((int(seed), 201))
    dear = rng.permuted(np.tile([0.2, 1.0, 3.0, 9.0], (6, 1)), axis=1) * rng.uniform(0.6, 1.4, size=(6, 4))
    prices = np.concatenate([np.zeros((6, 1)), dear], axis=1)
    shape = _Shape(0.85, (0.6, 0.28, 0.12), (15, 12), 0.6, 0.55, 0.94, 0.004, prices)

    def cliff(X: IntArray) -> FloatArray:
        return 0.12 * np.clip((X == 0).sum(axis=1) - 1, 0, 4)

    def price(X: IntArray) -> FloatArray:
        return 8.0 + prices[np.arange(6), X].sum(axis=1)

    return _made_up(f"cells {seed}", digits, shape, price, int(seed), band=0.85, cliff=cliff)


def binary(seed: str = "0") -> Landscape:
    """15 switches with much interaction; each switch that is on multiplies the cost by its own factor."""
    digits = DigitSpace([2] * 15)
    factors = np.random.default_rng((int(seed), 15)).uniform(0.02, 0.30, size=15)
    shape = _Shape(0.9, (0.6, 0.25, 0.15), (30, 30), 0.4, 0.60, 0.90, 0.003)
    return _made_up(f"binary {seed}", digits, shape, lambda X: np.exp(X @ np.log1p(factors)), int(seed), band=0.80)


def _made_up(
    name: str,
    digits: SearchSpace,
    shape: _Shape,
    price: Values,
    seed: int,
    band: float,
    cliff: Values = lambda X: np.zeros(len(X)),
) -> Landscape:
    raw = [_own_effects(digits, shape, seed), *(_interactions(digits, n, seed, k) for n, k in _sizes(shape))]
    X = digits.sample(_SAMPLE, np.random.default_rng((seed, 0)))
    scales = [np.sqrt(share) / part(X).std() for share, part in zip(shape.shares, raw, strict=True)]
    middle = sum(scale * part(X).mean() for scale, part in zip(scales, raw, strict=True))

    def truth(X: IntArray) -> FloatArray:
        z = sum(scale * part(X) for scale, part in zip(scales, raw, strict=True)) - middle
        return shape.low + (shape.high - shape.low) * expit(z + shape.saturation) - cliff(X)

    def observed(X: IntArray) -> FloatArray:
        return truth(X) + shape.error * _own_normal(X, seed)

    return Landscape(name, digits, observed, truth, price, band)


def _sizes(shape: _Shape) -> list[tuple[int, int]]:
    return [(shape.terms[0], 2), (shape.terms[1], 3)]


def _own_effects(digits: SearchSpace, shape: _Shape, seed: int) -> Values:
    """Each digit's own effect: a rise that flattens out, of a size of its own, and a part without order."""
    rng = np.random.default_rng((seed, 1))
    effects = []
    for k, options in enumerate(digits.cardinalities):
        worth = np.arange(options) if shape.worth is None else shape.worth[k]
        rise = np.sqrt(worth / max(worth.max(), 1e-9))
        effects.append(rng.lognormal(0.0, 0.6) * (shape.trend * rise + (1 - shape.trend) * rng.normal(size=options)))

    def value(X: IntArray) -> FloatArray:
        return sum((effect[X[:, k]] for k, effect in enumerate(effects)), np.zeros(len(X)))

    return value


def _interactions(digits: SearchSpace, terms: int, seed: int, k: int) -> Values:
    """The sum of `terms` random tables over random groups of k digits."""
    rng = np.random.default_rng((seed, 1, k))
    groups = [rng.choice(len(digits.cardinalities), size=k, replace=False) for _ in range(terms)]
    effects = [rng.normal(size=[digits.cardinalities[d] for d in group]) for group in groups]

    def value(X: IntArray) -> FloatArray:
        parts = (effect[tuple(X[:, group].T)] for group, effect in zip(groups, effects, strict=True))
        return sum(parts, np.zeros(len(X)))

    return value


def _own_normal(X: IntArray, seed: int) -> FloatArray:
    """A standard normal number for each network, always the same for the same digits (SplitMix64 of its digits)."""
    state = np.full(len(X), seed, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in X.T.astype(np.uint64):
            state = (state ^ column) + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state ^= state >> np.uint64(31)
    return ndtri(((state >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53)
