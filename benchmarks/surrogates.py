"""Kendall's tau of every surrogate on tables of measured networks, beside the tau of their FLOPs alone.

    python benchmarks/surrogates.py                                      # the tables of ../shared/data, if there
    python benchmarks/surrogates.py my.csv --digits op --accuracy acc --flops flops --seeds 20

Columns whose name is one of --digits and a number are digits; each is numbered by its sorted values. Networks are
split at random, --seeds times, and every surrogate sees the same splits; where the table tells the order of the visits
(a column `order`), those visited first also teach what comes later. Differences from the default are paired, with 95 %
intervals over the seeds; the time split is one split, so it has none. CPU seconds of one fit are told as multiples of
the default's, in the same run; predictions are timed apart, on 100 networks.
"""

from __future__ import annotations

import csv
import re
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from scipy.stats import kendalltau
from scipy.stats import t as student
from sklearn.neural_network import MLPRegressor

from search import surrogates
from search.surrogates.base import FloatArray, IntArray, Surrogate
from search.surrogates.threads import one_thread

UNSEEN = 300
SHARED = Path("../shared/data/surrogates")
SLOW = ("ranknet-paper",)  # seconds a fit; asked for by name


class Mlp(Surrogate):
    """The paper's baseline: a multi-layer perceptron on integers, trained on the squared error."""

    def _fit(self, X: IntArray, t: FloatArray) -> None:
        self._model = MLPRegressor(hidden_layer_sizes=(300, 300), max_iter=300, random_state=self.seed % 2**31)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not converged is an answer too
            self._model.fit(self._scaled(X), t)

    def _predict(self, X: IntArray) -> FloatArray:
        return self._model.predict(self._scaled(X))

    def _scaled(self, X: IntArray) -> FloatArray:
        return X / np.maximum(np.array(self.digits.cardinalities) - 1, 1)


@dataclass(frozen=True, slots=True)
class Table:
    """Networks with their measured accuracies."""

    name: str
    X: IntArray  # (n, D)
    y: FloatArray  # (n,)
    flops: FloatArray  # (n,)
    visited: bool  # whether the rows are in the order of a search

    @property
    def cardinalities(self) -> list[int]:
        """Options of every digit."""
        return [int(c) for c in self.X.max(axis=0) + 1]


Split = tuple[IntArray, IntArray]  # rows known, rows unseen


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--digits", default="op,d,ks,e", help="prefixes of the digits' columns, with commas")
@click.option("--accuracy", default="mean_acc,top1", help="names of the column, the first that is there")
@click.option("--flops", default="flops,macs", help="names of the column, the first that is there")
@click.option("--samples", default="100,300")
@click.option("--seeds", type=click.IntRange(2), default=5)
@click.option("--surrogate", "names", default=None, help="which, with commas; all that are quick, and mlp")
def main(
    paths: tuple[Path, ...], digits: str, accuracy: str, flops: str, samples: str, seeds: int, names: str | None
) -> None:
    """Print a table of tau for every table, number of samples and split."""
    files = paths or tuple(sorted(SHARED.glob("*_nsga*.csv")) + sorted(SHARED.glob("*_unsga*.csv")))
    if not paths:
        files += tuple(sorted(SHARED.glob("nas_bench_*.csv")))
    if not files:
        click.echo(f"skipped: no table named, and {SHARED} is not there")
        return
    chosen = names.split(",") if names else [*(n for n in surrogates.NAMES if n not in SLOW), "mlp"]
    chosen = [surrogates.DEFAULT, *(name for name in chosen if name != surrogates.DEFAULT)]
    for file in files:
        table = _read(file, digits.split(","), accuracy.split(","), flops.split(","))
        click.echo(f"\n{table.name}: {len(table.X)} networks, {table.X.shape[1]} digits")
        for n in (int(size) for size in samples.split(",")):
            _compare(table, f"{n} samples, {seeds} random splits", _random_splits(table, n, seeds), chosen)
            if table.visited:
                rows = np.arange(len(table.X))
                _compare(table, f"{n} samples, earlier → later", [(rows[:n], rows[n : n + UNSEEN])], chosen)


