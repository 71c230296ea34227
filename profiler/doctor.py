"""Is a device fit to measure: what its system says of itself, and which precision it can repeat itself with."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from device_agents.faults import Fault
from device_agents.statistics import median, trimmed_mean
from mosegnet import space as spaces
from mosegnet.common.console import progress_bar
from mosegnet.common.errors import DeviceError
from profiler import gpu
from profiler.answers import chip_of
from profiler.convert import Failure, converter_of
from profiler.devices import Device
from profiler.findings import Finding
from profiler.link import Link, Rule
from profiler.plan import EFFORT, reference_job

_PAUSE_S = 0.25
_LEAST_REPEATS = 12
_RULE = Rule(target=0.01, floor=5, cap=40)
_SLOW_SHARE = 0.9  # of the highest frequency, under which a processor is slowed down
_COARSE_CLOCK_US = 1.0


def examine(device: Device, seconds: float) -> Iterator[Finding]:
    """Everything that can be found out, with a repeatability test of so many seconds; stops where the rest is moot.

    Raises:
        DeviceError: a device that seemed fit does not answer.
    """
    for board in device.boards():
        if board.link == "ssh":
            from profiler.board import examine_board

            findings = list(examine_board(board))
            yield from findings
            if findings[-1].last:
                continue
        yield from _examine_agent(board, seconds)


def _examine_agent(device: Device, seconds: float) -> Iterator[Finding]:
    with Link(device) as link:
        hello = link.hello()
        runtime = hello["runtime"]
        simulated = ", SIMULATED" if runtime.get("simulated") or device.simulated else ""
        where = f"{chip_of(hello) or hello['system']}{simulated}"
        yield Finding(f"agent {hello['agent']} answers in {_delay_ms(link):.2f} ms: {where}", True)
        threads = f", {runtime['threads']} thread(s) on core(s) {hello['cores']}" if "threads" in runtime else ""
        yield Finding(f"{runtime['name']} {runtime['version']}, {runtime['precision']}{threads}", True)
        model = _model(device)
        if isinstance(model, Failure):
            yield Finding(f"a first unit cannot be converted: {model.line}", False, model.remedy)
            return
        if device.runtime == "acl":
            yield Finding("a first unit is converted", True)
        before = link.telemetry()
        repeats, contention = _repeat(link, model, hello["clock"], seconds)
        after = link.telemetry()
    yield from gpu.software(runtime)
    if "gpu" in runtime or any(name.startswith("gpu_") for name in after):
        yield from gpu.findings(after)
    yield _clock(hello, after)
    yield from _system(before, after)
    yield _contention(contention)
    yield from _repeatability(repeats)


def _model(device: Device) -> bytes | Path | Failure:
    """A small network as the device loads it."""
    with converter_of(device).models([reference_job(spaces.load("tiny"))]) as models:
        return next(iter(models))[1]


def _delay_ms(link: Link) -> float:
    delays_s = []
    for _ in range(5):
        started = time.perf_counter()
        link.telemetry()
        delays_s.append(time.perf_counter() - started)
    return 1e3 * median(delays_s)


def _repeat(link: Link, model: bytes | Path, clock: str, seconds: float) -> tuple[list[float], float]:
    """A small network's latency visit after visit, and wall time over processor time."""
    found_ms: list[float] = []
    ratios: list[float] = []
    started_s = time.monotonic()
    with progress_bar("repeating a small network", seconds) as bar:
        while (spent_s := time.monotonic() - started_s) < seconds or len(found_ms) < _LEAST_REPEATS:
            timing = link.time(model, _RULE, "a small network")
            if isinstance(timing, Fault):
                raise DeviceError(f"the device cannot run a small network ({timing.kind}: {timing.detail})")
            samples = timing.samples_ms
            found_ms.append(trimmed_mean(samples[clock]))
            ratios.append(median(samples["wall"]) / median(samples.get("thread_cpu", samples["wall"])))
            time.sleep(_PAUSE_S)
            bar.advance(time.monotonic() - started_s - spent_s, f"{len(found_ms)} visits")
    return found_ms, median(ratios) if clock != "device" else 1.0


