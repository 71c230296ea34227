"""The process over digits: its gradient, its bend, and that it finds which scale and which digits matter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import kendalltau

from mosegnet.digits import DigitSpace
from search import surrogates
from search.surrogates.gaussian_process import DigitProcess
from search.surrogates.warp import Unbend, bend_targets

CARDINALITIES = [3, 4, 1, 5, 2, 4]


def additive(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    effects = [rng.normal(size=c) for c in CARDINALITIES]
    X = np.unique(DigitSpace(CARDINALITIES).sample(n, np.random.default_rng(seed)), axis=0)
    return X, sum(effect[X[:, k]] for k, effect in enumerate(effects))  # type: ignore[return-value]


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_that_of_the_objective(seed: int) -> None:
    X, y = additive(30, seed=1)
    own = DigitProcess(CARDINALITIES, 0).fit(X, y)
    H, t = own.digits.one_hot(X), (y - y.mean()) / y.std()
    theta = own._prior_mean + 0.5 * np.random.default_rng(seed).normal(size=len(own._prior_mean))
    numeric = approx_fprime(theta, lambda at: own._objective(at, H, t)[0], 1e-7)
    np.testing.assert_allclose(own._objective(theta, H, t)[1], numeric, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shrinkage", [1e-4, 0.3, 20.0])
@pytest.mark.parametrize("exponent", [-2.0, -1e-7, 0.0, 1e-7, 0.7, 3.0])
def test_a_bend_is_undone(exponent: float, shrinkage: float) -> None:
    t, bends = np.random.default_rng(0).normal(size=50), np.array([exponent, np.log(shrinkage)])
    values = bend_targets(t, bends).values
    back = Unbend(t, bends)
    np.testing.assert_allclose(back(values), t, atol=1e-6)
    assert values.mean() == pytest.approx(0, abs=1e-9)
    assert values.std() == pytest.approx(1)
    wide = np.linspace(values.min() - 3, values.max() + 3, 200)
    assert (np.diff(back(wide)) > 0).all()
    inner = np.sort(values)[1:-1]
    numeric = (back(inner + 1e-6) - back(inner - 1e-6)) / 2e-6
    np.testing.assert_allclose(back.slope(inner), numeric, rtol=1e-3)


def test_small_bends_leave_the_targets_alone() -> None:
    t = np.random.default_rng(0).normal(size=50)
    np.testing.assert_allclose(bend_targets(t, np.array([0.0, -20.0])).values, (t - t.mean()) / t.std(), atol=1e-6)


def test_a_scale_that_saturates_is_learnt_as_well_as_a_straight_one() -> None:
    """Ridge, which knows of no bend, shows what the scale costs."""
    X, straight = additive(90, seed=1)
    unseen, truth = additive(300, seed=2)
    taus = {}
    for name in ("gp", "ridge"):
        for scale, y in (("straight", straight), ("bent", -np.exp(-1.5 * straight))):
            own = surrogates.create(name, CARDINALITIES, 0).fit(X, y)
            taus[name, scale] = kendalltau(own.predict(unseen), truth).statistic
    assert taus["gp", "bent"] > 0.9
    assert taus["gp", "straight"] - taus["gp", "bent"] < 0.05
    assert taus["ridge", "straight"] - taus["ridge", "bent"] > 0.1


def test_steps_of_a_scale_are_told_from_mere_names() -> None:
    """Where accuracy rises with the digit, the process says of an option that it never saw what its neighbours say."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 9, size=(80, 3))
    X = X[X[:, 0] != 4]
    own = DigitProcess([9, 9, 9], 0).fit(X, (X * [3.0, 2.0, 1.0]).sum(axis=1))
    low, middle, high = own.predict([[3, 5, 5], [4, 5, 5], [5, 5, 5]])
    assert low < middle < high


def test_it_is_unsure_away_from_its_samples_and_says_so_in_the_unit_of_the_accuracies() -> None:
    X, y = additive(40, seed=1)
    unseen, _ = additive(300, seed=2)
    own, thousandfold = (DigitProcess(CARDINALITIES, 0).fit(X, scale * y) for scale in (1.0, 1000.0))
    assert own.predict_std(unseen).mean() > own.predict_std(X).mean() > 0
    np.testing.assert_allclose(thousandfold.predict_std(unseen), 1000 * own.predict_std(unseen), rtol=1e-3)


def test_more_samples_than_its_parameters_are_found_on_all_count() -> None:
    rng = np.random.default_rng(0)
    X = np.unique(rng.integers(0, 4, size=(700, 6)), axis=0)
    y = X @ np.array([1.0, 2.1, 4.3, 8.7, 17.9, 36.1])
    own = DigitProcess([4] * 6, 0).fit(X, y)
    assert len(own._hot) == len(X) > 400
    assert kendalltau(own.predict(X), y).statistic > 0.99
