"""The surrogate that suits the archive best, found by cross-validation every time the archive has grown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
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

    Five folds of at most two hundred networks; a lead counts where it is worth having and twice its standard error
    over the folds. What is chosen, and why, depends on the samples and the seed alone.
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
        predictions = self._out_of_fold(X, t)
        for name in list(CANDIDATES)[1:]:
            predictions[f"{FIRST} {name}"] = (predictions[FIRST] + predictions[name]) / 2
        taus = {name: _fold_taus(predicted, t) for name, predicted in predictions.items()}
        best = max(taus, key=lambda name: taus[name].mean())
        lead = taus[best] - taus[FIRST]
        error = lead.std(ddof=1) / np.sqrt(_FOLDS)
        name = best if lead.mean() > max(_WORTH, _SURE * error) else FIRST
        means = ", ".join(f"{' + '.join(other.split())} {tau.mean():.3f}" for other, tau in taus.items())
        return _Choice(
            tuple(name.split()),
            float(taus[name].mean()),
            float(np.sqrt(np.mean((predictions[name] - t) ** 2))),
            f"tau over {_FOLDS} folds of {len(t)} networks: {means}",
        )

    def _out_of_fold(self, X: IntArray, t: FloatArray) -> dict[str, FloatArray]:
        """What each candidate says of every network when it has not seen its fold."""
        fold = np.arange(len(t)) % _FOLDS
        predictions = {name: np.empty(len(t)) for name in CANDIDATES}
        for held in range(_FOLDS):
            known, unseen = fold != held, fold == held
            for name, maker in CANDIDATES.items():
                own = maker(self.digits.cardinalities, self.seed).fit(X[known], t[known])
                predictions[name][unseen] = own.predict(X[unseen])
        return predictions

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


def _fold_taus(predicted: FloatArray, t: FloatArray) -> FloatArray:
    """Kendall's tau within every fold, 0 where one ties all, shape (folds,)."""
    fold = np.arange(len(t)) % _FOLDS
    taus = [kendalltau(predicted[fold == held], t[fold == held]).statistic for held in range(_FOLDS)]
    return np.nan_to_num(np.array(taus))