def _random_splits(table: Table, n: int, seeds: int) -> list[Split]:
    orders = [np.random.default_rng(seed).permutation(len(table.X)) for seed in range(seeds)]
    return [(order[:n], order[n : n + UNSEEN]) for order in orders]


def _compare(table: Table, title: str, splits: Sequence[Split], names: Sequence[str]) -> None:
    alone = [_tau(table.flops[unseen], table.y[unseen]) for _, unseen in splits]
    click.echo(f"\n  {title} · FLOPs alone {np.mean(alone):.3f}")
    click.echo("  surrogate            tau     difference (95 %)   fit, × default   100 predicted, ms CPU")
    first: tuple[FloatArray, float] | None = None
    for name in names:
        taus, fit_s, predict_ms = _run(table, splits, name)
        first = first or (taus, fit_s)
        click.echo(
            f"  {name:<17} {taus.mean():7.4f}   {_difference(taus - first[0]):>18}   {fit_s / first[1]:14.2f}"
            f"   {predict_ms:10.2f}"
        )


def _run(table: Table, splits: Sequence[Split], name: str) -> tuple[FloatArray, float, float]:
    """tau of every split, CPU seconds of a fit, CPU milliseconds to predict 100 networks."""
    taus, fit_s, predict_s = [], [], []
    make: Callable[[int], Surrogate] = (
        (lambda seed: Mlp(table.cardinalities, seed))
        if name == "mlp"
        else (lambda seed: surrogates.create(name, table.cardinalities, seed))
    )
    with one_thread():
        for seed, (known, unseen) in enumerate(splits):
            started = time.process_time()
            own = make(seed).fit(table.X[known], table.y[known])
            fit_s.append(time.process_time() - started)
            taus.append(_tau(own.predict(table.X[unseen]), table.y[unseen]))
            hundred = table.X[unseen][:100]
            started = time.process_time()
            for _ in range(10):
                own.predict(hundred)
            predict_s.append((time.process_time() - started) / 10)
    return np.array(taus), float(np.mean(fit_s)), 1e3 * float(np.mean(predict_s))


def _difference(paired: FloatArray) -> str:
    if len(paired) < 2:
        return f"{paired.mean():+.4f}"
    half = student.ppf(0.975, len(paired) - 1) * paired.std(ddof=1) / np.sqrt(len(paired))
    return f"{paired.mean():+.4f} ± {half:.4f}"


def _tau(predicted: FloatArray, y: FloatArray) -> float:
    return float(kendalltau(predicted, y).statistic)


def _read(path: Path, prefixes: list[str], accuracy: list[str], flops: list[str]) -> Table:
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    is_digit = re.compile(rf"(?:{'|'.join(map(re.escape, prefixes))})\d+")
    names = [name for name in rows[0] if is_digit.fullmatch(name)]
    if not names:
        raise click.UsageError(f"{path}: no column is one of {', '.join(prefixes)} and a number: name them by --digits")
    if "order" in rows[0]:
        rows.sort(key=lambda row: int(row["order"]))
    columns = [np.unique([float(row[name]) for row in rows], return_inverse=True)[1] for name in names]
    y, cost = (_column(path, rows, wanted) for wanted in (accuracy, flops))
    return Table(path.name, np.stack(columns, axis=1).astype(np.int64), y, cost, "order" in rows[0])


def _column(path: Path, rows: list[dict[str, str]], wanted: list[str]) -> FloatArray:
    for name in wanted:
        if name in rows[0]:
            return np.array([float(row[name]) for row in rows])
    raise click.UsageError(f"{path}: no column {' or '.join(wanted)}: name it by --accuracy or --flops")


if __name__ == "__main__":
    main()
