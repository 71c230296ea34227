"""Which in-fill criterion finds most: whole searches on a table that is known whole, and on a made-up landscape.

    python benchmarks/infill.py nas_bench_macro.csv --surrogate gp --initial 20 --infill 8 --seeds 5
    python benchmarks/infill.py --criteria ehvi,contribution --seeds 3

Prints the share of the true front's hypervolume (of a landscape: of the best that long searches of it came to) after so
many evaluations, mean and deviation over the seeds; every search has its own seed, every landscape its own digits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from landscape29 import Landscape
from search_nbmacro import Table

from search import surrogates
from search.evolution.infill import NAMES
from search.loop import Search


@click.command()
@click.argument("table", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--digits", default="op", help="prefixes of the digits' columns, with commas")
@click.option("--accuracy", default="mean_acc")
@click.option("--cost", default="flops")
@click.option("--floor", type=float, help="accuracy of the corner: 88 looks at the best of NAS-Bench-Macro only")
@click.option("--lut", type=click.Path(exists=True, path_type=Path), help="the made-up landscape's latencies")
@click.option("--criteria", default=",".join(NAMES))
@click.option("--surrogate", "names", default=surrogates.DEFAULT, help="surrogates to try, with commas")
@click.option("--initial", "initials", default="20", help="random networks before the first surrogate, with commas")
@click.option("--infill", "batches", default="8", help="networks of a generation, with commas")
@click.option("--evaluations", default="40,80,160,340")
@click.option("--seeds", type=click.IntRange(1), default=5)
def main(
    table: Path | None,
    digits: str,
    accuracy: str,
    cost: str,
    floor: float | None,
    lut: Path | None,
    criteria: str,
    names: str,
    initials: str,
    batches: str,
    evaluations: str,
    seeds: int,
) -> None:
    """Print one line for each criterion, surrogate, initial sample and size of a generation."""
    points = [int(n) for n in evaluations.split(",")]
    settings = [
        {"surrogate": name, "criterion": criterion, "initial": int(initial), "infill": int(infill)}
        for name in names.split(",")
        for initial in initials.split(",")
        for infill in batches.split(",")
        for criterion in criteria.split(",")
    ]
    if table:
        whole = Table(table, digits, accuracy, cost, floor)
        worlds = [(whole.space, whole.cost, whole.accuracy, whole.share)] * seeds
    else:
        worlds = [_made_up(seed, lut) for seed in range(seeds)]
    click.echo(f"{table.name if table else 'made-up landscapes'}, {seeds} seeds; evaluated: {evaluations}")
    for setting in settings:
        shares = np.array([_shares(world, seed, points, setting) for seed, world in enumerate(worlds)])
        cells = "  ".join(f"{m:.4f} ± {s:.4f}" for m, s in zip(shares.mean(axis=0), shares.std(axis=0), strict=True))
        click.echo(f"  {' '.join(map(str, setting.values())):<40} {cells}")


World = tuple[object, Callable, Callable, Callable]  # space, latencies, accuracies, share of the best hypervolume


def _made_up(seed: int, lut: Path | None) -> World:
    landscape = Landscape(seed, lut)
    best = landscape.best()
    return landscape.space, landscape.latency_ms, landscape.accuracy, lambda X: landscape.volume(X) / best


def _shares(world: World, seed: int, points: list[int], setting: dict) -> list[float]:
    space, latency_ms, accuracy, share = world
    search = Search(space, latency_ms, seed=seed, **setting)  # type: ignore[arg-type]
    while len(search.miou) < points[-1] and len(X := search.ask(points[-1] - len(search.miou))):
        search.tell(X, accuracy(X))
    return [share(search.encodings[:n]) for n in points]


if __name__ == "__main__":
    main()
