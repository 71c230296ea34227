"""RankNet (section IV-B, Algorithm 3): learns the order of networks, from teachers first and then from true scores."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from search.surrogates.base import FloatArray, IntArray, Surrogate, UncertainSurrogate
from search.surrogates.teachers import PAPER_TEACHERS, TEACHERS, synthetic_samples

HIDDEN = 300
HIDDEN_LAYERS = 3
MARGIN = 0.1
SYNTHETIC = 1000


@dataclass(frozen=True, slots=True)
class Schedule:
    """One phase of training: Adam with a learning rate that falls along half a cosine."""

    steps: int
    batch: int | None  # None: as many as there are true samples
    learning_rate: float
    weight_decay: float = 3e-4


@dataclass(frozen=True, slots=True)
class Recipe:
    """All of Algorithm 3 that can be chosen."""

    teachers: tuple[type[Surrogate], ...]
    pretraining: Schedule
    tuning: Schedule


# 500 epochs of each phase; an epoch is one step on as many samples as were evaluated, since no batch is stated.
PAPER = Recipe(PAPER_TEACHERS, Schedule(500, None, 8e-4), Schedule(500, None, 8e-4))
# Twice the steps on batches twice the size rank no better on the tables that we measured, and take twice as long.
QUICK = Recipe(TEACHERS, Schedule(100, 64, 3e-3), Schedule(100, 64, 2e-3))


def ranking_loss(scores: Tensor, order: Tensor, margin: float = MARGIN) -> Tensor:
    """Mean pairwise hinge loss, one value per member.

    Equation 5 as printed, max(0, gamma - delta(ŷ_i, ŷ_j) · sign(y_i - y_j)) with delta a sign of the predictions, is
    piecewise constant: its gradient is zero wherever it exists and nothing can be learnt from it. The form that trains
    puts the difference itself in the place of its sign: max(0, gamma - sign(y_i - y_j)(ŷ_i - ŷ_j)), which is zero for
    the same pairs when gamma goes to zero. Ties (sign 0) carry no order and are left out.

    Args:
        scores: predictions ŷ, (E, n).
        order: sign(y_i - y_j), (E, n, n) or (n, n).
    """
    difference = scores.unsqueeze(2) - scores.unsqueeze(1)  # (E, n, n)
    hinge = torch.relu(margin - order * difference) * order.abs()
    return hinge.sum(dim=(1, 2)) / order.abs().sum(dim=(-2, -1)).clamp_min(1)


class _Mlps:
    """E multi-layer perceptrons with one output, all run as one batch of matrix products."""

    def __init__(self, inputs: int, members: int, generator: torch.Generator) -> None:
        sizes = [inputs, *[HIDDEN] * HIDDEN_LAYERS, 1]
        self.weights: list[Tensor] = []
        self.biases: list[Tensor] = []
        for fan_in, fan_out in itertools.pairwise(sizes):
            bound = 1 / math.sqrt(fan_in)
            for shape, into in (((members, fan_in, fan_out), self.weights), ((members, 1, fan_out), self.biases)):
                values = (torch.rand(shape, generator=generator) * 2 - 1) * bound
                into.append(values.requires_grad_())

    def __call__(self, H: Tensor) -> Tensor:
        """Scores (E, n) of one-hot inputs (E, n, C)."""
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            H = torch.relu(torch.baddbmm(bias, H, weight))  # (E, n, HIDDEN)
        return torch.baddbmm(self.biases[-1], H, self.weights[-1]).squeeze(2)

    def parameters(self) -> list[Tensor]:
        return [*self.weights, *self.biases]


class RankNet(UncertainSurrogate):
    """One RankNet, or several trained as one batch whose mean is the prediction and whose spread its uncertainty.

    Three hidden layers of 300 on one-hot digits. Algorithm 3: the teachers are fitted to the true samples and label
    made-up ones; the network learns their order first (pre-training), then the true order (tuning).
    """

    def __init__(self, cardinalities: Sequence[int], seed: int, members: int = 1, recipe: Recipe = QUICK) -> None:
        super().__init__(cardinalities, seed)
        self._members = members
        self._recipe = recipe

    def _fit(self, X: IntArray, t: FloatArray) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self._network = _Mlps(sum(self.digits.cardinalities), self._members, generator)
        recipe = self._recipe
        made_up, labels = synthetic_samples(recipe.teachers, self.digits.cardinalities, X, t, SYNTHETIC, self.seed)
        self._train(self._hot(made_up), torch.tensor(labels), recipe.pretraining, len(t), generator)
        self._train(self._hot(X), torch.tensor(t)[None], recipe.tuning, len(t), generator)
        self._calibrate(X, t)

    def _train(self, H: Tensor, labels: Tensor, schedule: Schedule, true: int, generator: torch.Generator) -> None:
        """Follow `schedule` on samples H (n, C) whose order each row of labels (teachers, n) gives."""
        E, n = self._members, len(H)
        batch = min(n, schedule.batch or true)
        optimiser = torch.optim.Adam(
            self._network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True
        )
        for step in range(schedule.steps):
            for group in optimiser.param_groups:
                group["lr"] = schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * step / schedule.steps))
            rows = torch.rand(E, n, generator=generator).topk(batch, dim=1).indices  # (E, batch), no row twice
            teacher = torch.randint(len(labels), (E, 1), generator=generator)
            y = labels[teacher, rows]  # (E, batch)
            loss = ranking_loss(self._network(H[rows]), torch.sign(y.unsqueeze(2) - y.unsqueeze(1)).float()).sum()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

    def _calibrate(self, X: IntArray, t: FloatArray) -> None:
        """Bring every member's scores, whose scale means nothing, to that of the targets by least squares."""
        scores = self._scores(X)  # (E, n)
        self._centre = scores.mean(axis=1, keepdims=True)
        spread = np.maximum(scores.var(axis=1, keepdims=True), 1e-12)
        slope = ((scores - self._centre) * t).mean(axis=1, keepdims=True) / spread
        self._slope = np.maximum(slope, 1e-6 / np.sqrt(spread))  # never turns the order round

    def _scores(self, X: IntArray) -> FloatArray:
        with torch.no_grad():
            H = self._hot(X)
            return self._network(H.expand(self._members, *H.shape)).double().numpy()  # (E, n)

    def _calibrated(self, X: IntArray) -> FloatArray:
        return (self._scores(X) - self._centre) * self._slope

    def _hot(self, X: IntArray) -> Tensor:
        return torch.tensor(self.digits.one_hot(X), dtype=torch.float32)

    def _predict(self, X: IntArray) -> FloatArray:
        return self._calibrated(X).mean(axis=0)

    def _predict_std(self, X: IntArray) -> FloatArray:
        return self._calibrated(X).std(axis=0, ddof=1) if self._members > 1 else np.zeros(len(X))
