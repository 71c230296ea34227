"""Share of the true front's hypervolume after so many evaluations, on a table of which every network is known.

    python benchmarks/search_nbmacro.py nas_bench_macro.csv --seeds 5

Columns whose name is one of --digits and a number are digits; --cost stands for the latency and is minimised. The
search is compared with random sampling and with pymoo's NSGA-II on the same number of distinct networks. The corner of
the hypervolume is --floor (by default the worst accuracy of the table) and the greatest cost.
"""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling

from mosegnet.digits import DigitSpace
from search import surrogates
from search.evolution.hypervolume import ReferencePoint, hypervolume
from search.evolution.initialisation import distinct, draw_unseen, key
from search.loop import Search


class Table:
    """Every network of a space with its accuracy and its cost."""

    def __init__(self, path: Path, digits: str, accuracy: str, cost: str, floor: float | None) -> None:
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        is_digit = re.compile(rf"(?:{'|'.join(map(re.escape, digits.split(',')))})\d+")
        names = [name for name in rows[0] if is_digit.fullmatch(name)]
        X = np.stack([np.unique([float(row[name]) for row in rows], return_inverse=True)[1] for name in names], axis=1)
        self.space = DigitSpace((X.max(axis=0) + 1).tolist())
        self._rows = {key(x): k for k, x in enumerate(X)}
        if len(self._rows) != self.space.count():
            raise click.UsageError(f"{path} holds {len(self._rows)} of {self.space.count()} networks: all are needed")
        self._accuracy, self._cost = (np.array([float(row[name]) for row in rows]) for name in (accuracy, cost))
        corner = float(self._accuracy.min()) if floor is None else floor
        self.reference = ReferencePoint(corner, float(self._cost.max()))
        self._all = hypervolume(self._accuracy, self._cost, self.reference)

    def accuracy(self, X: np.ndarray) -> np.ndarray:
        """Accuracies (n,) of encodings (n, D)."""
        return self._accuracy[[self._rows[key(x)] for x in X]]

    def cost(self, X: np.ndarray) -> np.ndarray:
        """Costs (n,) of encodings (n, D)."""
        return self._cost[[self._rows[key(x)] for x in X]]

    def share(self, X: np.ndarray) -> float:
        """Hypervolume of the networks X as a share of the true front's."""
        return hypervolume(self.accuracy(X), self.cost(X), self.reference) / self._all


def by_search(table: Table, budget: int, seed: int, initial: int, infill: int, surrogate: str) -> np.ndarray:
    """The networks that our search evaluates, in order, (budget, D)."""
    own = Search(table.space, table.cost, seed=seed, initial=initial, infill=infill, surrogate=surrogate)
    while len(own.miou) < budget and len(X := own.ask(budget - len(own.miou))):
        own.tell(X, table.accuracy(X))
    return own.encodings


def by_chance(table: Table, budget: int, seed: int) -> np.ndarray:
    """Distinct networks drawn uniformly, (budget, D)."""
    return draw_unseen(table.space, budget, set(), np.random.default_rng(seed))


def by_nsga2(table: Table, budget: int, seed: int) -> np.ndarray:
    """The distinct networks that pymoo's NSGA-II (population 20) evaluates on the table itself, (budget, D)."""
    visited: list[np.ndarray] = []

    class Whole(Problem):
        def _evaluate(self, X: np.ndarray, out: dict, *args: object, **kwargs: object) -> None:
            visited.extend(X)
            out["F"] = np.stack([-table.accuracy(X), table.cost(X)], axis=1)

    upper = np.array(table.space.cardinalities) - 1
    algorithm = NSGA2(
        pop_size=20,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=0.9, eta=3, vtype=float, repair=RoundingRepair()),
        mutation=PM(eta=3, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
        seed=seed,
    )
    problem = Whole(n_var=len(upper), n_obj=2, xl=np.zeros_like(upper), xu=upper, vtype=int)
    algorithm.setup(problem, termination=("n_gen", 10 * budget))
    while algorithm.has_next() and len(visited) < 3 * budget:
        algorithm.next()
    return distinct(np.array(visited, dtype=np.int64))[:budget]


@click.command()
@click.argument("table", type=click.Path(exists=True, path_type=Path))
@click.option("--digits", default="op", help="prefixes of the digits' columns, with commas")
@click.option("--accuracy", default="mean_acc")
@click.option("--cost", default="flops")
@click.option("--floor", type=float, help="accuracy of the corner: 88 looks at the best of NAS-Bench-Macro only")
@click.option("--evaluations", default="40,80,160,340")
@click.option("--initial", type=click.IntRange(1), default=20, help="random networks before the first surrogate")
@click.option("--infill", type=click.IntRange(1), default=8)
@click.option("--surrogate", "names", default=surrogates.DEFAULT, help="surrogates to try, with commas")
@click.option("--seeds", type=click.IntRange(1), default=5)
def main(
    table: Path,
    digits: str,
    accuracy: str,
    cost: str,
    floor: float | None,
    evaluations: str,
    initial: int,
    infill: int,
    names: str,
    seeds: int,
) -> None:
    """Print the mean share over the seeds, its deviation, and the seconds of one search."""
    points = [int(n) for n in evaluations.split(",")]
    whole = Table(table, digits, accuracy, cost, floor)
    methods: dict[str, Callable[[int], np.ndarray]] = {
        "random": lambda seed: by_chance(whole, points[-1], seed),
        "NSGA-II (pymoo)": lambda seed: by_nsga2(whole, points[-1], seed),
    }
    for name in names.split(","):
        methods[f"search, {name}"] = _searcher(whole, points[-1], initial, infill, name)
    click.echo(f"{table.name}, {seeds} seeds; networks evaluated: {', '.join(map(str, points))}")
    for title, method in methods.items():
        _print_shares(title, method, whole, points, seeds)


def _searcher(table: Table, budget: int, initial: int, infill: int, name: str) -> Callable[[int], np.ndarray]:
    return lambda seed: by_search(table, budget, seed, initial, infill, name)


def _print_shares(
    title: str, method: Callable[[int], np.ndarray], table: Table, points: Sequence[int], seeds: int
) -> None:
    started = time.perf_counter()
    shares = np.array([[table.share(X[:n]) for n in points] for X in map(method, range(seeds))])
    cells = "  ".join(f"{m:.4f} ± {s:.4f}" for m, s in zip(shares.mean(axis=0), shares.std(axis=0), strict=True))
    click.echo(f"  {title:<26} {cells}   {(time.perf_counter() - started) / seeds:6.1f} s")


if __name__ == "__main__":
    main()
