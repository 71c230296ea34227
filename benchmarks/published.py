"""Two published searches with surrogates, written anew from what their authors say of them.

MSuNAS (NSGANetV2: Lu et al., ECCV 2020, arXiv:2007.10396; settings as in the authors' program): 100 networks with
both bounds of the space; then rounds of 8. A surrogate that 10-fold cross-validation picks among several (greatest
mean Kendall tau less its deviation) guides NSGA-II (40 × 20 generations, two-point crossover 0.9, polynomial mutation
of index 1, started from the archive's front); of its last population those 8 are evaluated whose costs, among the
costs of the archive's front, leave the most even gaps (least deviation of the gaps).
Differences: their surrogates (RBF, Gaussian process, CART, and an MLP that the program leaves out) are this project's
of the same kind: cubic RBF, Kriging, one regression tree; the subset is found by exchanges until none helps instead of
a genetic algorithm of 100 × 60, which only approaches that optimum; where fewer than 8 of the population are new, the
round is filled at random instead of being short.

LINAS (DyNAS-T: Cummings et al., arXiv:2202.12954; settings as in the authors' program): rounds of 50. Each round
evaluates a whole population, fits for either objective the better of a ridge regression and a support vector
machine on one-hot digits (both tuned by 5-fold cross-validation, judged by the percentage error), and takes as the
next population the last of an NSGA-II (50, 20,000 predictions, SBX 0.9 of index 15, polynomial mutation 0.02 of index
20) that starts at random.
Differences: the cost is looked up instead of predicted, which can only help; a tenth of the values of either grid is
tried. Networks of the next population that are known already are not evaluated again and so cost nothing.
"""

from __future__ import annotations

import warnings

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.operators.crossover.pntx import TwoPointCrossover
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from scipy.stats import kendalltau
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVR
from strategies import Ledger, Objectives, evolve

from mosegnet.digits import DigitSpace, FloatArray, IntArray
from search import surrogates
from search.evolution.initialisation import draw_unseen, initial_sample, key
from search.evolution.pareto import non_dominated
from search.surrogates.threads import one_thread

_POOL = ("rbf", "kriging", "tree")
_FRUITLESS_ROUNDS = 20


# --- MSuNAS ----------------------------------------------------------------------------------------------------------


def msunas(ledger: Ledger, seed: int, initial: int = 100, infill: int = 8, surrogate: str = "switching") -> None:
    """NSGANetV2's search; `surrogate` is `switching` or the name of one."""
    rng = np.random.default_rng(seed)
    X = initial_sample(ledger.space, min(initial, ledger.left), rng)
    y = ledger.accuracy(X)
    while ledger.left:
        model = _fitted(surrogate, ledger.space.cardinalities, X, y, rng)
        front = non_dominated(y, ledger.cost(X))
        found = _lower_level(ledger, model, X[front], int(rng.integers(2**31)))
        known = {key(x) for x in X}
        new = np.array([x for x in found if key(x) not in known], dtype=np.int64).reshape(-1, X.shape[1])
        chosen = new[even_gaps(ledger.cost(new), ledger.cost(X[front]), infill)]
        chosen = np.concatenate(
            [chosen, draw_unseen(ledger.space, infill - len(chosen), {*known, *(key(x) for x in chosen)}, rng)]
        )
        y = np.concatenate([y, ledger.accuracy(chosen)])
        X = np.concatenate([X, chosen])


def _fitted(
    name: str, cardinalities: list[int], X: IntArray, y: FloatArray, rng: np.random.Generator
) -> surrogates.Surrogate:
    """The surrogate of that name or, for `switching`, the one that cross-validation picks, fitted to everything."""
    if name == "switching":
        folds = np.array_split(rng.permutation(len(X)), 10)
        taus = np.array([[_tau(one, cardinalities, X, y, fold) for one in _POOL] for fold in folds])
        name = _POOL[int(np.argmax(taus.mean(axis=0) - taus.std(axis=0)))]
    return surrogates.create(name, cardinalities, int(rng.integers(2**31))).fit(X, y)


def _tau(name: str, cardinalities: list[int], X: IntArray, y: FloatArray, fold: IntArray) -> float:
    rest = np.setdiff1d(np.arange(len(X)), fold)
    model = surrogates.create(name, cardinalities, 0).fit(X[rest], y[rest])
    return float(np.nan_to_num(kendalltau(model.predict(X[fold]), y[fold]).statistic, nan=-1.0))


