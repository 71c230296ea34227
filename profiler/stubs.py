"""From stub models to units: what is around each unit, measured by itself, is subtracted."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mosegnet.space import Space
from mosegnet.unit import Shape, Unit
from profiler.plan import EMPTY_SHAPE, context_key, context_shapes, is_image
from profiler.prior import LEAST_MS, Known
from profiler.visits import Estimate


def units(space: Space, known: Mapping[str, Estimate]) -> dict[str, Known]:
    """What is known of each unit by its key, net of its context and of what a call of the runtime costs.

    A stub model is call + stub convs + unit + pool of the output. A context is call + stub conv + pool. So
    unit = stub model - call - sum of stub convs - pool, with
    call: the empty context; pool: in proportion to the elements, known from the images' contexts, which have no conv;
    stub conv: context - call - pool.
    A unit that was not measured, or whose context was not, is left out.
    """
    if context_key(EMPTY_SHAPE) not in known:
        return {}
    context = _Context(space, known)
    return {unit.key: _net(unit, known[unit.key], context) for unit in space.units if context.knows(unit)}


def call_ms(known: Mapping[str, Estimate]) -> float:
    """What a call of the runtime costs that computes next to nothing."""
    return known[context_key(EMPTY_SHAPE)].latency_ms


class _Context:
    """What to subtract, with the variance of it."""

    def __init__(self, space: Space, known: Mapping[str, Estimate]) -> None:
        self._known = known
        self.call_ms = call_ms(known)
        images = [shape for shape in context_shapes(space.units) if is_image(shape) and shape != EMPTY_SHAPE]
        images = [shape for shape in images if context_key(shape) in known]
        pooled_ms = sum(self.of(shape).latency_ms - self.call_ms for shape in images)
        self._pool_ms = max(0.0, pooled_ms) / max(1, sum(math.prod(shape) for shape in images))  # an element

    def knows(self, unit: Unit) -> bool:
        keys = [unit.key, *(context_key(shape) for shape in unit.input_shapes)]
        return all(key in self._known for key in keys)

    def pool_ms(self, shape: Shape) -> float:
        return self._pool_ms * math.prod(shape)

    def stub_ms(self, shape: Shape) -> float:
        return 0.0 if is_image(shape) else self.of(shape).latency_ms - self.call_ms - self.pool_ms(shape)

    def of(self, shape: Shape) -> Estimate:
        return self._known[context_key(shape)]


def _net(unit: Unit, stub: Estimate, context: _Context) -> Known:
    around_ms = context.call_ms + context.pool_ms(unit.output_shape)
    around_ms += sum(context.stub_ms(shape) for shape in unit.input_shapes)
    parts = [stub, *(context.of(shape) for shape in unit.input_shapes if not is_image(shape))]
    ci95_ms = math.sqrt(math.fsum(part.ci95_ms**2 for part in parts))
    latency_ms = stub.latency_ms - around_ms
    return Known(
        latency_ms=max(latency_ms, LEAST_MS),
        sd_ms=ci95_ms / 1.96,
        samples=stub.samples,
        converged=all(part.converged for part in parts),
        flags=(*stub.flags, *(["below_noise"] if latency_ms < ci95_ms else [])),
    )
