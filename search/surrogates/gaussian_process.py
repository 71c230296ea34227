"""Gaussian processes: Kriging as in Table V, and one made for digits."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from search.surrogates.base import FloatArray, IntArray, UncertainSurrogate


class Kriging(UncertainSurrogate):
    """A process with one Gaussian correlation length over the integer digits, by maximum likelihood."""

    def _fit(self, X: IntArray, t: FloatArray) -> None:
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(np.sqrt(X.shape[1]), (1e-1, 1e3)) + WhiteKernel(1e-2, (1e-5, 1))
        model = GaussianProcessRegressor(kernel, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound is an answer too
            self._model = model.fit(X, t)

    def _predict(self, X: IntArray) -> FloatArray:
        return self._model.predict(X)

    def _predict_std(self, X: IntArray) -> FloatArray:
        return self._model.predict(X, return_std=True)[1]


class CategoricalProcess(UncertainSurrogate):
    """A process whose kernel asks of every digit only whether two networks agree in it, and how much that matters.

    k(x, x') = a · Σ_d r_d [x_d = x'_d] / Σ_d r_d + b · exp(-Σ_d w_d [x_d ≠ x'_d]): an additive part, which alone would
    be a ridge regression on one-hot digits with a relevance r per digit, and a part for how digits act together, with
    relevances w. All are found by maximising the posterior; the priors keep few samples from being explained by many
    relevances.
    """

    def _fit(self, X: IntArray, t: FloatArray) -> None:
        self._hot = self.digits.one_hot(X)  # (n, C)
        self._start = np.concatenate([[0], np.cumsum(self.digits.cardinalities)[:-1]])
        D = X.shape[1]
        self._prior_mean = np.concatenate([np.log([0.5, 0.5, 0.05]), np.zeros(D), np.full(D, np.log(2.0 / D))])
        self._prior_std = np.concatenate([[1.5, 1.5, 1.5], np.full(D, 1.0), np.full(D, 1.0)])
        found = minimize(
            self._objective,
            self._prior_mean,
            args=(t,),
            jac=True,
            method="L-BFGS-B",
            bounds=[(m - 4 * s, m + 4 * s) for m, s in zip(self._prior_mean, self._prior_std, strict=True)],
            options={"maxiter": 60},
        )
        self._theta = found.x
        noise = np.exp(self._theta[2])
        K = sum(self._kernels(self._theta, self._hot, self._hot)) + noise * np.eye(len(t))
        self._factor = cho_factor(K, lower=True)
        self._alpha = cho_solve(self._factor, t)

    def _kernels(self, theta: FloatArray, A: FloatArray, B: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The additive and the joint part of the kernel between one-hot A (m, C) and B (n, C), each (m, n)."""
        D = len(self._start)
        a, b = np.exp(theta[:2])
        r, w = np.exp(theta[3 : 3 + D]), np.exp(theta[3 + D :])
        additive = a * (A * self._per_option(r / r.sum())) @ B.T
        joint = b * np.exp((A * self._per_option(w)) @ B.T - w.sum())
        return additive, joint

    def _objective(self, theta: FloatArray, t: FloatArray) -> tuple[float, FloatArray]:
        """Negative log posterior and its gradient in theta = log (a, b, noise, r, w)."""
        D, n, H = len(self._start), len(t), self._hot
        noise = np.exp(theta[2])
        additive, joint = self._kernels(theta, H, H)
        factor = cho_factor(additive + joint + noise * np.eye(n), lower=True)
        alpha = cho_solve(factor, t)
        z = (theta - self._prior_mean) / self._prior_std
        value = 0.5 * t @ alpha + np.log(np.diag(factor[0])).sum() + 0.5 * z @ z
        G = 0.5 * (cho_solve(factor, np.eye(n)) - np.outer(alpha, alpha))  # dvalue/dK, (n, n)
        a = np.exp(theta[0])
        r, w = np.exp(theta[3 : 3 + D]), np.exp(theta[3 + D :])
        share = r / r.sum()
        agree_additive = self._agreement(G)  # (D,) sum of G over the pairs that agree in digit d
        GJ = G * joint
        total_joint = GJ.sum()
        gradient = np.concatenate(
            [
                [(G * additive).sum(), total_joint, noise * np.trace(G)],
                a * share * (agree_additive - share @ agree_additive),
                w * (self._agreement(GJ) - total_joint),
            ]
        )
        return float(value), gradient + z / self._prior_std

    def _agreement(self, M: FloatArray) -> FloatArray:
        """Σ_ij M_ij [x_id = x_jd] for every digit d, shape (D,)."""
        return np.add.reduceat(((M @ self._hot) * self._hot).sum(axis=0), self._start)

    def _per_option(self, per_digit: FloatArray) -> FloatArray:
        return np.repeat(per_digit, self.digits.cardinalities)

    def _predict(self, X: IntArray) -> FloatArray:
        additive, joint = self._kernels(self._theta, self.digits.one_hot(X), self._hot)
        return (additive + joint) @ self._alpha

    def _predict_std(self, X: IntArray) -> FloatArray:
        additive, joint = self._kernels(self._theta, self.digits.one_hot(X), self._hot)
        cross = additive + joint  # (m, n)
        explained = (cross * cho_solve(self._factor, cross.T).T).sum(axis=1)
        return np.sqrt(np.maximum(np.exp(self._theta[0]) + np.exp(self._theta[1]) - explained, 0.0))
