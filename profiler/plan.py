"""What to measure: the stub-context method's units and contexts, and whole networks to correct and to prove the table.

A unit measured alone is not the unit inside a network: it loses fusions and gains layout conversions at its borders.
So each is measured as [1x1 conv from 8 channels → unit → global pool], and what is around it is measured too and
subtracted (see `profiler.fit`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from mosegnet.common.errors import UserError
from mosegnet.digits import IntArray
from mosegnet.onnx_graph import context_model, network_model, stub_model
from mosegnet.space import SCALE, Space
from mosegnet.unit import IMAGE_CHANNELS, Shape

CALIBRATION_PER_SCALE = 5
VALIDATION_NETWORKS = 24
EMPTY_SHAPE: Shape = (IMAGE_CHANNELS, 1, 1)  # its context is next to nothing: what a call of the runtime costs

Role = Literal["unit", "context", "calibration", "validation", "model"]


@dataclass(frozen=True, slots=True)
class Job:
    """One model to measure; `key` is unique in a plan, `make` gives its ONNX bytes or the file that holds them."""

    key: str
    role: Role
    make: Callable[[], bytes | Path]


@dataclass(frozen=True, slots=True)
class Plan:
    """All jobs of a build, and the encodings of its whole networks, shapes (n, digits)."""

    jobs: tuple[Job, ...]
    reference: Job
    calibration: IntArray
    validation: IntArray


def stub_plan(space: Space, rng: np.random.Generator) -> Plan:
    """The plan of method `stub` for every unit of the space."""
    calibration = spread(space, CALIBRATION_PER_SCALE * len(space.scales), rng)
    validation = held_out(space, VALIDATION_NETWORKS, rng, calibration)
    jobs = [
        *(Job(unit.key, "unit", lambda unit=unit: stub_model(unit)) for unit in space.units),  # type: ignore[misc]
        *(_context_job(shape) for shape in context_shapes(space)),
        *(network_job(space, x, "calibration") for x in calibration),
        *(network_job(space, x, "validation") for x in validation),
    ]
    return Plan(tuple(jobs), reference_job(space), calibration, validation)


def reference_job(space: Space) -> Job:
    """The model measured again and again, so that drift shows: the least network at the least input."""
    return network_job(space, space.smallest(), "calibration")


def network_job(space: Space, x: IntArray, role: Role) -> Job:
    """A whole network with constant weights."""
    return Job(network_key(x), role, lambda: network_model(space.decode(x)))


def network_key(x: IntArray) -> str:
    """The name of a network's measurement."""
    return "network " + ",".join(str(int(digit)) for digit in x)


def context_key(shape: Shape) -> str:
    """The name of a context's measurement."""
    return "context {}x{}x{}".format(*shape)


def context_shapes(space: Space) -> list[Shape]:
    """Every distinct shape that a stub has to be subtracted for, and the empty one; images included."""
    shapes = {EMPTY_SHAPE: None}
    for unit in space.units:
        shapes |= dict.fromkeys(unit.input_shapes)
    return list(shapes)


def is_image(shape: Shape) -> bool:
    """Whether a unit's input is the image, which has no stub before it."""
    return shape[0] == IMAGE_CHANNELS


def spread(space: Space, n: int, rng: np.random.Generator) -> IntArray:
    """n distinct networks from the smallest to the largest of every scale, shape (n, digits).

    Uniform draws crowd around the middle of the space; here each digit follows its network's size, with some play.
    """
    most = np.array(space.cardinalities) - 1
    rows: dict[tuple[int, ...], None] = {}
    for k in range(n):
        scale, step = k % len(space.scales), k // len(space.scales)
        steps = (n - 1 - scale) // len(space.scales)  # of this scale, after the first
        size = step / steps if steps else 0.5
        for _ in range(100):
            x = np.clip(np.rint(size * most + rng.uniform(-0.8, 0.8, len(most))), 0, most).astype(np.int64)
            x[SCALE] = scale
            row = tuple(int(digit) for digit in space.canonical(x)[0])
            if row not in rows:
                break
        rows[row] = None
    return np.array(list(rows), dtype=np.int64)


def held_out(space: Space, n: int, rng: np.random.Generator, known: IntArray) -> IntArray:
    """n networks, none of them in `known`: half drawn uniformly (over all scales), half from small to large.

    Raises:
        UserError: n is under 2, or the space is too small for so many.
    """
    if n < 2:
        raise UserError(f"{n} networks cannot prove a table: ask for 2 or more, 20 for a figure to rely on")
    taken = {tuple(row) for row in known.tolist()}
    rows: list[tuple[int, ...]] = []
    for _ in range(50):
        uniform = space.sample(n - n // 2, rng)
        uniform[:, SCALE] = np.arange(len(uniform)) % len(space.scales)
        for row in map(tuple, np.concatenate([spread(space, n // 2, rng), uniform]).tolist()):
            if row not in taken and len(rows) < n:
                taken.add(row)
                rows.append(row)
        if len(rows) == n:
            return np.array(rows, dtype=np.int64)
    raise UserError(f"this space has not {n} networks beside those that the table was fitted to: ask for fewer")


def _context_job(shape: Shape) -> Job:
    return Job(context_key(shape), "context", lambda: context_model(shape))
