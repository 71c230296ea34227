"""The inner NSGA-II beside pymoo's: CPU seconds and hypervolume at checkpoints, in one run, one after another.

    python benchmarks/inner_nsga2.py --seeds 5
    python benchmarks/inner_nsga2.py --lut luts/cpu.json --surrogate ranknet-ensemble

A surrogate is fitted to 300 networks of a made-up landscape; then each search minimises (minus its prediction, the
table's latency) over the 29 digits, with the same first population for the same seed. `nsga2-sbx` is what a user of
pymoo writes for integers, `nsga2-pymoo` is pymoo with operators for digits. A checkpoint is a run of its own, up to
there: with the same seed it is the beginning of the longer one. Everything counts, the predictions too.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
from landscapes import Landscape, synthetic

from search import surrogates
from search.evolution import engines
from search.evolution.hypervolume import ReferencePoint, hypervolume
from search.evolution.problem import Problem
from search.surrogates.threads import one_thread

STOCK = "nsga2-sbx"


@click.command()
@click.option("--lut", type=click.Path(exists=True, path_type=Path), help="latencies; without it, multiply-adds")
@click.option("--surrogate", default="ranknet")
@click.option("--names", default=f"{STOCK},nsga2-pymoo,nsga2", help="inner searches, with commas; the first is 1 ×")
@click.option("--population", type=click.IntRange(4), default=100)
@click.option("--generations", default="100,200,400,1000", help="checkpoints, with commas")
@click.option("--seeds", type=click.IntRange(1), default=5)
def main(lut: Path | None, surrogate: str, names: str, population: int, generations: str, seeds: int) -> None:
    """Print for each checkpoint and search the mean hypervolume, its least and greatest, CPU seconds and the ratio."""
    with one_thread():
        problem, corner = _problem(synthetic(lut=str(lut) if lut else None), surrogate)
        searches = names.split(",")
        for name in searches:
            _run(name, problem, corner, population, 3, 0)  # compiled and imported
        click.echo(f"{population} networks, {surrogate}, {seeds} seeds; hypervolume: mean (least … greatest)")
        for checkpoint in (int(n) for n in generations.split(",")):
            runs = np.array(
                [[_run(name, problem, corner, population, checkpoint, s) for name in searches] for s in range(seeds)]
            )  # (seeds, searches, 2)
            _print_checkpoint(checkpoint, searches, runs)


def _problem(landscape: Landscape, name: str) -> tuple[Problem, ReferencePoint]:
    space = landscape.space
    X = space.sample(300, np.random.default_rng(1))
    model = surrogates.create(name, space.cardinalities, 0).fit(X, landscape.observed(X))
    corner = ReferencePoint(float(model.predict(X).min()), landscape.corners["whole"].latency_ms)
    return Problem(space, lambda Y: np.stack([-model.predict(Y), landscape.cost(Y)], axis=1)), corner


def _run(
    name: str, problem: Problem, corner: ReferencePoint, population: int, generations: int, seed: int
) -> tuple[float, float]:
    """Hypervolume reached, and CPU seconds."""
    start = np.zeros((0, len(problem.space.cardinalities)), dtype=np.int64)
    rng, began = np.random.default_rng(seed), time.process_time()
    found = engines.candidates(name, problem, population=population, generations=generations, start=start, rng=rng)
    took = time.process_time() - began
    return hypervolume(-found.objectives[:, 0], found.objectives[:, 1], corner), took


def _print_checkpoint(checkpoint: int, searches: list[str], runs: np.ndarray) -> None:
    seconds = np.median(runs[:, :, 1], axis=0)
    click.echo(f"after {checkpoint} generations")
    for k, name in enumerate(searches):
        volume = runs[:, k, 0]
        click.echo(
            f"  {name:<12} {volume.mean():10.4f} ({volume.min():.4f} … {volume.max():.4f})"
            f"  {seconds[k]:7.2f} CPU s  {seconds[0] / seconds[k]:5.1f} ×"
        )


if __name__ == "__main__":
    main()
