"""Two baselines of Table V that weigh every sample by its distance: cubic RBF and support vectors."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.linalg import LinAlgError
from sklearn.svm import SVR

from search.surrogates.base import FloatArray, IntArray, Surrogate


class CubicRbf(Surrogate):
    """Cubic radial basis functions with a linear tail on the integer digits, as surrogate-assisted searches use it.

    The tail needs the digits to vary independently in at least D + 1 samples; where they do not (few samples, a digit
    that never changes), a constant tail over linear functions is taken.
    """

    def _fit(self, X: IntArray, t: FloatArray) -> None:
        points = self._scaled(X)
        try:
            self._model = RBFInterpolator(points, t, kernel="cubic", degree=1)
        except (ValueError, LinAlgError):
            self._model = RBFInterpolator(points, t, kernel="linear", degree=0)

    def _predict(self, X: IntArray) -> FloatArray:
        return self._model(self._scaled(X))

    def _scaled(self, X: IntArray) -> FloatArray:
        return X / np.maximum(np.array(self.digits.cardinalities) - 1, 1)


class SupportVectors(Surrogate):
    """Support vector regression with a Gaussian kernel on one-hot digits."""

    def _fit(self, X: IntArray, t: FloatArray) -> None:
        self._model = SVR(kernel="rbf", C=3.0, epsilon=0.05, gamma="scale").fit(self.digits.one_hot(X), t)

    def _predict(self, X: IntArray) -> FloatArray:
        return self._model.predict(self.digits.one_hot(X))
