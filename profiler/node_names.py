"""What runtimes call their nodes, and which units those work for.

A node of ONNX Runtime is one operator, or some that it fused, named after one of them. A layer of TensorRT is a list
(`Conv/a + Relu/b`, `a || b`), a stretch of the graph (`{ForeignNode[first...last]}`), or a name of its own with the
list in brackets, which the agent appends from the engine's metadata (`__myl_ConvAdd_myl0_3 (Conv/a + Add/b)`). What a
runtime put in itself, such as a change of layout, is named after its neighbour, or after nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from mosegnet.architecture import Architecture
from mosegnet.common.errors import UserError
from mosegnet.graph import operators

_PART = re.compile(r"(?:^|[^A-Za-z0-9])(stem|stages\.\d+\.\d+|decoder)\.(t\d+|y)?")
_STRETCH = re.compile(r"\[(.*?)\.\.\.(.*?)\]")
_BEFORE = "ReorderInput"  # a conversion that the node after it asked for
_MACS_PER_VALUE = 10.0  # what writing a value costs beside a multiply-add, roughly: it splits what nobody timed apart

Node = tuple[str, str, tuple[float, ...]]  # name, operator, milliseconds of each run
Part = tuple[str, str]  # prefix of a unit in `Architecture.named_units`, tensor in it ("" where none is named)


def shares(nodes: Sequence[Node], architecture: Architecture) -> list[dict[str, float]]:
    """Each node's units, by their prefix in `Architecture.named_units`, with its share in each; shares add up to 1.

    A node that spans several units is split by what its operators cost there.

    Raises:
        UserError: no node at all carries a unit's name.
    """
    costs = _costs(architecture)
    listed = [_parts(name) for name, _, _ in nodes]
    timed = {part for parts, stretch in listed if stretch is None for part in parts}
    found = [_split(parts if stretch is None else _inside(stretch, costs, timed), costs) for parts, stretch in listed]
    if not any(found):
        raise UserError(
            "the runtime's profiler gives no node the name that it has in the graph: take --method hybrid, which needs "
            "none"
        )
    return _with_neighbours(found, [op for _, op, _ in nodes])


def _parts(name: str) -> tuple[list[Part], tuple[Part, Part] | None]:
    """The operators that a name lists, and the ends of the stretch where that is all that it tells."""
    outside = [_part(match) for match in _PART.finditer(_STRETCH.sub("", name))]
    stretch = _STRETCH.search(name)
    if outside or stretch is None:
        return list(dict.fromkeys(outside)), None
    ends = [_PART.search(end) for end in stretch.groups()]
    known = [_part(end) for end in ends if end is not None]
    return known, (known[0], known[-1]) if known else None


def _part(match: re.Match[str]) -> Part:
    return match.group(1), match.group(2) or ""


def _inside(ends: tuple[Part, Part], costs: Mapping[Part, float], timed: set[Part]) -> list[Part]:
    """The operators from one end to the other, in the order they run, without those that have a node of their own."""
    order = list(costs)
    places = sorted(order.index(end) for end in ends if end in costs)
    if len(places) < 2:
        return list(ends)
    within = order[places[0] : places[1] + 1]
    return [part for part in within if part not in timed or part in ends]


def _split(parts: Sequence[Part], costs: Mapping[Part, float]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in parts:
        weights[part[0]] = weights.get(part[0], 0.0) + costs.get(part, 1.0)
    total = sum(weights.values())
    return {unit: weight / total for unit, weight in weights.items()}


def _with_neighbours(found: Sequence[dict[str, float]], kinds: Sequence[str]) -> list[dict[str, float]]:
    """A node without a name goes to the next one when it prepares an input, else to the one before."""
    filled = list(found)
    for k in range(1, len(filled)):
        if not filled[k] and kinds[k] != _BEFORE:
            filled[k] = filled[k - 1]
    for k in reversed(range(len(filled) - 1)):
        filled[k] = filled[k] or filled[k + 1]
    last = next(one for one in reversed(filled) if one)
    return [one or last for one in filled]


@lru_cache(maxsize=256)
def _costs(architecture: Architecture) -> Mapping[Part, float]:
    """What each operator costs beside the others, in the order they run; the activation is in its convolution."""
    return {
        (prefix, op.output): op.macs + _MACS_PER_VALUE * op.shape[0] * op.shape[1] * op.shape[2]
        for prefix, unit in architecture.named_units()
        for op in operators(unit)
    }
