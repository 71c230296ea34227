"""Requirements in words: `latency<=30ms`, `latency:atlas<=30ms`, `flops<=50%`, `miou>=0.70`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mosegnet.common.errors import UserError
from mosegnet.digits import IntArray
from search.goals import Limit, Quantity

MIOU = "miou"
EXAMPLES = "'latency<=30ms', 'flops<=50%' or 'miou>=0.70'"

# What a unit is worth in the quantity's own: latency ms, energy mJ, memory bytes, flops multiply-adds, params numbers.
UNITS: dict[str, dict[str, float]] = {
    "latency": {"": 1.0, "ms": 1.0, "s": 1e3, "us": 1e-3, "µs": 1e-3},
    "energy": {"": 1.0, "mj": 1.0, "j": 1e3},
    "memory": {"": 1.0, "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30},
    "flops": {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12},
    "params": {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9},
    MIOU: {"": 1.0},
}
_PATTERN = re.compile(r"\s*([a-z]+)(?::(.+?))?\s*(<=|>=|≤|≥|==|=|<|>)\s*([-+.\d]+(?:e[-+]?\d+)?)\s*([a-zµ%]*)\s*", re.I)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement as a person wrote it."""

    name: str  # a key of UNITS
    device: str | None  # after the colon
    at_most: bool
    value: float  # in the quantity's own unit, or a share of the largest network's
    of_largest: bool
    text: str


def parse(text: str) -> Requirement:
    """A requirement from words.

    Raises:
        UserError: one line that says what cannot be read, and how it is written.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise UserError(f"cannot read the requirement {text!r}: write it as {EXAMPLES}")
    name, device, sign, number, unit = match.groups()
    name, unit = name.lower(), unit.lower()
    if name not in UNITS:
        raise UserError(f"the requirement {text!r} asks for an unknown {name!r}: name one of {', '.join(UNITS)}")
    if device is not None and name not in ("latency", "energy"):
        raise UserError(f"the requirement {text!r} names a device: only latency and energy have one")
    if sign not in ("<=", ">=", "≤", "≥"):
        raise UserError(f"the requirement {text!r} needs <= or >=; a band is two requirements")
    try:
        value = float(number)
    except ValueError:
        raise UserError(f"the requirement {text!r} has no number but {number!r}: write it as {EXAMPLES}") from None
    if not 0 <= value < np.inf:
        raise UserError(f"the requirement {text!r} has a bound of {number}: it must not be negative")
    at_most, share = sign in ("<=", "≤"), unit == "%"
    if name == MIOU:
        _check_miou(text, at_most, value, unit)
    if not share and unit not in UNITS[name]:
        known = ", ".join(one for one in UNITS[name] if one) or "no unit"
        raise UserError(f"the requirement {text!r} has unit {unit!r}: {name} takes {known}")
    return Requirement(name, device, at_most, value / 100 if share else value * UNITS[name][unit], share, text.strip())


def limit_of(requirement: Requirement, quantity: Quantity, largest: IntArray) -> Limit:
    """The bound that a requirement (not of accuracy) sets; `largest` (D,) is what percentages are of.

    Raises:
        UserError: a percentage of a largest network that the device cannot run.
    """
    bound = requirement.value
    if requirement.of_largest:
        whole = float(quantity(largest[None])[0])
        if not np.isfinite(whole):
            raise UserError(
                f"{requirement.text!r} is a share of the largest network, which the device cannot run: give a number"
            )
        bound *= whole
    return Limit(quantity, bound, requirement.at_most, requirement.text)


def limits_of(
    requirements: Sequence[Requirement], quantity: Callable[[str, str | None], Quantity], largest: IntArray
) -> tuple[tuple[Limit, ...], float]:
    """Limits of the cheap side, and the least accuracy (minus infinity where none is asked)."""
    cheap = [one for one in requirements if one.name != MIOU]
    limits = tuple(limit_of(one, quantity(one.name, one.device), largest) for one in cheap)
    return limits, max([-np.inf, *(one.value for one in requirements if one.name == MIOU)])


def _check_miou(text: str, at_most: bool, value: float, unit: str) -> None:
    if at_most:
        raise UserError(f"the requirement {text!r} limits accuracy from above: write miou>=")
    if unit or value > 1:
        raise UserError(f"the requirement {text!r}: mIoU lies in 0..1, as in 'miou>=0.70'")
