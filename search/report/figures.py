"""The figures, each from the report's data to one Plotly figure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

from search.report.data import Record, ReportData
from search.report.text import encoding, fixed, percent, plain, shortened, significant, size, tau, with_interval
from search.report.theme import (
    ACCENT,
    BAND,
    KIND_COLOURS,
    NEUTRAL,
    badge,
    error_bars,
    faded,
    figure,
    scale_colour,
    scale_symbol,
)

BAND_SHARE = 0.05
_HOVER = "%{hovertext}<extra></extra>"
_CLOSE = 0.07  # badges of points nearer than this share of the axes would touch


def front(data: ReportData) -> go.Figure:
    """Every scored network, the front as the border of what it dominates, the chosen ones with their letters."""
    own = figure(latency_title(data, "predicted latency"), "mIoU (%)", height=520)
    on_front = {record["id"] for record in data.pareto}
    dominated = [record for record in data.scored if record["id"] not in on_front]
    for scale in scales_of(data, dominated):
        _networks(own, data, [r for r in dominated if r["encoding"][0] == scale], scale, dominated=True)
    border = data.front
    if data.usual:  # of more objectives the front is no line in this plane
        own.add_scatter(
            x=[r["latency_ms"] for r in border], y=[100 * r["miou"] for r in border], mode="lines", name="the front",
            line={"shape": "hv", "color": NEUTRAL, "width": 1.5}, hoverinfo="skip",
        )  # fmt: skip
    for scale in scales_of(data, border):
        _networks(own, data, [r for r in border if r["encoding"][0] == scale], scale, dominated=False)
    _mark_chosen(own, data)
    shares = [100 * record["miou"] for record in [*data.scored, *data.pareto]]
    span = max(shares) - min(shares) or 1.0
    own.update_yaxes(range=[min(shares) - 0.05 * span, max(shares) + 0.12 * span])  # room for the badges on top
    own.update_layout(hovermode="closest")
    return own


def hypervolume(data: ReportData) -> go.Figure:
    """The area that the front dominates over the networks evaluated, one point a generation."""
    unit = "mIoU × ms" if data.usual else "mIoU, costs as shares of the reference"
    own = figure("networks evaluated", f"hypervolume ({unit})", height=340)
    records = data.generations
    own.add_scatter(
        x=[r["evaluated"] for r in records], y=[r["hypervolume"] for r in records], mode="lines+markers",
        line={"color": scale_colour(0), "width": 2}, marker={"size": 7}, hovertemplate=_HOVER,
        hovertext=[
            f"generation {r['generation']}<br>{r['evaluated']} networks evaluated<br>"
            f"hypervolume {significant(r['hypervolume'], 5)}"
            for r in records
        ],
    )  # fmt: skip
    return own


def surrogate_tau(data: ReportData) -> go.Figure:
    """How well the surrogate ranked the networks that each generation then evaluated."""
    own = figure("generation", "Kendall’s tau (−1 to 1)", height=340)
    records = [r for r in data.generations if r["surrogate_tau"] is not None]
    own.add_scatter(
        x=[r["generation"] for r in records], y=[r["surrogate_tau"] for r in records], mode="lines+markers",
        line={"color": scale_colour(1), "width": 2}, marker={"size": 7}, hovertemplate=_HOVER,
        hovertext=[f"generation {r['generation']}<br>tau {tau(r['surrogate_tau'])}" for r in records],
    )  # fmt: skip
    own.update_xaxes(tick0=0, dtick=max(1, len(data.generations) // 8))
    least = min([0.0, *(r["surrogate_tau"] for r in records)])
    own.update_yaxes(range=[least - 0.05, 1.05])
    own.add_hline(y=0, line={"color": NEUTRAL, "width": 1})
    return own


def agreement(data: ReportData) -> go.Figure:
    """Predicted against re-measured latency, with the identity and the band of ±5 %."""
    own = figure(latency_title(data, "re-measured"), latency_title(data, "predicted"), height=400)
    records = data.remeasured
    values = [r[name] for r in records for name in ("latency_ms", "measured_ms")]
    margin = 0.07 * (max(values) - min(values)) or 0.1 * max(values)
    ends = [max(0.0, min(values) - margin), max(values) + margin]
    low, high = 1 - BAND_SHARE, 1 + BAND_SHARE
    own.add_scatter(
        x=[*ends, *ends[::-1]], y=[low * ends[0], low * ends[1], high * ends[1], high * ends[0]], mode="lines",
        fill="toself", fillcolor=BAND, line={"width": 0}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    dotted = {"color": NEUTRAL, "dash": "dot"}
    own.add_scatter(x=ends, y=ends, mode="lines", line=dotted, hoverinfo="skip", showlegend=False)
    _remeasured(own, data, records, [r["latency_ms"] for r in records], [r["ci95_ms"] for r in records])
    own.update_xaxes(range=ends)
    own.update_yaxes(range=ends)
    return own


def differences(data: ReportData) -> go.Figure:
    """What the prediction is off by, as a share of the re-measured latency."""
    own = figure(latency_title(data, "re-measured"), "predicted − re-measured (%)", height=400)
    records = data.remeasured
    halves = [100 * (r["ci95_ms"] or 0.0) / r["measured_ms"] for r in records]
    _remeasured(own, data, records, [difference_percent(r) for r in records], halves)
    own.add_hrect(y0=-100 * BAND_SHARE, y1=100 * BAND_SHARE, fillcolor=BAND, line_width=0, layer="below")
    own.add_hline(y=0, line={"color": NEUTRAL, "dash": "dot"})
    return own


def units(data: ReportData) -> go.Figure:
    """The latency of every unit of the chosen networks, in the order they run, one bar a network."""
    letters = data.chosen
    records = [r for r in data.front if r["chosen"] and r["breakdown"]]
    own = figure(latency_title(data, "predicted latency"), "", height=140 + 42 * len(records))
    names = [f"<b>{letters[r['id']]}</b>  {plain(shortened(r['id']))}" for r in records]
    pieces = [piece for name, r in zip(names, records, strict=True) for piece in _pieces(name, r)]
    for kind, colour in KIND_COLOURS.items():
        mine = [piece for piece in pieces if piece["kind"] == kind]
        if mine:
            own.add_bar(
                orientation="h", name=_KIND_WORDS.get(kind, kind), hovertemplate=_HOVER, width=0.62,
                marker={"color": colour, "line": {"color": "rgba(255, 255, 255, 0.75)", "width": 1}},
                **{field: [piece[field] for piece in mine] for field in ("x", "y", "base", "hovertext")},
            )  # fmt: skip
    own.update_layout(barmode="overlay")
    own.update_yaxes(autorange="reversed", categoryorder="array", categoryarray=names, ticks="")
    return own


def difference_percent(record: Record) -> float:
    """Predicted less re-measured latency, as a percentage of the re-measured."""
    return 100 * float(record["latency_ms"] / record["measured_ms"] - 1)


def latency_title(data: ReportData, what: str) -> str:
    """The title of an axis of latency; on a simulated device it says so."""
    return f"{what}{', simulated' if data.simulated else ''} (ms)"


_KIND_WORDS = {"first": "first layer"}


def _networks(own: go.Figure, data: ReportData, records: Sequence[Record], scale: int, dominated: bool) -> None:
    colour = faded(scale_colour(scale)) if dominated else scale_colour(scale)
    own.add_scatter(
        x=[r["latency_ms"] for r in records],
        y=[100 * r["miou"] for r in records],
        mode="markers",
        name=f"input {size(data.scales[scale])}",
        legendgroup=f"scale {scale}",
        showlegend=not dominated,
        marker={"color": colour, "size": 6 if dominated else 9, "symbol": scale_symbol(scale)},
        error_x=error_bars([r["ci95_ms"] for r in records], faded(colour, 0.3) if not dominated else colour, 1),
        hovertext=[describe(data, r, "dominated" if dominated else "on the front") for r in records],
        hovertemplate=_HOVER,
    )


def _mark_chosen(own: go.Figure, data: ReportData) -> None:
    records = [r for r in data.front if r["chosen"]]
    if not records:
        return
    points = [(r["latency_ms"], 100 * r["miou"]) for r in records]
    own.add_scatter(
        x=[x for x, _ in points], y=[y for _, y in points], mode="markers", name="chosen", hoverinfo="skip",
        marker={"symbol": "circle-open", "size": 17, "color": ACCENT, "line": {"width": 2}},
    )  # fmt: skip
    everything = [(r["latency_ms"], 100 * r["miou"]) for r in [*data.scored, *data.pareto]]
    _badges(own, list(data.chosen.values()), points, everything)


def _badges(
    own: go.Figure, letters: Iterable[str], points: list[tuple[float, float]], everything: list[tuple[float, float]]
) -> None:
    """A badge for each point; of two that would touch, the second goes farther out."""
    spans = [max(axis) - min(axis) or 1.0 for axis in zip(*everything, strict=True)]
    far, before = False, None
    for letter, point in zip(letters, points, strict=True):
        gaps: list[float] = [] if before is None else [abs(a - b) for a, b in zip(point, before, strict=True)]
        near = bool(gaps) and all(gap < _CLOSE * span for gap, span in zip(gaps, spans, strict=True))
        far, before = near and not far, point
        badge(own, letter, *point, far=far)


def _remeasured(
    own: go.Figure, data: ReportData, records: Sequence[Record], y: list[float], y_halves: list[float | None]
) -> None:
    letters, rows = data.chosen, list(zip(records, y, y_halves, strict=True))
    sides = dict(zip(letters, itertools.cycle(("top left", "bottom right")), strict=False))  # neighbours keep apart
    for scale in scales_of(data, records):
        mine = [row for row in rows if row[0]["encoding"][0] == scale]
        own.add_scatter(
            x=[r["measured_ms"] for r, _, _ in mine], y=[value for _, value, _ in mine], mode="markers+text",
            name=f"input {size(data.scales[scale])}", hovertemplate=_HOVER,
            marker={"color": scale_colour(scale), "size": 9, "symbol": scale_symbol(scale)},
            error_x=error_bars([r["measured_ci95_ms"] for r, _, _ in mine], scale_colour(scale)),
            error_y=error_bars([half for _, _, half in mine], scale_colour(scale)),
            text=[letters.get(r["id"], "") for r, _, _ in mine],
            textposition=[sides.get(r["id"], "top left") for r, _, _ in mine],
            hovertext=[describe(data, r, f"{fixed(difference_percent(r), 1, sign=True)} %") for r, _, _ in mine],
        )  # fmt: skip


def describe(data: ReportData, record: Record, also: str) -> str:
    """The hover text of a network."""
    letter, again = data.chosen.get(record["id"]), record.get("measured_ms")
    lines = [
        f"<b>{plain(record['id'])}</b> {f'({letter}) ' if letter else ''}{also}",
        encoding(record["encoding"]),
        f"input {size(data.scales[record['encoding'][0]])}, mIoU {percent(record['miou'], 2)} %",
        f"predicted {with_interval(record['latency_ms'], record['ci95_ms'])} ms",
        *([] if again is None else [f"re-measured {with_interval(again, record['measured_ci95_ms'])} ms"]),
        f"{significant(record['flops'] / 1e9)} G multiply-adds, {significant(record['params'] / 1e6)} M params",
        *(
            f"{plain(axis.label)} {significant(axis.of(record))} {axis.title.unit}"
            for axis in data.axes
            if not axis.column
        ),
        *([plain(", ".join(record["chosen"]))] if record.get("chosen") else []),
    ]
    return "<br>".join(lines)


def _pieces(name: str, record: Record) -> Iterable[dict[str, Any]]:
    """One bar's segments, each beginning where the one before ends."""
    lengths = [ms for _, ms in record["breakdown"]]
    starts = itertools.accumulate(lengths, initial=0.0)
    for (unit, ms), start in zip(record["breakdown"], starts, strict=False):
        kind = unit_kind(unit)
        share = percent(ms / record["latency_ms"]) if record["latency_ms"] else ""
        text = f"<b>{plain(unit)}</b><br>{significant(ms)} ms, {share} % of the network"
        yield {"kind": kind, "x": ms, "y": name, "base": start, "hovertext": text}


def unit_kind(unit: str) -> str:
    """Of a unit's key: its first word, where that is a kind."""
    kind = str(unit).split(" ", 1)[0]
    return kind if kind in KIND_COLOURS else "other"


def scales_of(data: ReportData, records: Sequence[Record]) -> list[int]:
    present = {record["encoding"][0] for record in records}
    return [scale for scale in range(len(data.scales)) if scale in present]
