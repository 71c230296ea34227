"""`search run` and `search report`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mosegnet import space as spaces
from mosegnet.common.console import note, stdout
from mosegnet.common.errors import UserError
from search.commands.supernet import DATA_HELP
from search.commands.wishes import Wishes, wish_options
from search.commands.workers import WorkerOptions, worker_options

if TYPE_CHECKING:
    from profiler.lut import Lut

_MINUTES = 5.0  # of training, where no supernet is given


@click.command()
@click.option(
    "--lut",
    "luts",
    type=click.Path(path_type=Path),
    required=True,
    multiple=True,
    help="the table of the device to search for; repeated, for several devices at once",
)
@click.option("--supernet", type=click.Path(path_type=Path), help="a trained one; without it one is trained, 5 minutes")
@click.option("--data", default="synthetic", show_default=True, help=DATA_HELP)
@click.option("--out", type=click.Path(path_type=Path), help="the run's folder  [default: runs/LUT-DATA]")
@click.option("--device", help="measure each generation on it, correct the table, and measure the front")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--exclude-unmeasured", is_flag=True, help="search without the networks that the device cannot run")
@click.option("--resume", is_flag=True, help="go on with the run in the folder")
@wish_options
@worker_options
def run(
    luts: tuple[Path, ...],
    supernet: Path | None,
    data: str,
    out: Path | None,
    device: str | None,
    seed: int,
    exclude_unmeasured: bool,
    resume: bool,
    wishes: Wishes,
    work: WorkerOptions,
) -> None:
    """Search a table's space for Pareto-optimal networks; killed at any moment, --resume goes on.

    \b
    Example:
      search run --lut luts/cpu.json --data synthetic --initial 40 --generations 5 --device cpu --out runs/first
    """
    from search import summary
    from search.datasets import load as load_data
    from search.evaluate import Evaluator
    from search.in_the_loop import DeviceInTheLoop
    from search.lock import locked
    from search.objectives import goals_of, named
    from search.report import write_report
    from search.results import measure_front, write_pareto
    from search.run import RunConfig, evaluate_all, make_search, open_folder
    from search.stopping import Clock
    from search.supernet import load as load_supernet
    from search.wanted import wanted

    profile = wishes.resolved()
    tables = named([_table(path, exclude_unmeasured) for path in luts], luts)
    table = tables[0].lut
    goals = goals_of(tables, wishes.objectives, wishes.require)  # what cannot be read is said before the training
    dataset = load_data(data)
    folder = out or Path("runs") / f"{'-'.join(path.stem for path in luts)}-{dataset.name}"
    if supernet is None:
        with locked(folder):
            supernet = _train(folder, table.space, data, seed)
    trained = load_supernet(supernet, table.space)
    evaluator = Evaluator(trained, dataset)
    for split in ("supernet", "search"):
        dataset.split(split)  # read or painted before the search's own time estimate begins
    fingerprint = trained.fingerprint()
    first = wishes.first(table.space, goals, folder, resume, fingerprint, data, most=wishes.sample(profile) // 2)
    config = RunConfig(
        lut_sha256=table.sha256,
        supernet_sha256=fingerprint,
        data=data,
        seed=seed,
        infill=profile.infill,
        surrogate=profile.surrogate,
        lag=work.lag(profile.infill),
        classes=list(dataset.classes),
        training=trained.training,
        criterion=profile.criterion,
        inner=profile.inner,
        population=profile.population,
        inner_generations=profile.inner_generations,
        settle_generations=profile.settling.generations,
        settle_share=profile.settling.share,
        objectives=list(wishes.objectives),
        require=list(wishes.require),
        tables=[one.name for one in tables] if len(tables) > 1 else [],
        more_luts_sha256=[one.lut.sha256 for one in tables[1:]],
        first_sha256=first.sha256,
        **wishes.amounts(profile, first),
    )
    clock = Clock(wishes.minutes)
    make_search(config, table, goals, first)  # what cannot be met is said before the folder is made
    with locked(folder):
        open_folder(folder, config, luts, resume, first)
        with closing(work.open(evaluator, supernet, config.supernet_sha256, data)) as pool:
            in_the_loop = DeviceInTheLoop(folder, device) if device else None
            archive = evaluate_all(folder, config, table, pool, in_the_loop, goals=goals, first=first, clock=clock)
        own = wanted(folder)
        rows = write_pareto(folder, archive, own, evaluator, dataset)
        if device:
            measure_front(folder, rows, own, device)
        write_report(summary.report_data(folder), folder / "report.html")
    stdout.print(summary.front_table(folder))
    note(f"report: {folder / 'report.html'}")


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Write a finished run's report again, and print its front.

    \b
    Example:
      search report runs/first
    """
    from search import summary
    from search.report import write_report

    write_report(summary.report_data(folder), folder / "report.html")
    stdout.print(summary.front_table(folder))
    note(f"report: {folder / 'report.html'}")


def _table(path: Path, exclude_unmeasured: bool) -> Lut:
    from profiler import lut as tables

    table = tables.load(path)
    if not table.complete and not exclude_unmeasured:
        key, reason = next(iter(table.table.unmeasured.items()))
        raise UserError(
            f"{path} is incomplete, its device cannot run {len(table.table.unmeasured)} units, such as {key!r} "
            f"({reason}): "
            "add --exclude-unmeasured to search without the networks that have them"
        )
    return table


def _train(folder: Path, space: spaces.Space, data: str, seed: int) -> Path:
    """The supernet in the run's own folder, trained there unless it is finished."""
    from search.commands.supernet import train_to
    from search.supernet.train import Budget

    path = folder / "supernet.safetensors"
    note(f"no --supernet: training one for {_MINUTES:g} minutes into {path}")
    train_to(path, space, data, Budget(minutes=_MINUTES), seed, resume=True)
    return path