def _clock(hello: dict[str, Any], telemetry: dict[str, Any]) -> Finding:
    if hello["clock"] == "wall" and hello["runtime"].get("threads") == 1:
        return Finding(
            "clock: wall time, the thread's own clock is too coarse", False, "stop everything else meanwhile"
        )
    step_us = telemetry["clock_step_us"]
    return Finding(
        f"clock: {hello['clock']}, in steps of {step_us:.3g} µs",
        step_us < _COARSE_CLOCK_US,
        "samples are made longer to bear it; `clocksource=tsc` on the kernel's command line often gives a finer one",
    )


def _system(before: dict[str, Any], after: dict[str, Any]) -> list[Finding]:
    findings = []
    if "load_1min" in before:
        others = before["load_1min"]
        findings.append(Finding(f"load of the last minute: {others:.2f}", others < 0.5, "stop other programs"))
    if "total_ticks" in before:
        ticks = max(1, after["total_ticks"] - before["total_ticks"])
        steal = 100 * (after["steal_ticks"] - before["steal_ticks"]) / ticks
        findings.append(
            Finding(f"taken by other virtual machines: {steal:.1f} %", steal < 1, "use a machine of your own")
        )
    if governors := before.get("governors"):
        steady = governors == ["performance"]
        findings.append(Finding(f"governor: {', '.join(governors)}", steady, "cpupower frequency-set -g performance"))
    if "frequency_mhz" in after and "frequency_max_mhz" in after:
        now, most = min(after["frequency_mhz"]), max(after["frequency_max_mhz"])
        slowed = now < _SLOW_SHARE * most
        findings.append(Finding(f"frequency: {now} of {most} MHz", not slowed, "fix the clock, or cool it better"))
    for name, what in (("temperature_c", "temperature"), ("npu_temperature_c", "the NPU's temperature")):
        if name in after:
            hot = after[name]
            findings.append(Finding(f"{what}: {hot:.0f} °C", hot < 80, "let it cool, or cool it better"))
    if "throttle_count" in after:
        throttled = after["throttle_count"] - before.get("throttle_count", 0)
        findings.append(Finding(f"throttled {throttled} times meanwhile", throttled == 0, "cool it better"))
    if "memory_free_mb" in after:
        free = after["memory_free_mb"]
        findings.append(Finding(f"free memory: {free} MB", free > 500, "free some memory"))
    return findings


def _contention(ratio: float) -> Finding:
    return Finding(
        f"wall time is {ratio:.2f} of processor time",
        ratio < 1.05 or (os.cpu_count() or 1) == 1,
        "other programs use the same cores: stop them, or choose `cores` in devices.toml",
    )


def _repeatability(found_ms: list[float]) -> list[Finding]:
    """What one visit is worth, what several far apart are worth, and how far the device drifts meanwhile."""
    middle = median(found_ms)
    single = _spread(found_ms)
    quarter = max(2, len(found_ms) // 4)
    windows = [median(found_ms[k : k + quarter]) for k in range(0, len(found_ms) - quarter + 1, quarter)]
    drift = 100 * (max(windows) - min(windows)) / middle
    unit, network = EFFORT["unit"].visits, EFFORT["validation"].visits
    return [
        Finding(
            f"a network of {middle:.2f} ms repeats itself within {single:.2f} % (standard deviation of "
            f"{len(found_ms)} visits): within reach are ±{_within_reach(single, unit):.1f} % for a unit, "
            f"±{_within_reach(single, network):.1f} % for a network (95 %)",
            single < 1,
            "entries will be no better than this: look at the findings above, or ask for it with --target",
        ),
        Finding(
            f"its speed wandered by {drift:.2f} % meanwhile",
            drift < 2,
            "the reference corrects for it, but let the device settle before you build a table",
        ),
    ]


def _spread(found_ms: list[float]) -> float:
    """Standard deviation in percent of the middle, robustly."""
    middle = median(found_ms)
    return 100 * 1.4826 * median([abs(ms - middle) / middle for ms in found_ms])


def _within_reach(single: float, visits: int) -> float:
    return 1.96 * single / math.sqrt(visits)
