"""The covariance of two networks by their digits: how alike two options are, and how much each digit matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.surrogates.base import FloatArray

SCALARS = 4  # log additive variance, log joint variance, logit of how ordinal the additive and the joint part are


@dataclass(frozen=True, slots=True)
class Parts:
    """The kernel at one set of parameters, over the C options of all digits."""

    additive: FloatArray  # (C, C) covariance of two options of one digit, 0 across digits
    joint_variance: float
    distance: FloatArray  # (C, C) distance of two options of one digit, 0 across digits


class DigitKernel:
    """k(x, x') = a Σ_d ρ_d alike_d(x_d, x'_d) + b exp(-Σ_d w_d far_d(x_d, x'_d)), with Σ_d ρ_d = 1.

    The additive part alone would be a smooth ridge regression on one-hot digits; the joint part is for how digits act
    together. far(i, j) = (1 - m) [i ≠ j] + m |i - j| / (options - 1) says how far apart two options are, as mere names
    (m = 0) or as steps of a scale (m = 1); alike = 1 - far. Both are positive semi-definite, and so is their product
    over the digits. One m for each part, one ρ and one w for each digit; digits with a single option play no part.
    """

    def __init__(self, cardinalities: Sequence[int]) -> None:
        sizes = np.array(cardinalities)
        self.digits = int((sizes > 1).sum())
        self._of = np.repeat(np.cumsum(sizes > 1) - 1, sizes)  # the digit of an option, those that play a part
        self._digit = np.repeat(np.arange(len(sizes)), sizes)
        self._plays = np.repeat(sizes > 1, sizes)
        value = np.concatenate([np.arange(size) for size in sizes])
        same_digit = (self._digit[:, None] == self._digit) & self._plays[:, None]
        self._block = same_digit.astype(np.float64)
        self._named = (same_digit & (value[:, None] != value)).astype(np.float64)
        steps = np.abs(value[:, None] - value) / np.repeat(np.maximum(sizes - 1, 1), sizes)[:, None]
        self._stepped = np.where(same_digit, steps, 0.0)

    @property
    def size(self) -> int:
        """How many parameters there are: SCALARS, then log ρ and log w of every digit with a choice."""
        return SCALARS + 2 * self.digits

    def parts(self, theta: FloatArray) -> Parts:
        """The kernel of one set of parameters (size,)."""
        ordinal = _logistic(theta[2:4])
        share, relevance = self._per_digit(theta)
        additive = (self._block - self._far(ordinal[0])) * (np.exp(theta[0]) * share[self._of])[:, None]
        return Parts(additive, float(np.exp(theta[1])), self._far(ordinal[1]) * relevance[self._of][:, None])

    def gradient(self, theta: FloatArray, by_additive: FloatArray, by_joint: FloatArray) -> FloatArray:
        """Derivative in theta, (size,), of a scalar L.

        Args:
            by_additive: HᵀGH with G = dL/dK (n, n) and one-hot networks H (n, C).
            by_joint: the same of G times the joint part of K, element by element.
        """
        ordinal = _logistic(theta[2:4])
        share, relevance = self._per_digit(theta)
        a = np.exp(theta[0])
        by_share = a * self._sums(by_additive * (self._block - self._far(ordinal[0])))
        by_relevance = -self._sums(by_joint * self._far(ordinal[1]))
        less_far = self._named - self._stepped
        slopes = ordinal * (1 - ordinal)
        out = np.empty(self.size)
        out[0] = by_share @ share
        out[1] = self._total(by_joint)
        out[2] = a * slopes[0] * (self._sums(by_additive * less_far) @ share)
        out[3] = slopes[1] * (self._sums(by_joint * less_far) @ relevance)
        out[SCALARS : SCALARS + self.digits] = share * (by_share - by_share @ share)
        out[SCALARS + self.digits :] = relevance * by_relevance
        return out

    def _per_digit(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """ρ and w, each (digits,)."""
        rho = np.exp(theta[SCALARS : SCALARS + self.digits])
        return rho / rho.sum(), np.exp(theta[SCALARS + self.digits :])

    def _far(self, ordinal: float) -> FloatArray:
        return (1 - ordinal) * self._named + ordinal * self._stepped

    def _sums(self, M: FloatArray) -> FloatArray:
        """Sum of M (C, C) within every digit that plays a part, (digits,)."""
        sums = np.zeros(self.digits)
        np.add.at(sums, self._of[self._plays], M.sum(axis=1)[self._plays])
        return sums

    def _total(self, M: FloatArray) -> float:
        """Sum of G over all pairs of networks, from HᵀGH: any one digit's block holds it."""
        first = self._digit == 0
        return float(M[np.ix_(first, first)].sum())


def _logistic(x: FloatArray) -> FloatArray:
    return 1 / (1 + np.exp(-x))
