"""What all surrogates have in common: the samples made clean before, the scale put back after."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mosegnet.digits import DigitSpace
from search.surrogates.threads import one_thread

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class Surrogate(ABC):
    """A predictor of accuracy over digits.

    A subclass learns from distinct encodings in lexical order and targets of mean 0 and deviation 1, so the order of
    the samples never matters, repeated ones count as their mean, and all see the same scale.
    """

    def __init__(self, cardinalities: Sequence[int], seed: int) -> None:
        self.digits = DigitSpace(cardinalities)
        self.seed = int(seed)
        self._mean, self._deviation = 0.0, 0.0  # deviation 0: nothing to tell networks apart by
        self._fitted = False

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from encodings X (n, D) and accuracies y (n,), larger is better; n ≥ 1, all finite."""
        X, y = self.digits.validate(X), np.asarray(y, dtype=np.float64)
        if y.shape != (len(X),) or not len(X):
            raise ValueError(f"{len(X)} encodings with accuracies of shape {y.shape}")
        if not np.isfinite(y).all():
            raise ValueError("an accuracy is not finite: leave failed networks out")
        X, group = np.unique(X, axis=0, return_inverse=True)
        group = group.reshape(-1)
        y = np.bincount(group, weights=y) / np.bincount(group)
        self._mean = float(y.mean())
        self._deviation = 0.0 if np.ptp(y) <= 1e-12 * max(1.0, abs(self._mean)) else float(y.std())
        if self._deviation:
            with one_thread():  # these sums are so small that sharing them out takes longer, up to twenty times
                self._fit(X, (y - self._mean) / self._deviation)
        self._fitted = True
        return self

    def predict(self, X: ArrayLike) -> FloatArray:
        """Predicted accuracy of encodings X (n, D), shape (n,); larger is better."""
        if not self._fitted:
            raise ValueError("predict before fit")
        X = self.digits.validate(X)
        if not self._deviation or not len(X):
            return np.full(len(X), self._mean)
        return self._mean + self._deviation * np.asarray(self._predict(X), dtype=np.float64)

    @abstractmethod
    def _fit(self, X: IntArray, t: FloatArray) -> None:
        """Learn from n ≥ 2 distinct encodings (n, D) with standardised targets (n,)."""

    @abstractmethod
    def _predict(self, X: IntArray) -> FloatArray:
        """Standardised predictions (n,) for encodings (n, D)."""


class UncertainSurrogate(Surrogate):
    """A surrogate that also knows how sure it is."""

    def predict_std(self, X: ArrayLike) -> FloatArray:
        """Standard deviation of `predict`, in the unit of the accuracies, shape (n,)."""
        if not self._fitted:
            raise ValueError("predict before fit")
        X = self.digits.validate(X)
        if not self._deviation or not len(X):
            return np.zeros(len(X))
        return self._deviation * np.asarray(self._predict_std(X), dtype=np.float64)

    @abstractmethod
    def _predict_std(self, X: IntArray) -> FloatArray:
        """Standard deviation of the standardised predictions, (n,)."""
