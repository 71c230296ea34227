"""Kendall's tau of every surrogate on a table of measured networks, beside the tau of its FLOPs alone.

    python benchmarks/surrogates.py nas_bench_macro.csv --digits op --accuracy mean_acc --flops flops

Columns whose name is one of --digits and a number are digits; each is numbered by its sorted values. Networks are
split at random, --seeds times; every surrogate sees the same splits.
"""

from __future__ import annotations

import csv
import re
import time
from pathlib import Path

import click
import numpy as np
from scipy.stats import kendalltau

from search import surrogates
from search.surrogates.threads import one_thread

UNSEEN = 300


@click.command()
@click.argument("table", type=click.Path(exists=True, path_type=Path))
@click.option("--digits", default="op", help="prefixes of the digits' columns, with commas")
@click.option("--accuracy", default="mean_acc")
@click.option("--flops", default="flops")
@click.option("--samples", default="100,300")
@click.option("--seeds", type=click.IntRange(1), default=5)
def main(table: Path, digits: str, accuracy: str, flops: str, samples: str, seeds: int) -> None:
    """Print a table of tau, mean and deviation over the seeds, and the CPU seconds of one fit."""
    X, y, cost = _read(table, digits.split(","), accuracy, flops)
    cardinalities = [int(c) for c in X.max(axis=0) + 1]
    click.echo(f"{table.name}: {len(X)} networks, {len(cardinalities)} digits; tau on up to {UNSEEN} unseen networks")
    for n in (int(size) for size in samples.split(",")):
        splits = [np.random.default_rng(seed).permutation(len(X)) for seed in range(seeds)]
        alone = [kendalltau(cost[split[n : n + UNSEEN]], y[split[n : n + UNSEEN]]).statistic for split in splits]
        click.echo(f"\n{n} samples · FLOPs alone {np.mean(alone):.3f}")
        for name in surrogates.NAMES:
            taus, started = [], time.process_time()
            with one_thread():
                for seed, split in enumerate(splits):
                    known, unseen = split[:n], split[n : n + UNSEEN]
                    own = surrogates.create(name, cardinalities, seed).fit(X[known], y[known])
                    taus.append(kendalltau(own.predict(X[unseen]), y[unseen]).statistic)
            seconds = (time.process_time() - started) / seeds
            click.echo(f"  {name:<17} {np.mean(taus):.3f} ± {np.std(taus):.3f}   {seconds:6.2f} CPU s")


def _read(path: Path, prefixes: list[str], accuracy: str, flops: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    is_digit = re.compile(rf"(?:{'|'.join(map(re.escape, prefixes))})\d+")
    names = [name for name in rows[0] if is_digit.fullmatch(name)]
    columns = [np.unique([float(row[name]) for row in rows], return_inverse=True)[1] for name in names]
    y, cost = (np.array([float(row[name]) for row in rows]) for name in (accuracy, flops))
    return np.stack(columns, axis=1).astype(np.int64), y, cost


if __name__ == "__main__":
    main()
