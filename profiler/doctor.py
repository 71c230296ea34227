"""Is a device fit to measure: what its system says of itself, and how well it repeats itself for some seconds."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from device_agents.faults import Fault
from device_agents.statistics import median, trimmed_mean
from mosegnet import space as spaces
from mosegnet.common.errors import DeviceError
from profiler.devices import Device
from profiler.link import Link, Rule
from profiler.plan import reference_job

_REPEATS = 12
_PAUSE_S = 0.25
_RULE = Rule(target=0.01, floor=5, cap=40)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; without `good`, `remedy` says what to do."""

    what: str
    good: bool
    remedy: str = ""


def examine(device: Device) -> list[Finding]:
    """Everything that can be found out in some seconds.

    Raises:
        DeviceError: the device does not answer.
    """
    with Link(device) as link:
        hello = link.hello()
        delay_ms = _delay_ms(link)
        before = link.telemetry()
        repeats, contention = _repeat(link, hello["clock"])
        after = link.telemetry()
    runtime = hello["runtime"]
    threads = f", {runtime['threads']} thread(s) on core(s) {hello['cores']}" if "threads" in runtime else ""
    return [
        Finding(f"agent {hello['agent']} answers in {delay_ms:.2f} ms: {hello['chip'] or hello['system']}", True),
        Finding(f"{runtime['name']} {runtime['version']}, {runtime['precision']}{threads}", True),
        _clock(hello),
        *_system(before, after),
        _contention(contention),
        _repeatability(repeats),
    ]


def _delay_ms(link: Link) -> float:
    delays_s = []
    for _ in range(5):
        started = time.perf_counter()
        link.telemetry()
        delays_s.append(time.perf_counter() - started)
    return 1e3 * median(delays_s)


def _repeat(link: Link, clock: str) -> tuple[list[float], float]:
    """A small network's latency at several moments, and wall time over processor time."""
    job = reference_job(spaces.load("tiny"))
    found_ms, ratios = [], []
    for _ in range(_REPEATS):
        timing = link.time(job.make(), _RULE, "a small network")
        if isinstance(timing, Fault):
            raise DeviceError(f"the device cannot run a small network ({timing.kind}: {timing.detail})")
        found_ms.append(trimmed_mean(timing.samples_ms[clock]))
        ratios.append(median(timing.samples_ms["wall"]) / median(timing.samples_ms["thread_cpu"]))
        time.sleep(_PAUSE_S)
    return found_ms, median(ratios)


def _clock(hello: dict[str, Any]) -> Finding:
    if hello["clock"] == "wall" and hello["runtime"].get("threads") == 1:
        return Finding(
            "clock: wall time, the thread's own clock is too coarse", False, "stop everything else meanwhile"
        )
    return Finding(f"clock: {hello['clock']}", True)


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
    if "temperature_c" in after:
        hot = after["temperature_c"]
        findings.append(Finding(f"temperature: {hot:.0f} °C", hot < 80, "let it cool, or cool it better"))
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


def _repeatability(found_ms: list[float]) -> Finding:
    middle = median(found_ms)
    spread = 100 * median([abs(ms - middle) / middle for ms in found_ms]) * 1.4826  # a standard deviation, robustly
    return Finding(
        f"a network of {middle:.2f} ms repeats itself within {spread:.2f} % ({len(found_ms)} times in some seconds)",
        spread < 1,
        "entries will be no better than this: look at the findings above",
    )
