"""The whole loop without its evaluations: processor seconds and final hypervolume, ours beside the parts of the paper.

    python benchmarks/whole_loop.py --table synthetic:lut=luts/atlas.json --seeds 10

Both sides evaluate 300 networks and 20 generations of 8 (Table I of the paper) on a landscape that answers at once, and
begin with the same networks. The other side is put together from pymoo's NSGA-II (100 × 1000, simulated binary
crossover and polynomial mutation with rounding), RankNet by the paper's recipe and Algorithm 4 with the binary genetic
algorithm of its supplement. Seconds are of the process, on one thread; both sides take turns, so that what else the
machine does meets both. Every run is kept in --results, so that a long comparison can be cut off and gone on with.

Look-ups are calls of the cost; bookkeeping is what remains of our loop without look-ups, fits, predictions, the inner
search and the choice of networks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import landscapes
import numpy as np
from landscapes import FloatArray, Landscape, Values
from search_tables import fingerprint
from shares import median_interval

from search import surrogates
from search.evolution import engines, infill
from search.evolution.initialisation import IntArray, initial_sample, key
from search.evolution.pareto import non_dominated
from search.evolution.problem import Archive, Problem
from search.loop import Search
from search.profiles import PROFILES
from search.surrogates.threads import one_thread

LOOK_UPS, SURROGATE, INNER, CHOICE = "look-ups", "surrogate", "inner search", "choice"


class Clock:
    """Seconds by part; a part that runs inside another is taken out of it.

    Of the wall: asking for the processor's time costs as much here as what is counted, thousands of times.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside: list[float] = []  # seconds of the parts inside each open one

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Counts what is done inside towards a part."""
        started = time.perf_counter()
        self._inside.append(0.0)
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._inside.pop()
            if self._inside:
                self._inside[-1] += spent

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, counted."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return wrapped


def ours(landscape: Landscape, seed: int, generations: int, clock: Clock) -> IntArray:
    """The networks that our search evaluates with its default profile's parts, in the paper's numbers."""
    plain = surrogates.create

    def create(*args: Any) -> surrogates.Surrogate:
        made = plain(*args)
        for method in ("fit", "predict", "predict_std"):
            if hasattr(made, method):
                setattr(made, method, clock.timed(SURROGATE, getattr(made, method)))
        return made

    with ExitStack() as stack:
        stack.enter_context(patch("search.surrogates.create", create))
        stack.enter_context(patch("search.evolution.engines.candidates", clock.timed(INNER, engines.candidates)))
        stack.enter_context(patch("search.evolution.infill.choose", clock.timed(CHOICE, infill.choose)))
        mine = PROFILES["default"]
        search = Search(
            landscape.space,
            clock.timed(LOOK_UPS, landscape.cost),
            seed=seed,
            initial=PROFILES["paper"].initial,
            infill=PROFILES["paper"].infill,
            surrogate=mine.surrogate,
            criterion=mine.criterion,
            inner=mine.inner,
            population=mine.population,
            inner_generations=mine.inner_generations,
        )
        budget = PROFILES["paper"].initial + generations * PROFILES["paper"].infill
        while len(search.miou) < budget and len(X := search.ask()):
            with clock.part("evaluations"):
                accuracy = landscape.observed(X)
            search.tell(X, accuracy)
    return search.encodings


def stock(landscape: Landscape, seed: int, generations: int, clock: Clock) -> IntArray:
    """The networks that the paper's parts choose, put together here."""
    paper, space = PROFILES["paper"], landscape.space
    rng = np.random.default_rng(np.random.SeedSequence((seed, 0, 0)))
    X = initial_sample(space, paper.initial, rng)
    y, cost = landscape.observed(X), landscape.cost(X)
    for _ in range(generations):
        model = surrogates.create(paper.surrogate, space.cardinalities, int(rng.integers(2**31)))
        with clock.part(SURROGATE):
            model.fit(X, y)
        problem = Problem(space, _predicted(clock.timed(SURROGATE, model.predict), landscape.cost))
        with clock.part(INNER):
            found = engines.candidates(
                paper.inner,
                problem,
                population=paper.population,
                generations=paper.inner_generations,
                start=X[non_dominated(y, cost)],
                rng=rng,
            )
        with clock.part(CHOICE):
            known = Archive(X, np.stack([-y, cost], axis=1))
            seen = {key(x) for x in X}
            new = infill.choose(
                paper.criterion, problem, found, paper.infill, seen=seen, archive=known, spread=None, rng=rng
            )
        X, y = np.concatenate([X, new]), np.concatenate([y, landscape.observed(new)])
        cost = np.concatenate([cost, landscape.cost(new)])
    return X


