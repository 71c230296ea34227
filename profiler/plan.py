"""What to measure for each method: units, contexts, and whole networks to build, to correct and to prove the table.

- `stub`: every unit as [1x1 conv from 8 channels → unit → global pool]. A unit measured alone is not the unit inside a
  network: it loses fusions and gains layout conversions at its borders. What is around it is measured too.
- `designed`: few whole networks in which every unit occurs, timed node by node by the runtime's own profiler.
- `networks`: whole networks only, as the paper does for the Atlas.
- `hybrid`: another table, or `stub` measured loosely, corrected with a handful of whole networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from mosegnet.common.errors import UserError
from mosegnet.cost import costs
from mosegnet.digits import IntArray
from mosegnet.onnx_graph import context_model, network_model, stub_model
from mosegnet.space import Space
from mosegnet.unit import IMAGE_CHANNELS, Shape, Unit
from profiler import sampling

VALIDATION_NETWORKS = 24
EMPTY_SHAPE: Shape = (IMAGE_CHANNELS, 1, 1)  # its context is next to nothing: what a call of the runtime costs
_CALIBRATION_PER_SCALE = 10
_NETWORKS_PER_SCALE = 100

MethodName = Literal["stub", "designed", "networks", "hybrid"]
METHODS: tuple[MethodName, ...] = get_args(MethodName)
Role = Literal["unit", "context", "designed", "calibration", "validation", "model", "energy"]


@dataclass(frozen=True, slots=True)
class Job:
    """One model to measure; `key` is unique in a plan, `make` gives its ONNX bytes or the file that holds them.

    `flops` are the multiply-adds of a whole network: how long it will take, beside the reference.
    """

    key: str
    role: Role
    make: Callable[[], bytes | Path]
    flops: int = 0


@dataclass(frozen=True, slots=True)
class Effort:
    """How many visits a role's models get at least and at most, and by how much their target may be looser."""

    visits: int
    most: int = 5
    looseness: float = 1.0


# A model's visits are far apart in time: where they disagree, more are made. Designed networks share their units, and
# are visited again only where that tells too little; networks that prove a table decide over its figures.
EFFORT: Mapping[Role, Effort] = {
    "unit": Effort(2),
    "context": Effort(2),
    "designed": Effort(1, 2),
    "calibration": Effort(2),
    "validation": Effort(3),
    "model": Effort(3),
    "energy": Effort(2, 2),
}
_LOOSE = Effort(1, 3, 3.0)  # a stub that whole networks will correct: visited again only where it did not settle
_ONE_OF_MANY = Effort(1, 1)  # a network of which the fit takes the mean with hundreds


@dataclass(frozen=True, slots=True)
class Plan:
    """All jobs of a build, and the encodings of its whole networks, shapes (n, digits).

    `effort` says how each role is measured.
    """

    method: MethodName
    jobs: tuple[Job, ...]
    reference: Job
    effort: Mapping[Role, Effort]
    designed: IntArray
    calibration: IntArray
    validation: IntArray


def make_plan(
    space: Space, method: MethodName, networks: int | None, has_prior: bool, rng: np.random.Generator
) -> Plan:
    """The plan of a method for every unit of the space.

    `networks` whole ones correct the table (of `networks` and `hybrid`; the method's own number when None);
    `has_prior`: a table stands in for the units' own measurements.

    Raises:
        UserError: the method does not take that many networks, or no prior.
    """
    if has_prior and method != "hybrid":
        raise UserError(f"method {method} starts from no table: leave out --prior, or use --method hybrid")
    if networks is not None:
        check_networks(method, networks)
    none = np.empty((0, len(space.cardinalities)), dtype=np.int64)
    designed = sampling.designed(space, rng) if method == "designed" else none
    scales = len(space.scales)
    if method == "networks":
        calibration = sampling.mixed(space, networks or _NETWORKS_PER_SCALE * scales, rng, none)
    else:
        calibration = sampling.spread(space, networks or _CALIBRATION_PER_SCALE * scales, rng)
    validation = sampling.held_out(space, VALIDATION_NETWORKS, rng, np.concatenate([designed, calibration]))
    stubs = method == "stub" or (method == "hybrid" and not has_prior)
    known = {tuple(x) for x in designed.tolist()}
    jobs = [
        *(stub_jobs(space.units) if stubs else []),
        *(network_job(space, x, "designed") for x in designed),
        *(network_job(space, x, "calibration") for x in calibration if tuple(x.tolist()) not in known),
        *(network_job(space, x, "validation") for x in validation),
    ]
    effort = dict(EFFORT)
    if method == "hybrid":
        effort |= {"unit": _LOOSE, "context": _LOOSE}
    elif method == "networks":
        effort |= {"calibration": _ONE_OF_MANY}
    return Plan(method, tuple(jobs), reference_job(space), effort, designed, calibration, validation)


def check_networks(method: MethodName, networks: int) -> None:
    """Whether a method takes so many whole networks.

    Raises:
        UserError: it does not.
    """
    if method not in ("networks", "hybrid"):
        raise UserError(f"method {method} has its own number of networks: leave out --networks")
    least = 2 if method == "hybrid" else 20
    if networks < least:
        raise UserError(f"{networks} networks are too few for method {method}: it needs {least} or more")


def reference_job(space: Space) -> Job:
    """The model measured again and again, so that drift shows: the least network at the least input."""
    return network_job(space, space.smallest(), "calibration")


def network_job(space: Space, x: IntArray, role: Role) -> Job:
    """A whole network with constant weights."""
    return Job(network_key(x), role, lambda: network_model(space.decode(x)), int(costs(space, x).flops[0]))


def network_key(x: IntArray) -> str:
    """The name of a network's measurement."""
    return "network " + ",".join(str(int(digit)) for digit in x)


def context_key(shape: Shape) -> str:
    """The name of a context's measurement."""
    return "context {}x{}x{}".format(*shape)


def context_shapes(units: Iterable[Unit]) -> list[Shape]:
    """Every distinct shape that a stub has to be subtracted for, and the empty one; images included."""
    shapes = {EMPTY_SHAPE: None}
    for unit in units:
        shapes |= dict.fromkeys(unit.input_shapes)
    return list(shapes)


def is_image(shape: Shape) -> bool:
    """Whether a unit's input is the image, which has no stub before it."""
    return shape[0] == IMAGE_CHANNELS


def stub_jobs(units: Sequence[Unit]) -> list[Job]:
    """Each unit in stub context, and every context by itself."""
    return [
        *(Job(unit.key, "unit", lambda unit=unit: stub_model(unit)) for unit in units),  # type: ignore[misc]
        *(_context_job(shape) for shape in context_shapes(units)),
    ]


def _context_job(shape: Shape) -> Job:
    return Job(context_key(shape), "context", lambda: context_model(shape))
