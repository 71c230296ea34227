"""`auto` chooses by cross-validation, keeps to the process in doubt, and says why."""

from __future__ import annotations

import numpy as np
import pytest

from search import surrogates
from search.surrogates import auto
from search.surrogates.auto import Auto
from search.surrogates.base import FloatArray, IntArray, Surrogate

CARDINALITIES = [4] * 6


def samples(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 4, size=(n, 6))
    return X, X @ np.array([1.0, 2.0, 0.5, 0.1, 3.0, 0.2]) + 0.1 * rng.normal(size=n)


class Oracle(Surrogate):
    """Knows a parity that no smooth model can learn."""

    def _fit(self, X: IntArray, t: FloatArray) -> None:
        pass

    def _predict(self, X: IntArray) -> FloatArray:
        return parity(X)


def parity(X: np.ndarray) -> np.ndarray:
    return (X.sum(axis=1) % 2) * 2.0 - 1 + 1e-3 * X[:, 0]


def test_few_networks_are_not_compared_on() -> None:
    X, y = samples(20)
    own = Auto(CARDINALITIES, 0).fit(X, y)
    assert own.chosen == ("gp",)
    assert own.cross_validated_tau is None
    assert own.reason == "gp: 20 networks are too few to compare on"


def test_the_reason_names_every_candidate_and_its_tau() -> None:
    X, y = samples(80)
    own = Auto(CARDINALITIES, 0).fit(X, y)
    assert own.chosen == ("gp",)
    for name in auto.CANDIDATES:
        assert f"{name} 0." in own.reason, own.reason
    assert own.cross_validated_tau is not None
    assert own.cross_validated_tau > 0.8
    alone = surrogates.create("gp", CARDINALITIES, 0).fit(X, y)
    np.testing.assert_allclose(own.predict(X), alone.predict(X), atol=1e-2 * y.std())


def test_one_that_ranks_clearly_better_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(auto.CANDIDATES, "svr", Oracle)
    X, _ = samples(80)
    own = Auto(CARDINALITIES, 0).fit(X, parity(X))
    assert own.chosen == ("svr",)
    assert own.reason.startswith("svr: tau over 5 folds of")
    assert own.predict_std(X).max() == pytest.approx(own.predict_std(X).min())
    assert own.predict_std(X).max() < 0.5


def test_a_mean_of_two_is_used_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = samples(40)
    members = [surrogates.create(name, CARDINALITIES, 0).fit(X, y).predict(X) for name in ("gp", "ridge")]
    monkeypatch.setattr(Auto, "_choose", lambda self, X, t: auto._Choice(("gp", "ridge"), 0.9, 0.1, "told so"))
    own = Auto(CARDINALITIES, 0).fit(X, y)
    assert own.reason == "gp + ridge: told so"
    np.testing.assert_allclose(own.predict(X), np.mean(members, axis=0), rtol=1e-6)
    assert (own.predict_std(X) > 0).all()
