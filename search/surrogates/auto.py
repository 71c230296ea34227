"""The surrogate that suits the archive best, found by cross-validation every time the archive has grown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from search.surrogates.base import FloatArray, IntArray, Surrogate, UncertainSurrogate
from search.surrogates.gaussian_process import DigitProcess
from search.surrogates.kernels import SupportVectors
from search.surrogates.linear import OneHotRidge
from search.surrogates.trees import LightGbm

FIRST = "gp"
# Left out: RankNet, of which five folds cost seconds, and which over many splits led the process by 0.002 of tau at
# most; Boosting, which LightGBM stands for in a third of the time.
CANDIDATES: dict[str, type[Surrogate]] = {
    FIRST: DigitProcess,
    "ridge": OneHotRidge,
    "svr": SupportVectors,
    "lightgbm": LightGbm,
}
_FOLDS = 5
_ENOUGH = 2  # folds, where the first leads all others in each
_FEWEST = 30  # networks; with fewer, folds say nothing
_MOST = 200  # networks that are cross-validated, drawn evenly from more
_SURE = 2.0  # standard errors, over the folds, by which another has to lead the first
_WORTH = 0.005  # and the tau


@dataclass(frozen=True, slots=True)
class _Choice:
    members: tuple[str, ...]  # their mean is the prediction
    tau: float | None  # cross-validated; None where there were too few networks
    error: float  # root mean square of the cross-validated errors, in deviations of the targets
    reason: str


class Auto(UncertainSurrogate):
    """The process over digits, unless another surrogate, or its mean with the process, clearly ranks better.

    Up to five folds of at most two hundred networks; a lead counts where it is worth having and more than twice its
    standard error over the folds. What is chosen, and why, depends on the samples and the seed alone.
    """

    def __init__(self, cardinalities: Sequence[int], seed: int) -> None:
        super().__init__(cardinalities, seed)
        self._choice = _Choice((FIRST,), None, 1.0, "not fitted yet, or all networks alike")
        self._members: list[Surrogate] = []

    @property
    def chosen(self) -> tuple[str, ...]:
        """Names of the surrogates whose mean is the prediction."""
        return self._choice.members

    @property
    def cross_validated_tau(self) -> float | None:
        """Kendall's tau of what was chosen, mean over the folds; None with too few networks to tell."""
        return self._choice.tau

    @property
    def reason(self) -> str:
        """In one line, what was chosen and why."""
        return f"{' + '.join(self.chosen)}: {self._choice.reason}"

    def _fit(self, X: IntArray, t: FloatArray) -> None:
        self._choice = self._choose(X, t)
        self._members = [CANDIDATES[name](self.digits.cardinalities, self.seed).fit(X, t) for name in self.chosen]

    def _choose(self, X: IntArray, t: FloatArray) -> _Choice:
        if len(t) < _FEWEST:
            return _Choice((FIRST,), None, 1.0, f"{len(t)} networks are too few to compare on")
        order = np.random.default_rng(self.seed).permutation(len(t))[:_MOST]
        X, t = X[order], t[order]
        names = [*CANDIDATES, *(f"{FIRST} {name}" for name in list(CANDIDATES)[1:])]
        taus: dict[str, list[float]] = {name: [] for name in names}
        squares: dict[str, list[float]] = {name: [] for name in names}
        for fold in range(_FOLDS):
            for name, (tau, square) in self._held_out(X, t, np.arange(len(t)) % _FOLDS == fold).items():
                taus[name].append(tau)
                squares[name].append(square)
            if fold + 1 == _ENOUGH and _leads_everywhere(taus):
                break
        name = _best({name: np.array(found) for name, found in taus.items()})
        means = ", ".join(f"{' + '.join(other.split())} {np.mean(found):.3f}" for other, found in taus.items())
        return _Choice(
            tuple(name.split()),
            float(np.mean(taus[name])),
            float(np.sqrt(np.mean(squares[name]))),
            f"tau over {len(taus[name])} folds of {len(t)} networks: {means}",
        )

    def _held_out(self, X: IntArray, t: FloatArray, unseen: NDArray[np.bool_]) -> dict[str, tuple[float, float]]:
        """tau and mean squared error of each candidate, and of its mean with the first, on one fold."""
        predictions = {
            name: maker(self.digits.cardinalities, self.seed).fit(X[~unseen], t[~unseen]).predict(X[unseen])
            for name, maker in CANDIDATES.items()
        }
        for name in list(CANDIDATES)[1:]:
            predictions[f"{FIRST} {name}"] = (predictions[FIRST] + predictions[name]) / 2
        truth = t[unseen]
        return {
            name: (
                float(np.nan_to_num(kendalltau(predicted, truth).statistic)),
                float(np.mean((predicted - truth) ** 2)),
            )
            for name, predicted in predictions.items()
        }

    def _predict(self, X: IntArray) -> FloatArray:
        if len(self._members) == 1:
            return self._members[0].predict(X)
        return np.mean([member.predict(X) for member in self._members], axis=0)

    def _predict_std(self, X: IntArray) -> FloatArray:
        """The process's own where it has a say; else the cross-validated error, the same everywhere."""
        for member in self._members:
            if isinstance(member, UncertainSurrogate):
                return member.predict_std(X)
        return np.full(len(X), self._choice.error)


def _leads_everywhere(taus: dict[str, list[float]]) -> bool:
    """Whether the first is ahead of all others in every fold so far."""
    return all(np.greater(taus[FIRST], found).all() for name, found in taus.items() if name != FIRST)


def _best(taus: dict[str, FloatArray]) -> str:
    """The candidate whose tau over the folds leads beyond doubt; the first where none does."""
    best = max(taus, key=lambda name: taus[name].mean())
    lead = taus[best] - taus[FIRST]
    error = lead.std(ddof=1) / np.sqrt(len(lead))
    return best if lead.mean() > max(_WORTH, _SURE * error) else FIRST
