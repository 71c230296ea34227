"""`search status` and `search compare`: runs, seen from outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mosegnet.common.console import note, stdout

if TYPE_CHECKING:
    from search.compare import Comparison


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def status(folder: Path, as_json: bool) -> None:
    """How a run stands: how far it is, how good, how fast, and whether it is alive.

    \b
    Example:
      search status runs/first
    """
    from search.status import status as status_of

    found = status_of(folder)
    if as_json:
        click.echo(json.dumps(found.to_dict()))
        return
    for name, text in found.lines():
        stdout.print(f"{name:14}{text}", markup=False)


@click.command()
@click.argument("folders", metavar="RUN RUN …", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--figure", type=click.Path(path_type=Path), help="draw it: .png, .svg, .pdf, or .html with the table")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def compare(folders: tuple[Path, ...], figure: Path | None, as_json: bool) -> None:
    """Hypervolume over evaluations of runs of one space and data set; runs that differ by seed count as one.

    \b
    Example:
      search compare runs/first runs/second --figure compare.html
    """
    from search import compare_figure
    from search.compare import compare as compare_

    if figure is not None:
        compare_figure.check(figure)
    found = compare_(folders)
    rows = _rows(found)
    if as_json:
        click.echo(json.dumps(found.to_dict()))
    else:
        _print_table(found, rows)
    if figure is not None:
        compare_figure.write(found, rows, figure)
        note(f"figure: {figure}")


def _rows(found: Comparison) -> list[list[str]]:
    """The table, its head first: a row a configuration, the best first."""
    rows = [["configuration", "seeds", *(f"after {n}" for n in found.checkpoints), "evaluations to 99 %"]]
    for group in found.groups:
        cells = [
            f"{point.median:.4g}" + (f" [{point.low:.4g}, {point.high:.4g}]" if point.low is not None else "")
            for point in group.points(found.checkpoints)
        ]
        needed = group.evaluations_to(found.target)
        rows.append([group.label, str(len(group.courses)), *cells, "never" if needed is None else f"{needed:g}"])
    return rows


def _print_table(found: Comparison, rows: list[list[str]]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    reference = f"mIoU {found.reference.miou:g} and {found.reference.latency_ms:.4g} ms"
    table = Table(title="Hypervolume over evaluations, mIoU × ms", box=box.SIMPLE_HEAD, pad_edge=False)
    for k, name in enumerate(rows[0]):
        table.add_column(name, justify="right" if k else "left", overflow="fold")
    for cells in rows[1:]:
        table.add_row(*map(escape, cells))
    table.caption = f"medians over seeds and 95 % intervals of the median; reference point {reference}"
    stdout.print(table)
    for text in found.notes:
        note(text)
