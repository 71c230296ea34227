"""A table in words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from profiler.lut import Lut


def describe(lut: Lut) -> Iterator[str]:
    """What the table knows, a line at a time."""
    table = lut.table
    yield from _device(lut)
    space = lut.space
    yield f"space     {space.name}: inputs {', '.join(f'{h}x{w}' for h, w in space.scales)}, {space.classes} classes"
    method = table.method
    yield (
        f"method    {method.name}, {method.clock} clock, target ±{method.target_percent:g} %, seed {method.seed}, "
        f"{method.visits} visits, {method.device_time_s:.0f} s of device time"
    )
    yield f"measured  {method.started} to {method.finished}, mosegnas-hil {method.tool_version}"
    yield f"drift     the reference ({method.reference_ms:.4g} ms) strayed by {method.drift_percent:.1f} % at most"
    yield from _entries(lut)
    yield from _calibration(lut)
    yield from _validation(lut)
    yield f"sha256    {lut.sha256}"


def _device(lut: Lut) -> Iterator[str]:
    device = lut.table.device
    simulated = " SIMULATED" if device.simulated else ""
    yield f"device    {device.name} ({device.kind}{simulated}): {device.chip or 'unnamed chip'}, {device.system}"
    threads = f", {device.threads} thread(s)" if device.threads else ""
    yield (
        f"runtime   {device.runtime} {device.runtime_version}, {device.precision}, batch {device.batch}{threads}, "
        f"agent {device.agent_version}"
    )


def _entries(lut: Lut) -> Iterator[str]:
    entries = lut.table.entries
    yield f"entries   {len(entries)}, {sum(entry.converged for entry in entries.values())} of them converged"
    for kind in dict.fromkeys(unit.kind for unit in lut.space.units):
        keys = [unit.key for unit in lut.space.units if unit.kind == kind]
        latency_ms = np.array([entries[key].latency_ms for key in keys])
        share = np.array([entries[key].ci95_ms for key in keys]) / latency_ms
        yield (
            f"  {kind:<8}{len(keys)} from {latency_ms.min():.3g} to {latency_ms.max():.3g} ms, "
            f"interval ±{100 * np.median(share):.1f} % in the middle"
        )
    flags = [flag for entry in entries.values() for flag in entry.flags]
    if flags:
        yield "  flags   " + ", ".join(f"{flag} {flags.count(flag)}" for flag in sorted(set(flags)))


def _calibration(lut: Lut) -> Iterator[str]:
    found = lut.calibration
    yield f"corrected by {len(found.networks)} whole networks"
    yield f"  one prediction is right within ±{found.interval_percent:.1f} % (95 %)"
    for scale, (height, width) in enumerate(lut.space.scales):
        factors = ", ".join(f"{kind} {column[scale]:.3f}" for kind, column in found.factors.items())
        yield f"  {height}x{width}: constant {found.constant_ms[scale]:.4g} ms, factors {factors}"


def _validation(lut: Lut) -> Iterator[str]:
    found = lut.table.validation
    if found is None:
        yield "proof     none: this table was not validated"
        return
    yield (
        f"proof     {found.networks} held-out networks: tau {found.kendall_tau:.3f} (ceiling {found.tau_ceiling:.3f}), "
        f"MAPE {found.mape_percent:.2f} %, within ±10 % {found.within_10_percent:.0f} %"
    )
    yield (
        f"  beside  FLOPs tau {found.flops.kendall_tau:.3f}, MAPE {found.flops.mape_percent:.2f} %; "
        f"FLOPs + params tau {found.flops_params.kendall_tau:.3f}, MAPE {found.flops_params.mape_percent:.2f} %"
    )
