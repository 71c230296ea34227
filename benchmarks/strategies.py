"""Ways to choose the networks to evaluate, behind one small interface: ours and the peers that are libraries.

A strategy is a function of a `Ledger` and a seed, with settings of its own as keywords. It asks the ledger for
accuracies until the budget is spent; the ledger counts every network once, however often and in whatever spelling it
is asked for, so all strategies are held to the same number of distinct evaluations.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress

import click
import numpy as np
import optuna
from landscapes import FloatArray, Landscape
from pymoo.algorithms.moo.age2 import AGEMOEA2
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.core.problem import Problem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling

from search.evolution.initialisation import IntArray, draw_unseen, key
from search.loop import Search

Setting = int | float | str
_FRUITLESS = 20_000  # networks asked for again in a row: a strategy that found nothing new for so long has stopped


class Spent(Exception):
    """The budget is used up, or the strategy only asks for what it knows."""


class Ledger:
    """Accuracies for money, costs for nothing: keeps the distinct networks paid for, in order."""

    def __init__(self, landscape: Landscape, budget: int) -> None:
        self.space = landscape.space
        self._landscape, self._budget = landscape, budget
        self._known: dict[bytes, float] = {}
        self._rows: list[IntArray] = []
        self._fruitless = 0

    @property
    def rows(self) -> IntArray:
        """The networks evaluated so far, canonical, (n, D)."""
        return np.array(self._rows, dtype=np.int64).reshape(len(self._rows), len(self.space.cardinalities))

    @property
    def left(self) -> int:
        """How many evaluations are left."""
        return self._budget - len(self._rows)

    def cost(self, X: IntArray) -> FloatArray:
        """Costs (n,) of the networks X, any spelling."""
        return self._landscape.cost(self.space.canonical(X))

    def accuracy(self, X: IntArray) -> FloatArray:
        """Observed accuracies (n,) of the networks X, any spelling.

        Raises:
            Spent: a network is new and nothing is left; those before it are kept.
        """
        X = self.space.canonical(X)
        for x in X:
            if key(x) in self._known:
                self._fruitless += 1
                if self._fruitless > _FRUITLESS:
                    raise Spent
                continue
            if not self.left:
                raise Spent
            self._fruitless = 0
            self._known[key(x)] = float(self._landscape.observed(x[None])[0])
            self._rows.append(x)
        return np.array([self._known[key(x)] for x in X])


Strategy = Callable[..., None]


def run(strategy: Strategy, landscape: Landscape, budget: int, seed: int, **settings: Setting) -> IntArray:
    """The distinct networks that a strategy evaluates, in order, (n, D); fewer than the budget where it gives up."""
    ledger = Ledger(landscape, budget)
    with suppress(Spent):
        strategy(ledger, seed, **settings)
    return ledger.rows


def check(name: str, strategy: Strategy, settings: dict[str, Setting]) -> None:
    """Whether a strategy takes these settings.

    Raises:
        click.UsageError: it does not.
    """
    known = set(inspect.signature(strategy).parameters) - {"ledger", "seed"}
    if "settings" in known:  # handed on to Search
        known |= set(inspect.signature(Search).parameters) - {"space", "latency", "seed", "reference"}
    if unknown := sorted(set(settings) - (known - {"settings"})):
        raise click.UsageError(f"{name} has no setting {unknown[0]!r}: choose among {', '.join(sorted(known))}")


# --- ours and chance -------------------------------------------------------------------------------------------------


def ours(ledger: Ledger, seed: int, **settings: Setting) -> None:
    """The search of this project, with its defaults or these arguments of `Search`."""
    search = Search(ledger.space, ledger.cost, seed=seed, **settings)  # type: ignore[arg-type]
    while ledger.left and len(X := search.ask(ledger.left)):
        search.tell(X, ledger.accuracy(X))


def chance(ledger: Ledger, seed: int) -> None:
    """Distinct networks drawn uniformly."""
    ledger.accuracy(draw_unseen(ledger.space, ledger.left, set(), np.random.default_rng(seed)))


# --- pymoo -----------------------------------------------------------------------------------------------------------

_ALGORITHMS = {"nsga2": NSGA2, "sms-emoa": SMSEMOA, "age-moea2": AGEMOEA2}


def pymoo(algorithm: str) -> Strategy:
    """An evolutionary algorithm of pymoo on the objectives themselves, with pymoo's operators for integers."""

    def search(ledger: Ledger, seed: int, population: int = 20) -> None:
        problem = Objectives(ledger.space.cardinalities, lambda X: [-ledger.accuracy(X), ledger.cost(X)])
        method = _ALGORITHMS[algorithm](
            pop_size=population,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=0.9, eta=3, vtype=float, repair=RoundingRepair()),
            mutation=PM(eta=3, vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
            seed=seed,
        )
        evolve(method, problem, 10**6)

    return search


class Objectives(Problem):
    """Digits with objectives that pymoo minimises."""

    def __init__(self, cardinalities: list[int], objectives: Callable[[IntArray], list[FloatArray]]) -> None:
        upper = np.array(cardinalities) - 1
        super().__init__(n_var=len(upper), n_obj=2, xl=np.zeros_like(upper), xu=upper, vtype=int)
        self._objectives = objectives

    def _evaluate(self, X: IntArray, out: dict, *args: object, **kwargs: object) -> None:
        out["F"] = np.stack(self._objectives(X.astype(np.int64)), axis=1)


def evolve(method: NSGA2, problem: Objectives, generations: int) -> IntArray:
    """The last population of an algorithm of pymoo, (n, D)."""
    method.setup(problem, termination=("n_gen", generations))
    while method.has_next():
        method.next()
    return method.pop.get("X").astype(np.int64)


# --- optuna ----------------------------------------------------------------------------------------------------------


def optuna_nsga2(ledger: Ledger, seed: int, population: int = 20) -> None:
    """optuna's NSGA-II: uniform crossover, and a digit is drawn anew with probability 1/D."""
    _study(ledger, optuna.samplers.NSGAIISampler(population_size=population, seed=seed))


def optuna_tpe(ledger: Ledger, seed: int, digits: str = "numbers") -> None:
    """optuna's multi-objective tree-structured Parzen estimator, multivariate; digits are `numbers` or `names`."""
    _study(ledger, optuna.samplers.TPESampler(multivariate=True, seed=seed), digits)


def _study(ledger: Ledger, sampler: optuna.samplers.BaseSampler, digits: str = "numbers") -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for _ in range(_FRUITLESS):
        trial = study.ask()
        x = [_digit(trial, f"{k}", options, digits) for k, options in enumerate(ledger.space.cardinalities)]
        X = np.array([x], dtype=np.int64)
        study.tell(trial, [float(ledger.accuracy(X)[0]), float(ledger.cost(X)[0])])


def _digit(trial: optuna.Trial, name: str, options: int, kind: str) -> int:
    if kind == "names":
        return int(trial.suggest_categorical(name, list(range(options))))
    return trial.suggest_int(name, 0, options - 1)
