"""Architectures as JSON data and back, so that a file can hold a network of any space, or of none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from mosegnet.architecture import Architecture
from mosegnet.common.errors import UserError
from mosegnet.unit import AnyLayer, AnyStem, DecoderUnit, LayerUnit, PlainLayerUnit, PlainStemUnit, StemUnit, Unit

_KINDS: dict[str, type[Unit]] = {
    "stem": StemUnit,
    "layer": LayerUnit,
    "decoder": DecoderUnit,
    "plain_stem": PlainStemUnit,
    "plain_layer": PlainLayerUnit,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def to_dict(architecture: Architecture) -> dict[str, Any]:
    """The architecture as JSON data, enough to build it again."""
    return {
        "encoding": list(architecture.encoding),
        "input_hw": list(architecture.input_hw),
        "depths": list(architecture.depths),
        "units": [{"unit": _NAMES[type(unit)]} | asdict(unit) for unit in architecture.units],
    }


def from_dict(value: Mapping[str, Any]) -> Architecture:
    """The architecture that `to_dict` described.

    Raises:
        UserError: something is missing, is no number, or the units do not fit together.
    """
    try:
        height, width = (int(side) for side in value["input_hw"])
        architecture = Architecture(
            tuple(int(digit) for digit in value["encoding"]),
            (height, width),
            tuple(int(depth) for depth in value["depths"]),
            tuple(_unit(unit) for unit in value["units"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"the architecture cannot be read: {error!r}") from error
    if not _fits(architecture):
        raise UserError("the architecture's units do not fit together")
    return architecture


def _unit(value: Mapping[str, Any]) -> Unit:
    kind = _KINDS[value["unit"]]
    numbers = {field.name: value[field.name] for field in fields(kind)}
    for name, number in numbers.items():
        if not isinstance(number, int) or number < 0:
            raise ValueError(f"{name} {number!r}")
    return kind(**numbers)


def _fits(architecture: Architecture) -> bool:
    """Whether every unit takes what the one before gives, and the decoder what the last three stages give."""
    first, *layers, decoder = architecture.units
    if len(layers) != sum(architecture.depths) or len(architecture.depths) != 4 or not all(architecture.depths):
        return False
    if not isinstance(decoder, DecoderUnit) or not isinstance(first, AnyStem):
        return False
    if not all(isinstance(layer, AnyLayer) for layer in layers):
        return False
    image = (3, *architecture.input_hw)
    given = [image, *(unit.output_shape for unit in architecture.units[:-2])]
    if any(unit.input_shapes != (shape,) for unit, shape in zip(architecture.units[:-1], given, strict=True)):
        return False
    ends = [stage[-1].output_shape for stage in architecture.stages()]
    return decoder.input_shapes == (image, *ends[1:])
