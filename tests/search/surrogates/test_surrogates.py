"""Every surrogate, on any digits: it learns an order, repeats itself, and survives poor samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from mosegnet.common.errors import UserError
from mosegnet.digits import DigitSpace
from search import surrogates
from search.surrogates.ranknet import ranking_loss

CARDINALITIES = [3, 4, 2, 5, 3, 3, 1, 4]
EXPECTED = (
    *("auto", "ranknet", "ranknet-ensemble", "ranknet-paper", "rbf", "kriging", "svr", "tree"),
    *("boosting", "lightgbm", "e2epp", "ridge", "gp"),
)

REPEATED = [name for name in EXPECTED if name != "ranknet-paper"]  # the same code as RankNet, and seconds a fit


def landscape(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    effects = [np.sort(rng.normal(size=c)) for c in CARDINALITIES]
    X = DigitSpace(CARDINALITIES).sample(n, np.random.default_rng(seed))
    y = sum(effect[X[:, k]] for k, effect in enumerate(effects)) + 0.3 * (X[:, 0] == X[:, 4])
    return X, 0.7 + 0.02 * y


def test_the_names_are_those_that_scripts_use() -> None:
    assert set(surrogates.NAMES) == set(EXPECTED)
    with pytest.raises(UserError, match="unknown surrogate 'oracle': choose one of auto, ranknet"):
        surrogates.create("oracle", CARDINALITIES, 0)


@pytest.mark.parametrize("name", EXPECTED)
def test_it_ranks_networks_that_it_never_saw(name: str) -> None:
    X, y = landscape(80, seed=1)
    unseen, truth = landscape(100, seed=2)
    predicted = surrogates.create(name, CARDINALITIES, seed=0).fit(X, y).predict(unseen)
    assert predicted.shape == (100,)
    assert kendalltau(predicted, truth).statistic > (0.35 if name == "tree" else 0.55)


@pytest.mark.parametrize("name", REPEATED)
def test_the_same_seed_gives_the_same_predictions(name: str) -> None:
    X, y = landscape(30, seed=1)
    unseen, _ = landscape(20, seed=2)
    a, b = (surrogates.create(name, CARDINALITIES, seed=3).fit(X, y).predict(unseen) for _ in range(2))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", REPEATED)
def test_poor_samples_are_survived(name: str) -> None:
    """Two networks, equal accuracies, the same network several times."""
    X, y = landscape(6, seed=1)
    for samples, scores in ((X[:2], y[:2]), (X, np.full(6, 0.5)), (np.repeat(X[:2], 3, axis=0), y)):
        predicted = surrogates.create(name, CARDINALITIES, seed=0).fit(samples, scores).predict(X)
        assert np.isfinite(predicted).all()


def test_the_ranking_loss_has_the_gradient_that_equation_5_lacks() -> None:
    scores = torch.tensor([[0.0, 0.0, 1.0]], requires_grad=True)
    y = torch.tensor([2.0, 1.0, 3.0])
    loss = ranking_loss(scores, torch.sign(y[:, None] - y[None, :]), margin=0.1)
    loss.sum().backward()
    assert loss.item() == pytest.approx(2 * 0.1 / 6)  # only the pair (0, 1) is within the margin
    assert scores.grad is not None
    assert scores.grad[0, 0] < 0 < scores.grad[0, 1]
    assert scores.grad[0, 2] == 0


def test_an_ensemble_is_unsure_away_from_its_samples() -> None:
    X, y = landscape(60, seed=1)
    unseen, _ = landscape(200, seed=2)
    own = surrogates.create("ranknet-ensemble", CARDINALITIES, seed=0).fit(X, y)
    assert own.predict_std(unseen).mean() > own.predict_std(X).mean() > 0  # type: ignore[attr-defined]
