"""Is a graphics card fit to measure: what its telemetry says, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from profiler.findings import Finding

_SLOWED = {  # reasons to run slower that a measurement must not have
    "sw_power_cap": "it runs into its power limit: lock lower clocks (nvidia-smi -lgc), or raise the limit (-pl)",
    "hw_slowdown": "cool it better, and check its power supply",
    "sync_boost": "take it out of the sync boost group",
    "sw_thermal_slowdown": "cool it better, or lock lower clocks (nvidia-smi -lgc)",
    "hw_thermal_slowdown": "cool it better, or lock lower clocks (nvidia-smi -lgc)",
    "hw_power_brake_slowdown": "check its power supply",
}
_IDLE = "gpu_idle"
_HOT_C = 83


def findings(telemetry: Mapping[str, Any]) -> list[Finding]:
    """What the readings of a GPU runtime bear out; readings that are not there give no finding.

    telemetry: of `Link.telemetry`, best taken right after a measurement: an idle card's clocks say little.
    """
    if "gpu_fault" in telemetry:
        remedy = "install the driver's libnvidia-ml (nvidia-smi must work), or give a container the utility capability"
        return [Finding(f"the card's state cannot be read: {telemetry['gpu_fault']}", False, remedy)]
    found: list[Finding] = []
    if "gpu_driver" in telemetry:
        found.append(Finding(f"driver: {telemetry['gpu_driver']}", True))
    for read in (_clocks, _persistence, _others, _reasons, _temperature, _energy):
        finding = read(telemetry)
        if finding is not None:
            found.append(finding)
    return found


def software(runtime: Mapping[str, Any]) -> list[Finding]:
    """CUDA and TensorRT, from what a GPU runtime says of itself in its hello.

    runtime: `Link.hello()["runtime"]`.
    """
    found = []
    if "cuda_runtime" in runtime:
        known, needed = (_number(runtime[name]) for name in ("cuda_driver", "cuda_runtime"))
        what = f"CUDA {runtime['cuda_runtime']}, the driver knows {runtime['cuda_driver']}"
        found.append(Finding(what, known[0] >= needed[0], "install a newer driver, or an older CUDA package"))
    if "tensorrt" in runtime:
        found.append(Finding(f"TensorRT {runtime['tensorrt']} on {runtime.get('gpu', 'a card')}", True))
    if runtime.get("tf32"):
        found.append(Finding("fp32 multiplies as TF32 where the card can, as it does by default everywhere", True))
    if runtime.get("simulated"):
        found.append(Finding("a stand-in takes the place of the card: figures are a model's", False, "use a card"))
    return found


def _clocks(telemetry: Mapping[str, Any]) -> Finding | None:
    now, most = telemetry.get("gpu_sm_clock_mhz"), telemetry.get("gpu_sm_clock_max_mhz")
    if now is None or most is None:
        return None
    if _IDLE in telemetry.get("gpu_reasons", ()):
        return Finding(f"clocks: idle at {now} MHz of {most} MHz; whether they are locked cannot be seen now", True)
    # NVML tells no lock; a card that is free to boost seldom stands at a steady part of its range
    application = telemetry.get("gpu_sm_clock_application_mhz")
    steady = now == application or now < 0.9 * most
    return Finding(
        f"clocks: {now} MHz of {most} MHz{' (as set)' if now == application else ''}",
        steady,
        f"lock them below the boost range, so that they hold: nvidia-smi -lgc {int(0.75 * most)} (undo: -rgc)",
    )


def _persistence(telemetry: Mapping[str, Any]) -> Finding | None:
    on = telemetry.get("gpu_persistence")
    if on is None:
        return None
    return Finding(f"persistence mode: {'on' if on else 'off'}", bool(on), "nvidia-smi -pm 1")


def _others(telemetry: Mapping[str, Any]) -> Finding | None:
    others = telemetry.get("gpu_other_processes")
    if others is None:
        return None
    return Finding(f"other processes on the card: {others}", others == 0, "stop them: nvidia-smi names them")


def _reasons(telemetry: Mapping[str, Any]) -> Finding | None:
    reasons = telemetry.get("gpu_reasons")
    if reasons is None:
        return None
    slowed = [reason for reason in reasons if reason in _SLOWED]
    if not slowed:
        return Finding("throttling: none", True)
    return Finding(f"throttling: {', '.join(slowed)}", False, _SLOWED[slowed[0]])


def _temperature(telemetry: Mapping[str, Any]) -> Finding | None:
    hot = telemetry.get("gpu_temperature_c")
    if hot is None:
        return None
    return Finding(f"card's temperature: {hot} °C", hot < _HOT_C, "let it cool, or cool it better")


def _energy(telemetry: Mapping[str, Any]) -> Finding | None:
    if "gpu_energy_mj" in telemetry:
        return Finding("energy: the card counts it", True)
    if "gpu_power_w" in telemetry:
        return Finding("energy: from samples of power, the card has no counter", True)
    return None


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