def _lower_level(ledger: Ledger, model: surrogates.Surrogate, start: IntArray, seed: int) -> IntArray:
    """The distinct canonical networks of the last population, (n, D)."""
    problem = _predicted(ledger, model)
    method = NSGA2(
        pop_size=40,
        sampling=start,
        crossover=TwoPointCrossover(prob=0.9),
        mutation=PM(eta=1.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
        seed=seed,
    )
    with one_thread():
        return np.unique(ledger.space.canonical(evolve(method, problem, 20)), axis=0)


def even_gaps(costs: FloatArray, among: FloatArray, k: int) -> IntArray:
    """Places of the k of `costs` that, put among others, leave gaps of the least deviation; found by exchanges."""
    k = min(k, len(costs))
    chosen = list(range(len(costs)))[:: max(1, len(costs) // max(k, 1))][:k]
    unevenness = _unevenness(costs[chosen], among)
    improved = True
    while improved:
        improved = False
        for place in range(k):
            for other in range(len(costs)):
                trial = [*chosen[:place], other, *chosen[place + 1 :]]
                if other not in chosen and (value := _unevenness(costs[trial], among)) < unevenness - 1e-12:
                    chosen, unevenness, improved = trial, value, True
    return np.array(sorted(chosen), dtype=np.int64)


def _unevenness(costs: FloatArray, among: FloatArray) -> float:
    return float(np.diff(np.sort(np.concatenate([among, costs]))).std()) if len(costs) + len(among) > 1 else 0.0


# --- LINAS -----------------------------------------------------------------------------------------------------------


def linas(ledger: Ledger, seed: int, population: int = 50, predictions: int = 20_000) -> None:
    """DyNAS-T's search in rounds of `population` networks."""
    rng = np.random.default_rng(seed)
    space = ledger.space
    latest = space.sample(population, rng)
    known: dict[bytes, float] = {}
    fruitless = 0
    while fruitless < _FRUITLESS_ROUNDS:
        before = ledger.left
        known |= {key(x): y for x, y in zip(space.canonical(latest), ledger.accuracy(latest), strict=True)}
        fruitless = 0 if ledger.left < before else fruitless + 1
        X = np.stack([np.frombuffer(name, dtype=np.int64) for name in known])
        model = _Predictor(space.cardinalities, X, np.array(list(known.values())))
        problem = _predicted(ledger, model)
        method = NSGA2(
            pop_size=population,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=0.9, eta=15.0, vtype=float, repair=RoundingRepair()),
            mutation=PM(prob=0.02, eta=20.0, vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
            seed=int(rng.integers(2**31)),
        )
        with one_thread():
            latest = evolve(method, problem, predictions // population)


def _predicted(ledger: Ledger, model: surrogates.Surrogate | _Predictor) -> Objectives:
    """What either search minimises in between: minus the predicted accuracy, and the cost."""
    space = ledger.space
    return Objectives(space.cardinalities, lambda X: [-model.predict(space.canonical(X)), ledger.cost(X)])


class _Predictor:
    """The better of a ridge regression and a support vector machine on one-hot digits."""

    def __init__(self, cardinalities: list[int], X: IntArray, y: FloatArray) -> None:
        self._digits = DigitSpace(cardinalities)
        self._unit = 10.0 ** (np.floor(np.log10(max(np.abs(y).max(), 1e-12))) - 1.0)  # labels become tens
        hot = self._digits.one_hot(X)
        with warnings.catch_warnings(), one_thread():
            warnings.simplefilter("ignore", ConvergenceWarning)
            tried = [
                GridSearchCV(model, grid, scoring="neg_mean_absolute_percentage_error").fit(hot, y / self._unit)
                for model, grid in (
                    (Ridge(), {"alpha": np.arange(0.1, 10.1, 1.0)}),
                    (SVR(kernel="rbf", gamma="auto", epsilon=0.0, max_iter=10**6), {"C": np.arange(1.0, 101.0, 10.0)}),
                )
            ]
        self._model = max(tried, key=lambda one: one.best_score_).best_estimator_

    def predict(self, X: IntArray) -> FloatArray:
        """Predicted accuracies (n,) of networks X (n, D)."""
        return self._model.predict(self._digits.one_hot(X)) * self._unit
