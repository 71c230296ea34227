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
    plan = ", ".join(f"{count} {role}" for role, count in method.plan.items())
    yield f"method    {method.name}: {plan}; seed {method.seed}"
    rule = "" if method.target_percent is None else f", ±{method.target_percent:g} %"
    rule += "" if method.floor is None else f", {method.floor} to {method.cap} samples a visit"
    yield f"  rule    {method.clock} clock{rule}; {method.statistic}"
    if method.prior is not None:
        yield f"  prior   the table with sha256 {method.prior}"
    yield (
        f"  effort  {method.visits} visits, {method.device_time_s:.0f} s of device time and "
        f"{method.proof_time_s:.0f} s for the proof, {method.restarts} restart(s) of the agent"
    )
    yield f"measured  {method.started} to {method.finished}, mosegnas-hil {method.tool_version}"
    if method.imported is not None:
        found = method.imported
        yield f"imported  {found.files} files of {found.tool}, {found.samples} samples, sha256 {found.sha256}"
    if method.drift_percent is None:
        yield "drift     not known: no reference was measured in between"
    else:
        yield f"drift     the reference ({method.reference_ms:.4g} ms) strayed by {method.drift_percent:.1f} % at most"
    yield from _entries(lut)
    yield from _calibration(lut)
    yield from _validation(lut)
    yield from _energy(lut)
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
        found = [entries[unit.key] for unit in lut.space.units if unit.kind == kind and unit.key in entries]
        if found:
            latency_ms = np.array([entry.latency_ms for entry in found])
            share = np.array([entry.ci95_ms for entry in found]) / latency_ms
            yield (
                f"  {kind:<8}{len(found)} from {latency_ms.min():.3g} to {latency_ms.max():.3g} ms, "
                f"interval ±{100 * np.median(share):.1f} % in the middle"
            )
    flags = [flag for entry in entries.values() for flag in entry.flags]
    if flags:
        yield "  flags   " + ", ".join(f"{flag} {flags.count(flag)}" for flag in sorted(set(flags)))
    for key, reason in lut.table.unmeasured.items():
        yield f"  none    {key}: {reason}"


def _calibration(lut: Lut) -> Iterator[str]:
    found = lut.calibration
    yield f"corrected by {len(found.networks)} whole networks, which it fits within {found.noise_percent:.2f} %"
    shares = [entry.latency_ms / entry.unit_ms for entry in lut.table.entries.values() if entry.unit_ms is not None]
    if shares:
        low, middle, high = np.quantile(shares, [0.05, 0.5, 0.95])
        yield f"  entries are {middle:.3f} of what was known of the unit itself, 90 % of them {low:.3f} to {high:.3f}"
    for (height, width), constant_ms, percent in zip(
        lut.space.scales, found.constant_ms, found.interval_percent, strict=True
    ):
        yield f"  {height}x{width}: constant {constant_ms:.4g} ms, one prediction within ±{percent:.1f} % (95 %)"
    if lut.drift:
        yield f"  between visits to the device another ±{100 * lut.drift:.1f} %"


def _validation(lut: Lut) -> Iterator[str]:
    found = lut.table.validation
    if found is None:
        yield "proof     none: this table was not validated"
        return
    yield (
        f"proof     {found.networks} held-out networks: tau {found.kendall_tau:.3f} (ceiling {found.tau_ceiling:.3f}), "
        f"MAPE {found.mape_percent:.2f} %, bias {found.bias_percent:+.2f} %, "
        f"within ±5 % {found.within_5_percent:.0f} %, ±10 % {found.within_10_percent:.0f} %"
    )
    yield (
        f"  noise   {found.label_noise_percent:.2f} % in the labels; {found.coverage_percent:.0f} % of the networks "
        "inside their 95 % interval"
    )
    yield (
        f"  beside  FLOPs tau {found.flops.kendall_tau:.3f}, MAPE {found.flops.mape_percent:.2f} %; "
        f"FLOPs + params tau {found.flops_params.kendall_tau:.3f}, MAPE {found.flops_params.mape_percent:.2f} %"
    )
    for visit in lut.table.visits:
        yield (
            f"  visit   {visit.measured_at or 'at an unknown time'}{', of the build' if visit.own else ''}: "
            f"{visit.networks} networks, tau {visit.kendall_tau:.3f}, MAPE {visit.mape_percent:.2f} %, "
            f"bias {visit.bias_percent:+.2f} %"
        )


def _energy(lut: Lut) -> Iterator[str]:
    found = lut.table.energy
    if found is None:
        yield "energy    none: the device did not tell it, or it was not asked"
        return
    yield (
        f"energy    by {found.source}, fitted to {len(found.networks)} whole networks within "
        f"{found.noise_percent:.2f} %"
    )
    yield (
        f"  effort  {found.window_s:g} s a figure, {found.device_time_s:.0f} s in all; "
        f"{found.power_w:.3g} W in the middle"
    )
    if found.flags:
        yield f"  flags   {', '.join(found.flags)}"
    for (height, width), constant_mj, percent in zip(
        lut.space.scales, found.constant_mj, found.interval_percent, strict=True
    ):
        yield f"  {height}x{width}: constant {constant_mj:.4g} mJ, one prediction within ±{percent:.1f} % (95 %)"
    proof = found.validation
    if proof is None:
        yield "  proof   none"
        return
    yield (
        f"  proof   {proof.networks} held-out networks: tau {proof.kendall_tau:.3f} (ceiling {proof.tau_ceiling:.3f}), "
        f"MAPE {proof.mape_percent:.2f} %, {proof.coverage_percent:.0f} % inside their 95 % interval"
    )
    yield (
        f"  beside  latency times one power: tau {proof.one_power.kendall_tau:.3f}, "
        f"MAPE {proof.one_power.mape_percent:.2f} %"
    )
