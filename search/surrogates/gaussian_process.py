"""Gaussian processes: Kriging as in Table V, and one made for digits."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from search.surrogates.base import FloatArray, IntArray, UncertainSurrogate
from search.surrogates.digit_kernel import SCALARS, DigitKernel, Parts
from search.surrogates.warp import BENDS, Unbend, bend_targets

_JITTER = 1e-6
_LEVEL = 0.1  # variance of the constant that all networks share; the bent targets have mean 0
_NOT_POSITIVE = 1e10  # the objective where rounding leaves no covariance: the line search steps back
_STEPS = 30  # twice as many change tau by less than 0.001
_FITTED_SAMPLES = 400  # parameters are found on so many samples; all samples then predict


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


class DigitProcess(UncertainSurrogate):
    """A process over digits (`DigitKernel`) that learns bent accuracies (`bend_targets`).

    The bend, the noise, and how much and in which way each digit matters are found together by maximising the
    posterior, the bend's Jacobian included, so that no scale of the accuracies is preferred for being small. The
    priors keep few samples from being explained by many relevances.
    """

    def _fit(self, X: IntArray, t: FloatArray) -> None:
        self._kernel = DigitKernel(self.digits.cardinalities)
        self._priors()
        rows = np.arange(len(t))
        if len(t) > _FITTED_SAMPLES:
            rows = np.sort(np.random.default_rng(self.seed).permutation(len(t))[:_FITTED_SAMPLES])
        theta = self._find(self.digits.one_hot(X[rows]), t[rows])
        self._condition(theta, self.digits.one_hot(X), t)

    def _priors(self) -> None:
        """Normal, on theta = bends, log noise, then the kernel's."""
        D = self._kernel.digits
        kernel_mean = [np.log([0.5, 0.5]), [0.0, 0.0], np.zeros(D), np.full(D, np.log(2.0 / D))]
        self._prior_mean = np.concatenate([[0.0, np.log(0.1), np.log(0.03)], *kernel_mean])
        self._prior_std = np.concatenate([[1.0, 2.0, 1.5], np.full(SCALARS, 1.5), np.ones(2 * D)])

    def _find(self, H: FloatArray, t: FloatArray) -> FloatArray:
        """The most probable parameters."""
        reach = 4 * self._prior_std
        return minimize(
            self._objective,
            self._prior_mean,
            args=(H, t),
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(self._prior_mean - reach, self._prior_mean + reach, strict=True)),
            options={"maxiter": _STEPS},
        ).x

    def _objective(self, theta: FloatArray, H: FloatArray, t: FloatArray) -> tuple[float, FloatArray]:
        """Negative log posterior and its gradient in theta."""
        noise, inner = np.exp(theta[BENDS]), theta[BENDS + 1 :]
        additive, joint = _covariances(self._kernel.parts(inner), H, H)
        try:
            factor = cho_factor(_with_noise(additive + joint, noise), lower=True)
        except LinAlgError:
            return _NOT_POSITIVE, np.zeros(len(theta))
        bent = bend_targets(t, theta[:BENDS])
        alpha = cho_solve(factor, bent.values)
        z = (theta - self._prior_mean) / self._prior_std
        value = 0.5 * bent.values @ alpha + np.log(np.diag(factor[0])).sum() - bent.log_jacobian + 0.5 * z @ z
        inverse = np.tril(dpotri(factor[0], lower=1)[0])  # LAPACK fills the lower triangle only
        inverse += np.tril(inverse, -1).T
        G = 0.5 * (inverse - np.outer(alpha, alpha))  # dvalue/dK, (n, n)
        by_bends = bent.values_slopes @ alpha - bent.log_jacobian_slopes
        by_kernel = self._kernel.gradient(inner, H.T @ (G @ H), H.T @ ((G * joint) @ H))
        return float(value), np.concatenate([by_bends, [noise * np.trace(G)], by_kernel]) + z / self._prior_std

    def _condition(self, theta: FloatArray, H: FloatArray, t: FloatArray) -> None:
        """Take the samples in, and lay down per option what a prediction adds up."""
        self._parts = self._kernel.parts(theta[BENDS + 1 :])
        self._hot = H
        self._offsets = np.concatenate([[0], np.cumsum(self.digits.cardinalities)[:-1]])
        K = np.add(*_covariances(self._parts, H, H))
        noise = np.exp(theta[BENDS])
        while True:
            try:
                self._factor = cho_factor(_with_noise(K, noise), lower=True)
                break
            except LinAlgError:
                noise *= 10
        alpha = cho_solve(self._factor, bend_targets(t, theta[:BENDS]).values)
        self._unbend = Unbend(t, theta[:BENDS])
        self._constant = _LEVEL * alpha.sum()
        self._effects = self._parts.additive @ (H.T @ alpha)  # (C,)
        self._nearness = np.ascontiguousarray((-self._parts.distance @ H.T).astype(np.float32))  # (C, n)
        self._weights = (self._parts.joint_variance * alpha).astype(np.float32)

    def _predict(self, X: IntArray) -> FloatArray:
        return self._unbend(self._bent(X))

    def _bent(self, X: IntArray) -> FloatArray:
        """Expected bent values (m,); an inner search asks this a thousand times, so in single precision."""
        options = X + self._offsets  # (m, D)
        H = np.zeros((len(X), len(self._effects)), dtype=np.float32)
        np.put_along_axis(H, options, 1.0, axis=1)
        joint = H @ self._nearness  # (m, n)
        np.exp(joint, out=joint)
        return self._constant + self._effects[options].sum(axis=1) + joint @ self._weights

    def _predict_std(self, X: IntArray) -> FloatArray:
        H = self.digits.one_hot(X)
        additive, joint = _covariances(self._parts, H, self._hot)
        cross = additive + joint + _LEVEL  # (m, n)
        own = _LEVEL + self._parts.joint_variance + H @ np.diag(self._parts.additive)
        explained = (cross * cho_solve(self._factor, cross.T).T).sum(axis=1)
        return np.sqrt(np.maximum(own - explained, 0.0)) * self._unbend.slope(self._bent(X))


def _covariances(parts: Parts, A: FloatArray, B: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The additive and the joint part of the kernel between one-hot A (m, C) and B (n, C), each (m, n)."""
    joint = (A @ -parts.distance) @ B.T
    np.exp(joint, out=joint)
    joint *= parts.joint_variance
    return (A @ parts.additive) @ B.T, joint


def _with_noise(K: FloatArray, noise: float) -> FloatArray:
    K = K + _LEVEL
    K[np.diag_indices(len(K))] += noise + _JITTER
    return K
