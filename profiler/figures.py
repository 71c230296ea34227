"""Figures of tables: predicted against measured, entries with intervals, devices against each other."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mosegnet.common.errors import UserError
from mosegnet.common.files import write_atomic
from mosegnet.digits import FloatArray
from mosegnet.space import SCALE
from mosegnet.unit import Unit
from profiler.compare import Comparison
from profiler.lut import Lut

_FORMATS = ("png", "svg", "pdf")
_COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280", "#4a5568")
_KINDS = ("stem", "first", "layer", "decoder")
_DPI = 150


def save(figure: Figure, path: Path) -> None:
    """Write a figure whole, in the format of the path's ending.

    Raises:
        UserError: an ending that is not PNG, SVG or PDF, or the file cannot be written.
    """
    form = path.suffix.lstrip(".").lower()
    if form not in _FORMATS:
        raise UserError(f"figure {path}: name a file that ends in {', '.join('.' + one for one in _FORMATS)}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=_DPI, bbox_inches="tight")
    write_atomic(path, buffer.getvalue())


def validation(lut: Lut) -> Figure:
    """Predicted against measured latency of the held-out networks, with the fitted line (the paper's figures 4, 10)."""
    found = lut.table.validation
    assert found is not None
    X = np.array([network.encoding for network in found.measured])
    measured_ms = np.array([network.measured_ms for network in found.measured])
    half_ms = np.array([network.ci95_ms for network in found.measured])
    predicted_ms = np.array([network.predicted_ms for network in found.measured])
    figure = Figure(figsize=(6.4, 5.2))
    axes = figure.add_subplot()
    for scale, (height, width) in enumerate(lut.space.scales):
        own = X[:, SCALE] == scale
        axes.errorbar(
            measured_ms[own], predicted_ms[own], xerr=half_ms[own], fmt="o", ms=4, lw=1,
            color=_COLOURS[scale % len(_COLOURS)], label=f"{height}x{width}",
        )  # fmt: skip
    slope, offset = np.polyfit(measured_ms, predicted_ms, 1)
    ends = np.array([measured_ms.min(), measured_ms.max()])
    axes.plot(ends, ends, color="0.7", lw=1, label="predicted = measured")
    axes.plot(ends, slope * ends + offset, "k--", lw=1, label=f"fitted: {slope:.3f} x {offset:+.3g} ms")
    axes.set(xlabel="measured, ms", ylabel="predicted by the table, ms")
    axes.set_title(
        f"{_device(lut)}: {found.networks} held-out networks\ntau {found.kendall_tau:.3f} (ceiling "
        f"{found.tau_ceiling:.3f}), MAPE {found.mape_percent:.2f} %; FLOPs {found.flops.kendall_tau:.3f}, "
        f"{found.flops.mape_percent:.2f} %",
        fontsize=10,
    )
    axes.legend(fontsize=8, frameon=False)
    return figure


def entries(lut: Lut) -> Figure:
    """Every entry with its interval, sorted within its kind and stage, a panel for each input scale."""
    scales = lut.space.scales
    figure = Figure(figsize=(11, 2.8 * len(scales)))
    unit_scales = lut.space.unit_scales
    for scale, (height, width) in enumerate(scales):
        axes = figure.add_subplot(len(scales), 1, scale + 1)
        units = [u for u, own in zip(lut.space.units, unit_scales, strict=True) if own == scale]
        groups = _groups([unit for unit in units if unit.key in lut.table.entries])
        _draw_groups(axes, lut, groups)
        axes.set_ylabel(f"{height}x{width}, ms")
        axes.set_xlim(-1, sum(map(len, groups.values())))
    figure.axes[0].set_title(
        f"{_device(lut)}: entries with 95 % intervals, method {lut.table.method.name}", fontsize=10
    )
    figure.tight_layout()
    return figure


def comparison(found: Comparison) -> Figure:
    """Latency of the same networks on each pair of devices (the paper's supplement, figure 4)."""
    figure = Figure(figsize=(4.6 * len(found.pairs), 4.4))
    for k, pair in enumerate(found.pairs):
        axes = figure.add_subplot(1, len(found.pairs), k + 1)
        for scale, name in enumerate(found.scales):
            own = found.X[:, SCALE] == scale
            axes.plot(
                found.latency_ms[pair.first, own], found.latency_ms[pair.second, own], ".", ms=3,
                color=_COLOURS[scale % len(_COLOURS)], label=name,
            )  # fmt: skip
        axes.set(xlabel=f"{found.names[pair.first]}, ms", ylabel=f"{found.names[pair.second]}, ms")
        axes.set_title(
            f"tau {pair.kendall_tau:.3f}, within a scale {pair.kendall_tau_within_scale:.3f}, r {pair.pearson_r:.3f}",
            fontsize=10,
        )
        axes.legend(fontsize=8, frameon=False, markerscale=3)
    figure.tight_layout()
    return figure


def _device(lut: Lut) -> str:
    device = lut.device
    return f"{device.name}{' (SIMULATED)' if device.simulated else ''}, {device.runtime} {device.runtime_version}"


def _groups(units: list[Unit]) -> dict[tuple[str, int], list[Unit]]:
    """Units by kind and height, stages in order."""
    groups: dict[tuple[str, int], list[Unit]] = {}
    for unit in units:
        groups.setdefault((unit.kind, unit.height), []).append(unit)
    return dict(sorted(groups.items(), key=lambda item: (_KINDS.index(item[0][0]), -item[0][1])))


def _draw_groups(axes: object, lut: Lut, groups: dict[tuple[str, int], list[Unit]]) -> None:
    start = 0
    ticks: list[float] = []
    for k, units in enumerate(groups.values()):
        found = sorted((lut.table.entries[unit.key] for unit in units), key=lambda entry: entry.latency_ms)
        latency_ms: FloatArray = np.array([entry.latency_ms for entry in found])
        places = start + np.arange(len(found))
        axes.errorbar(  # type: ignore[attr-defined]
            places, latency_ms, yerr=[entry.ci95_ms for entry in found], fmt=".", ms=4, lw=0.8,
            color=_COLOURS[k % len(_COLOURS)],
        )  # fmt: skip
        ticks.append(float(places.mean()))
        start += len(found)
    labels = [f"{kind}\n{height} rows" for kind, height in groups]
    axes.set_xticks(ticks, labels, fontsize=7)  # type: ignore[attr-defined]
    axes.set_yscale("log")  # type: ignore[attr-defined]
