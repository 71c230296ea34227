"""A front of more than two objectives, two of them at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from search.report.data import Axis, Record, ReportData
from search.report.figures import describe, scales_of
from search.report.text import plain, significant, size
from search.report.theme import ACCENT, faded, figure, scale_colour, scale_symbol


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective as an axis of a figure."""

    title: str  # with its unit
    of: Callable[[Record], float]


def pairs(data: ReportData) -> dict[str, tuple[str, go.Figure]]:
    """Name -> title and figure of every two objectives, but for accuracy and latency, which `figures.front` shows."""
    if data.usual:
        return {}
    own = objectives(data)
    return {
        f"pair-{i}-{j}": (f"{own[i].title} against {own[j].title}", _pair(data, own[j], own[i]))
        for i, j in itertools.combinations(range(len(own)), 2)
        if i or data.axes[j - 1].column != "latency_ms"
    }


def objectives(data: ReportData) -> list[Objective]:
    """Accuracy, then the costs in the run's order."""
    return [Objective("mIoU (%)", lambda record: 100 * float(record["miou"])), *(_cost(axis) for axis in data.axes)]


def extra_axes(data: ReportData) -> list[Axis]:
    """The costs that no table of the report has a column for otherwise."""
    return [axis for axis in data.axes if axis.column is None]


def extra_heads(data: ReportData) -> list[tuple[str, str]]:
    """What and unit of each extra column."""
    return [(axis.label, axis.title.unit) for axis in extra_axes(data)]


def extra_cells(data: ReportData, record: Record) -> list[str]:
    """The extra columns of a network."""
    return [significant(axis.of(record)) for axis in extra_axes(data)]


def _cost(axis: Axis) -> Objective:
    return Objective(f"{axis.label} ({axis.title.unit})", axis.of)


def _pair(data: ReportData, x: Objective, y: Objective) -> go.Figure:
    own = figure(plain(x.title), plain(y.title), height=360)
    on_front = {record["id"] for record in data.pareto}
    dominated = [record for record in data.scored if record["id"] not in on_front]
    for scale in scales_of(data, dominated):
        _networks(own, data, [r for r in dominated if r["encoding"][0] == scale], scale, (x, y), dominated=True)
    for scale in scales_of(data, data.front):
        _networks(own, data, [r for r in data.front if r["encoding"][0] == scale], scale, (x, y), dominated=False)
    chosen = [record for record in data.front if record["chosen"]]
    if chosen:
        own.add_scatter(
            x=[x.of(r) for r in chosen], y=[y.of(r) for r in chosen], mode="markers+text", name="chosen",
            text=[data.chosen[r["id"]] for r in chosen], textposition="top left", hoverinfo="skip",
            marker={"symbol": "circle-open", "size": 15, "color": ACCENT, "line": {"width": 2}},
        )  # fmt: skip
    own.update_layout(hovermode="closest")
    return own


def _networks(
    own: go.Figure,
    data: ReportData,
    records: Sequence[Record],
    scale: int,
    axes: tuple[Objective, Objective],
    dominated: bool,
) -> None:
    colour = faded(scale_colour(scale)) if dominated else scale_colour(scale)
    own.add_scatter(
        x=[axes[0].of(r) for r in records],
        y=[axes[1].of(r) for r in records],
        mode="markers",
        name=f"input {size(data.scales[scale])}",
        legendgroup=f"scale {scale}",
        showlegend=not dominated,
        marker={"color": colour, "size": 5 if dominated else 8, "symbol": scale_symbol(scale)},
        hovertext=[describe(data, r, "not on the front" if dominated else "on the front") for r in records],
        hovertemplate="%{hovertext}<extra></extra>",
    )
