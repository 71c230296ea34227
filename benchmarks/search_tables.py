"""Search strategies side by side on tables of digits: share of the best front's hypervolume by evaluations.

    python benchmarks/search_tables.py --tables nas_bench_macro.csv:band=88,synthetic,cells,binary --seeds 20
    python benchmarks/search_tables.py --tables binary --strategies ours:initial=20,ours:initial=40:surrogate=gp,tpe

A strategy is a name and settings, NAME:setting=value:…; those of `ours` are the arguments of `search.loop.Search`.
A budget counts distinct networks in canonical spelling. For every strategy: the median over the seeds with its 95 %
bootstrap interval at each number of evaluations; by how much the first strategy named is ahead on the same seeds, and
in how many of them. Where `paper` runs: how many evaluations each took to 99 % of the hypervolume that `paper` has at
its end (300 + 20 × 8), by seed. Finished runs are kept in --results and not repeated: start it again to go on, or
several at once with different --seeds-from. Runs of ours count only for the code that made them; those of peers do
not know their code: begin a new file when a peer was changed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import click
import landscapes
import numpy as np
import published
import strategies
from shares import Journal, Run, first_at, median_interval, shares

import search
from search.profiles import PROFILES
from search.surrogates.threads import one_thread

_TABLE_I = PROFILES["paper"]
PAPER: dict[str, strategies.Setting] = {
    "initial": _TABLE_I.initial,
    "infill": _TABLE_I.infill,
    "surrogate": _TABLE_I.surrogate,
    "criterion": _TABLE_I.criterion,
    "inner": _TABLE_I.inner,
    "population": _TABLE_I.population,
    "inner_generations": _TABLE_I.inner_generations,
}
PAPER_BUDGET = _TABLE_I.initial + _TABLE_I.generations * _TABLE_I.infill

STRATEGIES: dict[str, strategies.Strategy] = {
    "ours": strategies.ours,
    "paper": lambda ledger, seed, **settings: strategies.ours(ledger, seed, **(PAPER | settings)),
    "random": strategies.chance,
    "nsga2": strategies.pymoo("nsga2"),
    "sms-emoa": strategies.pymoo("sms-emoa"),
    "age-moea2": strategies.pymoo("age-moea2"),
    "optuna-nsga2": strategies.optuna_nsga2,
    "tpe": strategies.optuna_tpe,
    "linas": published.linas,
    "msunas": published.msunas,
}
DEFAULT = "ours:initial=20,random,nsga2,sms-emoa,age-moea2,optuna-nsga2,tpe,linas,msunas"
ELSEWHERE = {  # share of the whole table's front after 40, 80, 160, 340 on NAS-Bench-Macro, by other programs
    "random": ".84 .87 .88 .92",
    "age-moea2": ".79 .87 .96 .998",
    "optuna-nsga2": ".86 .88 .95 .99",
    "tpe": ".89 .95 .96 .99",
    "linas": ".73–.85 .96–.99 .998 –",
    "msunas": ".87 .91–.99 .99 1.00",
}


@click.command()
@click.option("--tables", default="synthetic,cells,binary", help="landscapes with commas, see landscapes.py")
@click.option("--strategies", "names", default=DEFAULT, help="strategies with commas; the first is compared with each")
@click.option("--evaluations", default="40,80,160,340")
@click.option("--seeds", type=click.IntRange(1), default=20)
@click.option("--seeds-from", type=click.IntRange(0), default=0, help="the first seed")
@click.option("--results", type=click.Path(path_type=Path), default=Path("search_tables.jsonl"), show_default=True)
@click.option("--minutes", type=float, help="stop after so long, print what there is")
def main(
    tables: str, names: str, evaluations: str, seeds: int, seeds_from: int, results: Path, minutes: float | None
) -> None:
    """Run what is missing, then print the comparison of what there is."""
    points = [int(n) for n in evaluations.split(",")]
    wanted = {spec: _strategy(spec) for spec in names.split(",")}
    journal = Journal(results)
    until = time.monotonic() + 60 * minutes if minutes else float("inf")
    for table in tables.split(","):
        landscape = landscapes.load(table)
        runs: dict[str, dict[int, Run]] = {spec: {} for spec in wanted}
        for seed in range(seeds_from, seeds_from + seeds):  # by seeds, so that what is cut off can still be paired
            for spec, strategy in wanted.items():
                budget = max(points[-1], PAPER_BUDGET if spec.startswith("paper") else 0)
                run = _one(journal, landscape, spec, strategy, seed, budget, time.monotonic() < until)
                if run:
                    runs[spec][seed] = run
        _print_table(landscape, runs, points)


def _strategy(spec: str) -> strategies.Strategy:
    """The strategy of a specification with its settings bound.

    Raises:
        click.UsageError: no such strategy or setting.
    """
    name, *parts = spec.split(":")
    if name not in STRATEGIES:
        raise click.UsageError(f"no strategy {name!r}: choose among {', '.join(STRATEGIES)}")
    settings = {key: _value(value) for key, _, value in (part.partition("=") for part in parts)}
    strategies.check(name, STRATEGIES[name], settings)
    return partial(STRATEGIES[name], **settings)


def _value(text: str) -> strategies.Setting:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _one(
    journal: Journal,
    landscape: landscapes.Landscape,
    spec: str,
    strategy: strategies.Strategy,
    seed: int,
    budget: int,
    may_run: bool,
) -> Run | None:
    """The run of the journal or a new one that is put there; None where it may not be run now."""
    code = fingerprint() if spec.startswith(("ours", "paper")) else ""
    if (run := journal.find(landscape.name, spec, code, seed, budget)) or not may_run:
        return run
    started = time.process_time()
    with one_thread():
        X = strategies.run(strategy, landscape, budget, seed)
    seconds = time.process_time() - started
    accuracy, cost = landscape.truth(X).tolist(), landscape.cost(X).tolist()
    run = Run(landscape.name, spec, code, seed, budget, accuracy, cost, round(seconds, 2))
    journal.append(run)
    return run


@cache
def fingerprint() -> str:
    """Twelve letters that change with the code of our search."""
    folder = Path(search.__file__).parent
    files = [folder / f"{module}.py" for module in ("loop", "cheap_side", "goals", "predicted_limit", "profiles")]
    files += sorted(path for part in ("evolution", "surrogates") for path in (folder / part).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


# --- what is printed -------------------------------------------------------------------------------------------------


def _print_table(landscape: landscapes.Landscape, runs: dict[str, dict[int, Run]], points: Sequence[int]) -> None:
    runs = {spec: by_seed for spec, by_seed in runs.items() if by_seed}
    click.echo(
        f"\n{landscape.name}: {len(landscape.space.cardinalities)} digits, front of {len(landscape.front[0])} networks"
    )
    for corner, reference in landscape.corners.items():
        click.echo(f"  {corner}, accuracy above {reference.miou:g}: share of the front after {points} evaluations")
        values = {
            spec: {seed: shares(run, landscape, corner, points) for seed, run in by_seed.items()}
            for spec, by_seed in runs.items()
        }
        first = next(iter(values.values()), {})
        for spec, by_seed in values.items():
            _print_row(spec, by_seed, first)
            name = spec.partition(":")[0]
            if corner == "whole" and landscape.name == "nas_bench_macro.csv flops" and name in ELSEWHERE:
                click.echo(f"    {'  (measured elsewhere)':<34} {ELSEWHERE[name]}")
    _print_counts(landscape, runs)


def _print_counts(landscape: landscapes.Landscape, runs: dict[str, dict[int, Run]]) -> None:
    """How many evaluations each strategy took to 99 % of the share that the paper's profile has at its end, by seed."""
    paper = {seed: run for spec, by_seed in runs.items() if spec == "paper" for seed, run in by_seed.items()}
    if not paper:
        return
    click.echo("  evaluations to 99 % of the final hypervolume of `paper`")
    goals = {seed: 0.99 * float(shares(run, landscape, "whole", [PAPER_BUDGET])[0]) for seed, run in paper.items()}
    for spec, by_seed in runs.items():
        both = sorted(set(goals) & set(by_seed))
        if both:
            counts = np.array([first_at(by_seed[seed], landscape, goals[seed]) for seed in both])
            click.echo("    {:<34} {:.0f} [{:.0f}, {:.0f}]".format(spec, *median_interval(counts)))


def _print_row(spec: str, by_seed: dict[int, np.ndarray], first: dict[int, np.ndarray]) -> None:
    """Medians and intervals and, where this is not the first strategy, by how much that one is ahead on equal seeds."""
    table = np.stack(list(by_seed.values()))
    cells = ["{:.4f} [{:.4f}, {:.4f}]".format(*median_interval(column)) for column in table.T]
    click.echo(f"    {spec:<34} {'   '.join(cells)}   {len(by_seed)} seeds")
    both = sorted(set(by_seed) & set(first))
    if by_seed is not first and both:
        ahead = np.stack([first[seed] - by_seed[seed] for seed in both])
        cells = ["{:+.4f} [{:+.4f}, {:+.4f}]".format(*median_interval(column)) for column in ahead.T]
        wins = " ".join(f"{(column > 0).sum()}/{len(both)}" for column in ahead.T)
        click.echo(f"    {'  the first is ahead by':<34} {' '.join(cells)}   in {wins}")


if __name__ == "__main__":
    main()
