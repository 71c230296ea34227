"""`search run` and `search report`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from mosegnet import space as spaces
from mosegnet.common.console import note, stdout
from mosegnet.common.errors import UserError
from search.commands.training import DATA_HELP
from search.commands.workers import WorkerOptions, worker_options

_MINUTES = 5.0  # of training, where no supernet is given


@click.command()
@click.option("--lut", type=click.Path(path_type=Path), required=True, help="the table of the device to search for")
@click.option("--supernet", type=click.Path(path_type=Path), help="a trained one; without it one is trained, 5 minutes")
@click.option("--data", default="synthetic", show_default=True, help=DATA_HELP)
@click.option("--out", type=click.Path(path_type=Path), help="the run's folder  [default: runs/LUT-DATA]")
@click.option("--device", help="measure each generation on it, correct the table, and measure the front")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--initial", type=click.IntRange(2), default=300, show_default=True, help="networks of the first sample")
@click.option("--generations", type=click.IntRange(0), default=20, show_default=True)
@click.option("--infill", type=click.IntRange(1), default=8, show_default=True, help="networks a generation")
@click.option("--surrogate", help="how accuracy is predicted  [default: ranknet-ensemble]")
@click.option("--exclude-unmeasured", is_flag=True, help="search without the networks that the device cannot run")
@click.option("--resume", is_flag=True, help="go on with the run in the folder")
@worker_options
def run(
    lut: Path,
    supernet: Path | None,
    data: str,
    out: Path | None,
    device: str | None,
    seed: int,
    initial: int,
    generations: int,
    infill: int,
    surrogate: str | None,
    exclude_unmeasured: bool,
    resume: bool,
    work: WorkerOptions,
) -> None:
    """Search a table's space for Pareto-optimal networks; killed at any moment, --resume goes on.

    \b
    Example:
      search run --lut luts/cpu.json --data synthetic --initial 40 --generations 5 --device cpu --out runs/first
    """
    from profiler import lut as tables
    from search import summary, surrogates
    from search.datasets import load as load_data
    from search.evaluate import Evaluator
    from search.in_the_loop import DeviceInTheLoop, table_of
    from search.lock import locked
    from search.report import write_report
    from search.results import measure_front, write_pareto
    from search.run import RunConfig, evaluate_all, open_folder
    from search.supernet import load as load_supernet

    name = surrogate or surrogates.DEFAULT
    if name not in surrogates.NAMES:
        raise UserError(f"unknown surrogate {name!r}: choose one of {', '.join(surrogates.NAMES)}")
    table = tables.load(lut)
    if not table.complete and not exclude_unmeasured:
        key, reason = next(iter(table.table.unmeasured.items()))
        raise UserError(
            f"{lut} is incomplete, its device cannot run {len(table.table.unmeasured)} units, such as {key!r} "
            f"({reason}): "
            "add --exclude-unmeasured to search without the networks that have them"
        )
    dataset = load_data(data)
    folder = out or Path("runs") / f"{lut.stem}-{dataset.name}"
    if supernet is None:
        with locked(folder):
            supernet = _train(folder, table.space, data, seed)
    trained = load_supernet(supernet, table.space)
    evaluator = Evaluator(trained, dataset)
    for split in ("supernet", "search"):
        dataset.split(split)  # read or painted before the search's own time estimate begins
    config = RunConfig(
        lut_sha256=table.sha256,
        supernet_sha256=trained.fingerprint(),
        data=data,
        seed=seed,
        initial=initial,
        generations=generations,
        infill=infill,
        surrogate=name,
        lag=work.lag(infill),
        classes=list(dataset.classes),
        training=trained.training,
    )
    with locked(folder):
        open_folder(folder, config, lut, resume)
        with closing(work.open(evaluator, supernet, config.supernet_sha256, data)) as pool:
            in_the_loop = DeviceInTheLoop(folder, device) if device else None
            archive = evaluate_all(folder, config, table, pool, in_the_loop)
        table = table_of(folder)
        rows = write_pareto(folder, archive, table, evaluator, dataset)
        if device:
            measure_front(folder, rows, table, device)
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


def _train(folder: Path, space: spaces.Space, data: str, seed: int) -> Path:
    """The supernet in the run's own folder, trained there unless it is finished."""
    from search.commands.training import train_to
    from search.supernet.train import Budget

    path = folder / "supernet.safetensors"
    note(f"no --supernet: training one for {_MINUTES:g} minutes into {path}")
    train_to(path, space, data, Budget(minutes=_MINUTES), seed, resume=True)
    return path
