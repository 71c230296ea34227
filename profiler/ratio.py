"""Which of two models is faster on a device, and is the difference more than noise."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from device_agents.faults import Fault
from device_agents.statistics import t975, trimmed_mean
from mosegnet.common.console import progress_bar
from mosegnet.common.errors import DeviceError
from profiler.convert import Failure, converter_of
from profiler.devices import Device
from profiler.link import Link, Rule
from profiler.plan import Job

_LEAST_PAIRS, _MOST_PAIRS = 8, 40
_TARGET = 0.003  # half of the ratio's interval, where neither is plainly faster
_CLEAR_OF_ONE = 1.5  # half-widths; looking after every pair makes a bound of 1 too easy to pass by chance
_RULE = Rule(target=0.01, floor=5, cap=20)


@dataclass(frozen=True, slots=True)
class Ratio:
    """One model's latency over another's, with its 95 % interval, and the verdict in words."""

    latency_ms: float
    other_ms: float
    ratio: float
    low: float
    high: float
    pairs: int
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}


def compare(device: Device, model: Path, other: Path) -> Ratio:
    """Measure both in pairs, the order turned each time, until it is plain which is faster, or that it is not.

    Raises:
        DeviceError: the device failed for good, or cannot run one of them.
    """
    found_ms: list[tuple[float, float]] = []
    one, two = _models(device, model, other)
    with Link(device.boards()[0]) as link, progress_bar("comparing", _MOST_PAIRS) as bar:
        while not _enough(found_ms):
            if len(found_ms) % 2:
                pair = (_time_ms(link, one, model), _time_ms(link, two, other))
            else:
                pair = (_time_ms(link, two, other), _time_ms(link, one, model))[::-1]
            found_ms.append(pair)
            bar.advance(1, "" if len(found_ms) < 2 else f"±{100 * _interval(found_ms)[1]:.2f} %")
    return judge(found_ms)


def judge(found_ms: list[tuple[float, float]]) -> Ratio:
    """The ratio's interval from pairs of latencies, by Student's t of its logarithm; needs two pairs or more."""
    middle, half = _interval(found_ms)
    low, high = math.exp(middle - half), math.exp(middle + half)
    verdict = "faster" if high < 1 else "slower" if low > 1 else "not distinguishable"
    one, other = np.median(np.array(found_ms), axis=0)
    return Ratio(float(one), float(other), math.exp(middle), low, high, len(found_ms), verdict)


def _enough(found_ms: list[tuple[float, float]]) -> bool:
    if len(found_ms) < _LEAST_PAIRS:
        return False
    middle, half = _interval(found_ms)
    return len(found_ms) >= _MOST_PAIRS or half <= _TARGET or abs(middle) > _CLEAR_OF_ONE * half


def _interval(found_ms: list[tuple[float, float]]) -> tuple[float, float]:
    """Mean of the logarithm of the ratio, and the half-width of its interval."""
    logs = np.log(np.array(found_ms)) @ np.array([1.0, -1.0])
    half = t975(len(logs) - 1) * float(np.std(logs, ddof=1)) / math.sqrt(len(logs))
    return float(logs.mean()), half


def _models(device: Device, *paths: Path) -> list[bytes | Path]:
    """The models as the device loads them."""
    jobs = [Job(str(path), "model", lambda path=path: path) for path in paths]  # type: ignore[misc]
    found: list[bytes | Path] = []
    with converter_of(device).models(jobs) as models:
        for job, model in models:
            if isinstance(model, Failure):
                raise DeviceError(f"{job.key} cannot be converted: {model.message}")
            found.append(model)
    return found


def _time_ms(link: Link, model: bytes | Path, path: Path) -> float:
    timing = link.time(model, _RULE, str(path))
    if isinstance(timing, Fault):
        raise DeviceError(f"{path} cannot be measured ({timing.kind}: {timing.detail})")
    return trimmed_mean(timing.samples_ms[link.hello()["clock"]])
