"""`profiler predict`, `show`, `compare` and `plot`: what tables say, without any device."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import click
from rich.table import Table as Grid

from mosegnet.common.console import note, stdout
from mosegnet.common.errors import UserError
from profiler import lut as luts
from profiler.commands import options

_CHUNK = 10_000  # encodings read and looked up at a time
_tables = click.Path(path_type=Path)


@click.command()
@options.lut
@click.argument("file", type=click.File("r"), default="-")
@options.as_json
def predict(lut_path: Path, file: IO[str], as_json: bool) -> None:
    """Latency, and energy where the table tells it, of encodings, one JSON list a line in FILE or on standard input.

    Example: search sample --space tiny -n 5 --seed 1 | profiler predict --lut luts/cpu.json
    """
    lut = luts.load(lut_path)
    lines = enumerate(file, start=1)
    while chunk := list(islice(lines, _CHUNK)):
        numbered = [(number, encoding(number, line)) for number, line in chunk if line.strip()]
        if not numbered:
            continue
        for latency_ms, ci95_ms, *energy in zip(*_predict(lut, numbered), strict=True):
            if as_json:
                found = {"latency_ms": latency_ms, "ci95_ms": ci95_ms}
                found |= zip(("energy_mj", "energy_ci95_mj"), energy, strict=False)
                click.echo(json.dumps({name: round(value, 6) for name, value in found.items()}))
            else:
                words = f", {energy[0]:.4g} mJ ± {energy[1]:.2g}" if energy else ""
                click.echo(f"{latency_ms:.4g} ms ± {ci95_ms:.2g}{words}")


@click.command()
@click.argument("lut_path", metavar="L", type=_tables)
def show(lut_path: Path) -> None:
    """Say everything that a table knows and where it is from.

    Example: profiler show luts/cpu.json
    """
    from profiler.words import describe

    for line in describe(luts.load(lut_path)):
        stdout.print(line, markup=False)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="L L...", type=_tables)
@click.option("--networks", type=click.IntRange(min=10), default=1000, show_default=True, help="How many to sample.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which networks.")
@options.figure("compare.png")
@options.as_json
def compare(paths: tuple[Path, ...], networks: int, seed: int, figure_path: Path | None, as_json: bool) -> None:
    """Do devices agree on which networks are fast: rank correlation over sampled networks, and where they differ.

    Example: profiler compare luts/cpu.json luts/atlas.json
    """
    from profiler import figures
    from profiler.compare import compare as compare_

    if len(paths) < 2:
        raise UserError("name two tables or more")
    found = compare_([luts.load(path) for path in paths], networks, seed)
    figure_path = figure_path or Path("compare.png")
    figures.save(figures.comparison(found), figure_path)
    note(f"drawn in {figure_path}")
    if as_json:
        click.echo(json.dumps(found.to_dict()))
        return
    grid = Grid("device", "beside", "tau", "tau in scale", "r", "speed")
    for pair in found.pairs:
        grid.add_row(
            found.names[pair.first], found.names[pair.second], f"{pair.kendall_tau:.3f}",
            f"{pair.kendall_tau_within_scale:.3f}", f"{pair.pearson_r:.4f}", f"{pair.speed:.3g} x",
        )  # fmt: skip
    stdout.print(grid)
    for pair in found.pairs:
        stdout.print(f"{found.names[pair.second]} beside {found.names[pair.first]}, each unit over the usual ratio:")
        for key, factor in pair.differing:
            stdout.print(f"  {factor:6.2f} x  {key}", markup=False)


@click.command()
@click.argument("lut_path", metavar="L", type=_tables)
@options.figure("L.png")
def plot(lut_path: Path, figure_path: Path | None) -> None:
    """Draw a table's entries by kind and stage, with their intervals.

    Example: profiler plot luts/cpu.json
    """
    from profiler import figures

    figure_path = figure_path or lut_path.with_suffix(".png")
    figures.save(figures.entries(luts.load(lut_path)), figure_path)
    stdout.print(f"{figure_path}", markup=False)


def encoding(number: int, line: str) -> list[Any]:
    """The digits of one line of input.

    Raises:
        UserError: it holds none; names the line.
    """
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if isinstance(value, dict):
        value = value.get("encoding")
    if not isinstance(value, list):
        raise UserError(f"line {number} is no encoding: give one JSON list of digits a line")
    return value


def _predict(lut: luts.Lut, numbered: list[tuple[int, list[Any]]]) -> Iterator[list[float]]:
    encodings = [encoding for _, encoding in numbered]
    try:
        found = [*lut.predict_interval(encodings)]
        if lut.has_energy:
            found += lut.predict_energy_interval(encodings)
    except UserError:
        for number, encoding in numbered:  # the whole chunk failed: find the line
            try:
                lut.predict([encoding])
            except UserError as error:
                raise UserError(f"line {number}: {error}") from None
        raise
    return iter([column.tolist() for column in found])
