"""Networks to compare with: BiSeNet's decoder, ours, under encoders that nobody searched.

BiSeNet: Yu et al., ECCV 2018; ResNet: He et al., CVPR 2016; the D variant: He et al., "Bag of Tricks", CVPR 2019, as
the space's own units make it (its stem has one residual conv). Everything but the encoder is as in the space, so that
what differs is the encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mosegnet.architecture import Architecture
from mosegnet.common.errors import UserError
from mosegnet.cost import architecture_costs
from mosegnet.space import (
    CONTEXT_CHANNELS,
    FUSION_CHANNELS,
    HEAD_CHANNELS,
    SIZE_MULTIPLE,
    SPATIAL_CHANNELS,
    STEM_STRIDE,
    STRIDES,
)
from mosegnet.unit import AnyLayer, AnyStem, DecoderUnit, LayerUnit, PlainLayerUnit, PlainStemUnit, StemUnit, Unit

_BASE_CHANNELS = 64
_D_STEM_BLOCKS = 1  # the middle one of the D variant's three stem convolutions


@dataclass(frozen=True, slots=True)
class Baseline:
    """An encoder by its blocks: `depths` a stage, `width` times the channels of its publication."""

    name: str
    blocks: Literal["basic", "bottleneck", "bottleneck-d"]
    depths: tuple[int, int, int, int]
    width: float = 1.0
    input_hw: tuple[int, int] = (1024, 2048)  # where none is given
    divisor: int = 8


BASELINES = {
    baseline.name: baseline
    for baseline in (
        Baseline("bisenet-resnet18", "basic", (2, 2, 2, 2)),
        Baseline("bisenet-resnet34", "basic", (3, 4, 6, 3)),
        Baseline("bisenet-resnet50", "bottleneck", (3, 4, 6, 3)),
        Baseline("bisenet-resnet50d", "bottleneck-d", (3, 4, 6, 3)),
        Baseline("bisenet-resnet101", "bottleneck", (3, 4, 23, 3)),
        # of the cost of the space `tiny` at its largest input
        Baseline("bisenet-tiny", "basic", (2, 2, 2, 2), width=0.3125, input_hw=(224, 288), divisor=2),
    )
}


def get(name: str) -> Baseline:
    """The baseline `name`.

    Raises:
        UserError: there is none.
    """
    if name not in BASELINES:
        raise UserError(f"unknown baseline {name!r}: choose one of {', '.join(BASELINES)}")
    return BASELINES[name]


def build(baseline: Baseline, classes: int, input_hw: tuple[int, int] | None = None) -> Architecture:
    """The whole network for so many classes at one input size, the baseline's own where none is given.

    Raises:
        UserError: a side of the input is no multiple of 32.
    """
    height, width = input_hw or baseline.input_hw
    if height < SIZE_MULTIPLE or width < SIZE_MULTIPLE or height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
        raise UserError(f"input {height}x{width}: both sides must be multiples of {SIZE_MULTIPLE}")
    stem = _stem(baseline, height, width)
    layers, ends = _layers(baseline, stem)
    context = 1.0 if baseline.divisor == 8 else 0.25  # the decoder of `paper` or of `tiny`
    spatial, middle, fusion, head = (
        int(channels * context) for channels in (SPATIAL_CHANNELS, CONTEXT_CHANNELS, FUSION_CHANNELS, HEAD_CHANNELS)
    )
    decoder = DecoderUnit(height, width, ends[1], ends[2], ends[3], spatial, middle, fusion, head, classes)
    units: tuple[Unit, ...] = (stem, *layers, decoder)
    return Architecture((), (height, width), baseline.depths, units)


def of_cost(baseline: Baseline, flops: int, classes: int, input_hw: tuple[int, int]) -> Architecture:
    """The baseline made narrower or wider until its multiply-adds are nearest to `flops` at an input size.

    Raises:
        UserError: no width comes within a tenth of it.
    """
    steps = range(1, 4 * _BASE_CHANNELS // baseline.divisor + 1)
    widths = [step * baseline.divisor / _BASE_CHANNELS for step in steps]
    made = [build(_widened(baseline, width), classes, input_hw) for width in widths]
    nearest = min(made, key=lambda one: abs(architecture_costs(one).flops - flops))
    found = architecture_costs(nearest).flops
    if abs(found - flops) > 0.1 * flops:
        raise UserError(
            f"{baseline.name} at {input_hw[0]}x{input_hw[1]} has {found / 1e9:.3g} G multiply-adds at the nearest "
            f"width, not {flops / 1e9:.3g}: take another baseline or input"
        )
    return nearest


def _widened(baseline: Baseline, width: float) -> Baseline:
    return Baseline(baseline.name, baseline.blocks, baseline.depths, width, baseline.input_hw, baseline.divisor)


def _stem(baseline: Baseline, height: int, width: int) -> AnyStem:
    channels = _scaled(baseline, _BASE_CHANNELS)
    if baseline.blocks == "bottleneck-d":
        return StemUnit(height, width, _scaled(baseline, _BASE_CHANNELS // 2), channels, _D_STEM_BLOCKS)
    return PlainStemUnit(height, width, channels)


def _layers(baseline: Baseline, stem: AnyStem) -> tuple[list[AnyLayer], list[int]]:
    """The layers of all stages, and the channels that each stage ends with."""
    layers: list[AnyLayer] = []
    ends: list[int] = []
    before, h, w = stem.channels, stem.height // STEM_STRIDE, stem.width // STEM_STRIDE
    for s, (depth, stage_stride) in enumerate(zip(baseline.depths, STRIDES, strict=True)):
        own = _scaled(baseline, _BASE_CHANNELS * 2**s)
        middle, channels = (0, own) if baseline.blocks == "basic" else (own, 4 * own)
        kind = LayerUnit if baseline.blocks == "bottleneck-d" else PlainLayerUnit
        for k in range(depth):
            stride = stage_stride if k == 0 else 1
            projection = k == 0 and (stride > 1 or before != channels)
            layers.append(kind(h, w, before, middle, channels, stride, projection))
            before, h, w = channels, h // stride, w // stride
        ends.append(channels)
    return layers, ends


def _scaled(baseline: Baseline, channels: int) -> int:
    return max(baseline.divisor, round(channels * baseline.width / baseline.divisor) * baseline.divisor)
