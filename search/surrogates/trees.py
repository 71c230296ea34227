"""The baselines of Table V made of regression trees."""

from __future__ import annotations

import numpy as np
from lightgbm import LGBMRegressor
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.tree import DecisionTreeRegressor

from search.surrogates.base import FloatArray, IntArray, Surrogate

_SKLEARN_SEEDS = 2**31 - 1


class Tree(Surrogate):
    """One decision tree (CART) on the integer digits."""

    def _fit(self, X: IntArray, t: FloatArray) -> None:
        self._model = DecisionTreeRegressor(min_samples_leaf=2, random_state=self.seed % _SKLEARN_SEEDS).fit(X, t)

    def _predict(self, X: IntArray) -> FloatArray:
        return self._model.predict(X)


class Boosting(Surrogate):
    """Gradient boosting of shallow trees, on one-hot digits so that no order of the options is assumed."""

    def _fit(self, X: IntArray, t: FloatArray) -> None:
        model = GradientBoostingRegressor(
            n_estimators=300,
            learning_rate=0.1,
            max_depth=3,
            subsample=0.7,
            max_features="sqrt",
            random_state=self.seed % _SKLEARN_SEEDS,
        )
        self._model = model.fit(self.digits.one_hot(X), t)

    def _predict(self, X: IntArray) -> FloatArray:
        return self._model.predict(self.digits.one_hot(X))


class LightGbm(Surrogate):
    """LightGBM with leaves small enough for some hundred samples."""

    def _fit(self, X: IntArray, t: FloatArray) -> None:
        model = LGBMRegressor(
            n_estimators=300,
            learning_rate=0.05,
            num_leaves=15,
            min_child_samples=max(2, min(10, len(t) // 20)),
            subsample=0.8,
            subsample_freq=1,
            colsample_bytree=0.5,
            random_state=self.seed % _SKLEARN_SEEDS,
            deterministic=True,
            force_row_wise=True,
            n_jobs=1,
            verbosity=-1,
        )
        self._model = model.fit(self.digits.one_hot(X), t)

    def _predict(self, X: IntArray) -> FloatArray:
        return np.asarray(self._model.booster_.predict(self.digits.one_hot(X), num_threads=1))


class E2epp(Surrogate):
    """E2EPP (Sun et al., IEEE TEVC 2019): an ensemble of trees, each on a random subset of the samples and digits.

    The trees are averaged as in the offline predictor; the per-query selection of the original, which ranks trees
    against the best individual, is left out because one surrogate serves a whole inner search here.
    """

    _TREES = 200

    def _fit(self, X: IntArray, t: FloatArray) -> None:
        rng = np.random.default_rng(self.seed)
        self._members: list[tuple[IntArray, DecisionTreeRegressor]] = []
        for _ in range(self._TREES):
            rows = rng.integers(0, len(t), size=len(t))
            columns = np.sort(rng.permutation(X.shape[1])[: int(rng.integers((X.shape[1] + 1) // 2, X.shape[1] + 1))])
            tree = DecisionTreeRegressor(random_state=int(rng.integers(_SKLEARN_SEEDS)))
            self._members.append((columns, tree.fit(X[rows][:, columns], t[rows])))

    def _predict(self, X: IntArray) -> FloatArray:
        return np.mean([tree.predict(X[:, columns]) for columns, tree in self._members], axis=0)
