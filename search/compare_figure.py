"""The picture of a comparison: medians over evaluations with their intervals, as a picture or as a page of its own."""

from __future__ import annotations

import html
import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mosegnet.common.errors import UserError
from mosegnet.common.files import write_atomic
from search.compare import Comparison
from search.report.theme import SCALE_COLOURS

_FORMATS = (".png", ".svg", ".pdf", ".html")
_DASHES = ("-", "--", "-.", ":")
_DPI = 150
_STYLE = (
    "body{font:15px system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#20262e}"
    "svg{width:100%;height:auto}table{border-collapse:collapse}td,th{padding:.25rem .8rem;text-align:right}"
    "td:first-child,th:first-child{text-align:left}th{border-bottom:1px solid #7d8590}"
)

Cells = list[list[str]]


def check(path: Path) -> None:
    """Whether a figure can be written there.

    Raises:
        UserError: another ending than PNG, SVG, PDF or HTML.
    """
    if path.suffix.lower() not in _FORMATS:
        raise UserError(f"figure {path}: name a file that ends in {', '.join(_FORMATS)}")


def write(found: Comparison, rows: Cells, path: Path) -> None:
    """Write the picture, whole; a page has the table's `rows`, the first of them its head, under it."""
    check(path)
    form = path.suffix.lower().lstrip(".")
    buffer = io.BytesIO()
    _drawn(found).savefig(buffer, format="svg" if form == "html" else form, dpi=_DPI, bbox_inches="tight")
    if form == "html":
        write_atomic(path, _page(found, buffer.getvalue().decode(), rows))
    else:
        write_atomic(path, buffer.getvalue())


def _drawn(found: Comparison) -> Figure:
    figure = Figure(figsize=(8, 4.8))
    axes = figure.add_subplot()
    for k, group in enumerate(found.groups):
        points = group.points(range(1, group.evaluations + 1))
        colour, dash = SCALE_COLOURS[k % len(SCALE_COLOURS)], _DASHES[k // len(SCALE_COLOURS) % len(_DASHES)]
        x, seeds = [point.evaluations for point in points], len(group.courses)
        label = f"{group.label} ({seeds} seed{'s' if seeds > 1 else ''})"
        axes.plot(x, [point.median for point in points], dash, color=colour, label=label)
        if seeds > 1:
            low, high = np.array([(point.low, point.high) for point in points], dtype=float).T
            axes.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
    axes.axhline(found.target, color="0.6", lw=0.8, ls=":")
    axes.text(0.995, found.target, "99 % of the best", transform=axes.get_yaxis_transform(), ha="right", va="bottom",
              fontsize=8, color="0.4")  # fmt: skip
    axes.set(xlabel="evaluated networks", ylabel="hypervolume, mIoU × ms")
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    return figure


def _page(found: Comparison, svg: str, rows: Cells) -> str:
    def row(cells: list[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    table = row(rows[0], "th") + "".join(row(cells, "td") for cells in rows[1:])
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in found.notes)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Runs compared</title><style>{_STYLE}</style>'
        f"<h1>Hypervolume over evaluations</h1>{svg[svg.index('<svg') :]}<table>{table}</table>{notes}"
        f"<p>Medians over seeds, with 95 % intervals of the median; reference point mIoU "
        f"{found.reference.miou:g}, {found.reference.latency_ms:.4g} ms.</p></html>\n"
    )