def _predicted(accuracy: Values, cost: Values) -> Callable[[IntArray], FloatArray]:
    return lambda X: np.stack([-accuracy(X), cost(X)], axis=1)


SIDES = {"ours": ours, "paper's parts": stock}


@click.command()
@click.option("--table", default="synthetic", help="a landscape, see landscapes.py")
@click.option("--seeds", type=click.IntRange(1), default=10)
@click.option("--generations", type=click.IntRange(1), default=PROFILES["paper"].generations)
@click.option("--results", type=click.Path(path_type=Path), default=Path("whole_loop.jsonl"), show_default=True)
@click.option("--minutes", type=float, help="stop after so long, print what there is")
def main(table: str, seeds: int, generations: int, results: Path, minutes: float | None) -> None:
    """Run what is missing, then print seconds, their ratio and the final share of the best front."""
    landscape = landscapes.load(table)
    until = time.monotonic() + 60 * minutes if minutes else float("inf")
    ours(landscape, 0, 1, Clock())  # what is compiled is compiled before the clock runs
    records: dict[str, dict[int, dict[str, Any]]] = {side: {} for side in SIDES}
    for seed in range(seeds):
        for side in SIDES:
            record = _one(results, landscape, side, seed, generations, time.monotonic() < until)
            if record:
                records[side][seed] = record
    _print(landscape, records)


def _one(
    results: Path, landscape: Landscape, side: str, seed: int, generations: int, may_run: bool
) -> dict[str, Any] | None:
    """The record of the results file or a new one that is put there; None where it may not be run now."""
    name = {"landscape": landscape.name, "side": side, "seed": seed, "generations": generations, "code": fingerprint()}
    lines = results.read_text().splitlines() if results.exists() else []
    for record in map(json.loads, lines):
        if name.items() <= record.items():
            return record
    if not may_run:
        return None
    clock, started, started_wall = Clock(), time.process_time(), time.perf_counter()
    with one_thread():
        X = SIDES[side](landscape, seed, generations, clock)
    seconds, wall_s = time.process_time() - started, time.perf_counter() - started_wall
    share = landscape.share(landscape.truth(X), landscape.cost(X))
    record = name | {"share": share, "cpu_s": seconds, "wall_s": wall_s, "parts_s": clock.seconds, "networks": len(X)}
    with open(results, "a") as file:
        file.write(json.dumps(record) + "\n")
    return record


def _print(landscape: Landscape, records: dict[str, dict[int, dict[str, Any]]]) -> None:
    click.echo(landscape.name)
    for side, by_seed in records.items():
        if not by_seed:
            continue
        of = list(by_seed.values())
        seconds = np.array([record["cpu_s"] for record in of])
        shares = np.array([record["share"] for record in of])
        click.echo(
            "  {:<14} {:7.1f} CPU s [{:.1f}, {:.1f}]".format(side, *median_interval(seconds))
            + "   final share {:.4f} [{:.4f}, {:.4f}]".format(*median_interval(shares))
            + f"   {len(of)} seeds"
        )
        wall_s = sum(record["wall_s"] for record in of)
        parts = {name: sum(record["parts_s"].get(name, 0.0) for record in of) for name in (SURROGATE, INNER, CHOICE)}
        click.echo("    " + ", ".join(f"{name} {100 * part / wall_s:.1f} %" for name, part in parts.items()))
    mine, other = (records[side] for side in SIDES)
    both = sorted(set(mine) & set(other))
    if both:
        ratio = np.array([other[seed]["cpu_s"] / mine[seed]["cpu_s"] for seed in both])
        gain = np.array([mine[seed]["share"] - other[seed]["share"] for seed in both])
        click.echo("  times faster {:.1f} [{:.1f}, {:.1f}]".format(*median_interval(ratio)))
        click.echo("  share gained {:+.4f} [{:+.4f}, {:+.4f}]".format(*median_interval(gain)))
    if mine:
        click.echo(f"  look-ups and bookkeeping of ours: {100 * _overhead(list(mine.values())):.2f} % of the loop")


def _overhead(records: list[dict[str, Any]]) -> float:
    """Look-ups and what no part counts, as a share of the loop without its evaluations."""
    whole = sum(record["wall_s"] - record["parts_s"]["evaluations"] for record in records)
    work = sum(record["parts_s"].get(name, 0.0) for record in records for name in (SURROGATE, INNER, CHOICE))
    return (whole - work) / whole


if __name__ == "__main__":
    main()
