"""What an agent answers, checked: it comes from outside, and what it says may be anything."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mosegnet.digits import FloatArray
from profiler.outside import printable, short
from profiler.pipe import LinkLost

_UNITS = ("_1min", "_c", "_count", "_mb", "_mhz", "_mw", "_percent", "_s", "_ticks", "_us", "_w")
_HUGE = 1e300  # NaN and infinity are not within it, nor whole numbers that no float can hold
_SENSELESS = (AttributeError, KeyError, OverflowError, TypeError, ValueError)  # while looking into an answer


@dataclass(frozen=True, slots=True)
class Rule:
    """When a measurement stops: see `device_agents.timing.Rule`, which it becomes on the device."""

    target: float = 0.01
    floor: int = 5
    cap: int = 60
    limit_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Timing:
    """What the agent measured of one model: milliseconds a run in the order taken, on each of its clocks.

    `spent_s` is how long the device was busy with it: loading, warm-up and samples.
    """

    samples_ms: dict[str, list[float]]
    loops: int
    warm_up_runs: int
    warm: bool
    converged: bool
    spent_s: float


@dataclass(frozen=True, slots=True)
class Profile:
    """A network timed by node, by the runtime's own profiler: see `device_agents.profiling`.

    `nodes` are (name, operator, milliseconds of each run) in the order they run. `contention` is wall time over
    processor time of each run, or empty where it cannot be told.
    """

    nodes: tuple[tuple[str, str, tuple[float, ...]], ...]
    total_ms: tuple[float, ...]
    contention: tuple[float, ...]
    spent_s: float


@dataclass(frozen=True, slots=True)
class EnergyReading:
    """What the agent's meter said of one model: see `device_agents.energy`.

    `energy_mj`: of one inference, over `runs` of them in `seconds`. `source`: counter or power_samples. `busy_s`: how
    long the device was busy with it, loading included.
    """

    energy_mj: float
    runs: int
    seconds: float
    source: str
    busy_s: float


def chip_of(hello: Mapping[str, Any]) -> str:
    """What computes: the board's or the card's own chip where the runtime knows it, else the host's processor."""
    runtime = hello["runtime"]
    return str(runtime.get("soc") or runtime.get("gpu") or hello["chip"])


def introduction(answer: dict[str, Any]) -> dict[str, Any]:
    """What an agent says of itself, checked for what is asked of it later; texts in it fit to be shown."""
    runtime = answer.get("runtime")
    texts = [answer.get(name) for name in ("agent", "chip", "system", "clock")]
    if isinstance(runtime, dict):
        texts += [runtime.get(name) for name in ("name", "version", "precision")]
    if not isinstance(runtime, dict) or not all(isinstance(text, str) for text in texts):
        raise LinkLost(f"the agent introduces itself as {short(answer)}")
    return _shown(answer)


def readings_of(answer: dict[str, Any]) -> dict[str, Any]:
    """Telemetry without what makes no sense: a name that ends in a unit has numbers, and all numbers are finite."""
    shown = _shown(answer)
    return {name: value for name, value in shown.items() if _makes_sense(name, value)}


def _makes_sense(name: str, value: Any) -> bool:
    values = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else [value]
    numbers = [item for item in values if isinstance(item, int | float)]
    if name.endswith(_UNITS) and len(numbers) != len(values):
        return False
    return all(-_HUGE < number < _HUGE for number in numbers)


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, dict):
        return {printable(name): _shown(item) for name, item in value.items()}
    return value


def timing_of(answer: dict[str, Any], load_s: float, clock: str) -> Timing:
    """Samples on each clock, at least on the wall's and on `clock`; `load_s` is what loading took before."""
    try:
        samples = {str(clock): [_positive(ms) for ms in values] for clock, values in answer["samples_ms"].items()}
        if not {"wall", clock} <= set(samples) or not all(samples.values()):
            raise ValueError("no samples")
        return Timing(
            samples,
            int(answer["loops"]),
            int(answer["warm_up_runs"]),
            bool(answer["warm"]),
            bool(answer["converged"]),
            round(_duration(load_s) + _duration(answer["spent_s"]), 5),
        )
    except _SENSELESS as error:
        raise LinkLost(f"the agent's measurement makes no sense: {_briefly(error)}") from None


def energy_of(answer: dict[str, Any], busy_s: float) -> EnergyReading:
    """The energy of an inference, and how it was told; `busy_s` is how long that took, loading included."""
    try:
        runs = int(answer["runs"])
        if runs < 1:
            raise ValueError(f"{runs} runs")
        return EnergyReading(
            _positive(answer["energy_mj"]),
            runs,
            _positive(answer["seconds"]),
            printable(str(answer["source"]), 40),
            round(_duration(busy_s), 5),
        )
    except _SENSELESS as error:
        raise LinkLost(f"the agent's energy makes no sense: {_briefly(error)}") from None


def outputs_of(answer: dict[str, Any]) -> dict[str, list[float]]:
    """Outputs by name, flat lists of floats."""
    try:
        return {str(name): [float(value) for value in values] for name, values in answer["outputs"].items()}
    except _SENSELESS as error:
        raise LinkLost(f"the agent's outputs make no sense: {_briefly(error)}") from None


def arrays_of(answer: dict[str, Any]) -> dict[str, FloatArray]:
    """Packed outputs by name, flat."""
    try:
        return {str(name): unpacked(text) for name, text in answer["outputs"].items()}
    except _SENSELESS as error:
        raise LinkLost(f"the agent's outputs make no sense: {_briefly(error)}") from None


def engine_of(answer: dict[str, Any]) -> bytes:
    """What the device's runtime built."""
    try:
        return base64.b64decode(answer["bytes"], validate=True)
    except _SENSELESS as error:
        raise LinkLost(f"the agent's engine makes no sense: {_briefly(error)}") from None


def packed(array: FloatArray) -> str:
    """As the agent's `infer` takes numbers: single floats, little-endian, in base64."""
    return base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes()).decode("ascii")


def unpacked(text: str) -> FloatArray:
    """The other way, flat."""
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4")


def _briefly(error: Exception) -> str:
    return printable(repr(error), 120)


def _positive(ms: Any) -> float:
    """A time or an energy, as a number that can be one."""
    if not 0 < float(ms) < math.inf:
        raise ValueError(f"{ms} cannot be")
    return float(ms)


def _duration(seconds: Any) -> float:
    if not 0 <= float(seconds) < math.inf:
        raise ValueError(f"{seconds} is no duration")
    return float(seconds)


def profile_of(answer: dict[str, Any]) -> Profile:
    """The nodes of a network and its total, each with as many runs."""
    try:
        nodes = tuple(
            (str(node["name"]), str(node["op"]), tuple(_duration(ms) for ms in node["ms"])) for node in answer["nodes"]
        )
        total_ms = tuple(_positive(ms) for ms in answer["total_ms"])
        contention = tuple(float(ratio) for ratio in answer.get("contention", ()))
        runs = {len(node[2]) for node in nodes} | ({len(contention)} if contention else set())
        if not nodes or not total_ms or runs != {len(total_ms)}:
            raise ValueError("runs are missing")
        return Profile(nodes, total_ms, contention, _duration(answer["spent_s"]))
    except _SENSELESS as error:
        raise LinkLost(f"the agent's profile makes no sense: {_briefly(error)}") from None
