"""How every figure looks. Text, grid and badges take their colours from the page's style sheet, light or dark."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

# Apart for colour-blind eyes, and visible on white and on near-black.
SCALE_COLOURS = ("#3f84c8", "#d98a1f", "#2f9e77", "#b565a7", "#c4553b", "#7f8f2b")
SCALE_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "hexagon")
KIND_COLOURS = {
    "stem": "#8f6bb3",
    "first": "#2f6fb0",
    "layer": "#84b3de",
    "decoder": "#d98a1f",
    "constant": "#8a8f98",
    "other": "#b56576",
}
ACCENT, NEUTRAL, BAND = "#d1345b", "#7d8590", "rgba(125, 133, 144, 0.16)"
GRID = "#e3e6ea"  # opaque, so that the style sheet can replace it

_GREY = (150, 155, 162)


def figure(x_title: str, y_title: str, height: int) -> go.Figure:
    """An empty figure with axis titles (units included), of so many pixels of height and any width."""
    own = go.Figure()
    own.update_layout(
        template=go.layout.Template(),
        height=height,
        margin={"l": 58, "r": 14, "t": 14, "b": 50},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 13},
        hoverlabel={"bgcolor": "#20262e", "bordercolor": "#20262e", "font": {"color": "#ffffff", "family": FONT}},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
        xaxis=_axis(x_title),
        yaxis=_axis(y_title),
    )
    return own


def scale_colour(scale: int) -> str:
    """Of an input scale, by its place in the space."""
    return SCALE_COLOURS[scale % len(SCALE_COLOURS)]


def scale_symbol(scale: int) -> str:
    """Of an input scale: the scales differ without colour too."""
    return SCALE_SYMBOLS[scale % len(SCALE_SYMBOLS)]


def faded(colour: str, opacity: float = 0.5) -> str:
    """A colour half way to grey and translucent, for what is dominated."""
    channels = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    mixed = ", ".join(str((c + g) // 2) for c, g in zip(channels, _GREY, strict=True))
    return f"rgba({mixed}, {opacity})"


def badge(own: go.Figure, letter: str, x: float, y: float, far: bool = False) -> None:
    """A letter above and left of a point, where no better network can be; `far` keeps off the badge before."""
    own.add_annotation(
        x=x, y=y, text=f"<b>{letter}</b>", showarrow=True, arrowhead=0, arrowwidth=1, arrowcolor=NEUTRAL,
        ax=-24 if far else -15, ay=-46 if far else -21, borderpad=2, bgcolor=NEUTRAL, font={"size": 12},
    )  # fmt: skip


def error_bars(halves: list[float | None], colour: str, thickness: float = 1.2) -> dict[str, Any]:
    """Symmetric error bars; None is no bar."""
    array = [half or 0.0 for half in halves]
    return {"type": "data", "array": array, "color": colour, "thickness": thickness, "width": 0}


def _axis(title: str) -> dict[str, Any]:
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 13}},
        "automargin": True,
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": NEUTRAL,
        "ticks": "outside",
        "tickcolor": NEUTRAL,
        "ticklen": 4,
    }
