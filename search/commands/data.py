"""`search data check`: what is in a data set, and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from mosegnet.common.console import note, stdout, warn
from mosegnet.common.errors import UserError
from mosegnet.common.files import write_atomic

if TYPE_CHECKING:
    from search.datasets import Dataset
    from search.datasets.check import SplitReport

_MOST_FAULTS = 10  # named in the text; --json has all


@click.group()
def data() -> None:
    """Look at data sets before they are trained on.

    \b
    Example:
      search data check synthetic --images 20 --sheet synthetic.png
    """


@data.command()
@click.argument("spec", metavar="DATA")
@click.option(
    "--images", type=click.IntRange(1), default=200, show_default=True, help="look at so many of every split, at most"
)
@click.option("--sheet", type=click.Path(path_type=Path), help="the picture sheet  [default: KIND-check.png]")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def check(spec: str, images: int, sheet: Path | None, as_json: bool) -> None:
    """Count a data set's images, classes and void, name what is wrong with it, and draw a sheet of pictures.

    DATA is synthetic, or KIND:PATH; every file is looked for, and the images of large splits are sampled evenly.
    Ends with status 2 when there are images that cannot be used.

    \b
    Example:
      search data check synthetic --images 20 --sheet synthetic.png
    """
    from search.datasets import check as checking
    from search.datasets import load as load_data
    from search.datasets.sheet import sheet as draw_sheet

    dataset = load_data(spec)
    reports = checking.check(dataset, images)
    place = sheet or Path(f"{spec.partition(':')[0]}-check.png")
    write_atomic(place, draw_sheet(dataset))
    if as_json:
        click.echo(json.dumps(checking.to_json(dataset, reports) | {"sheet": str(place)}))
    else:
        _print(dataset, reports)
    for finding in checking.findings(dataset, reports):
        warn(finding)
    note(f"wrote {place}")
    faults, looked_at = (sum(counts) for counts in zip(*((len(r.faults), r.looked_at) for r in reports), strict=True))
    if faults:
        raise UserError(f"{faults} of {looked_at} images looked at in {spec} cannot be used: mend or remove them")


def _print(dataset: Dataset, reports: list[SplitReport]) -> None:
    stdout.print(f"{dataset.name}: {len(dataset.classes)} classes, {dataset.task}")
    for report in reports:
        part = "all" if report.looked_at == report.images else f"a sample of {report.looked_at}"
        sizes = ", ".join(f"{width}x{height} ({count})" for (height, width), count in report.sizes[:3])
        more = f", … {len(report.sizes)} sizes" if len(report.sizes) > 3 else ""
        stdout.print(f"{report.name}: {report.images} images, {part} looked at; {sizes}{more}")
        stdout.print(f"  mean {_triple(report.mean)}, deviation {_triple(report.std)} of values in 0..1")
        for fault in report.faults[:_MOST_FAULTS]:
            stdout.print(f"  {fault}", markup=False)
        if len(report.faults) > _MOST_FAULTS:
            stdout.print(f"  … {len(report.faults) - _MOST_FAULTS} more faults, --json names them all")
    stdout.print(f"the networks take mean {_triple(dataset.mean)}, deviation {_triple(dataset.std)}")
    stdout.print(_table(dataset, reports))


def _table(dataset: Dataset, reports: list[SplitReport]) -> Table:
    unit = "pixels" if dataset.task == "segmentation" else "images"
    table = Table("class", *(f"{report.name}, % of {unit} (images)" for report in reports))
    for k, name in enumerate(dataset.classes):
        cells = [
            f"{100 * report.class_pixels[k] / (report.pixels or 1):.2f} ({report.class_images[k]})"
            for report in reports
        ]
        table.add_row(f"{k} {name}", *cells)
    if dataset.task == "segmentation":
        table.add_row("void", *(f"{100 * report.void_pixels / (report.pixels or 1):.2f}" for report in reports))
    return table


def _triple(values: list[float] | tuple[float, ...]) -> str:
    return " ".join(f"{value:.3f}" for value in values)
