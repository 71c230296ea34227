"""The operators of a unit, once, in order: what the ONNX graph, the costs and a device model are all made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from mosegnet.unit import DecoderUnit, LayerUnit, PlainLayerUnit, PlainStemUnit, Shape, StemUnit, Unit

OpKind = Literal[
    "conv", "relu", "sigmoid", "add", "mul", "concat", "max_pool", "avg_pool", "global_pool", "nearest", "bilinear"
]
HEAD_FACTOR = 8  # the logits at 1/8 are upsampled by it


@dataclass(frozen=True, slots=True)
class Op:
    """One operator; a conv carries its bias (or folded batch norm) and, with `relu`, the activation after it.

    `weights` is the prefix of a conv's tensors in the unit's state dict. `factor` is the stride of a conv or pool
    and the scale of an upsampling.
    """

    kind: OpKind
    inputs: tuple[str, ...]
    output: str
    shape: Shape  # of the output, (C, H, W)
    in_channels: int = 0
    kernel: int = 1
    factor: int = 1
    weights: str = ""
    batch_norm: bool = True
    relu: bool = False

    @property
    def macs(self) -> int:
        """Multiply-adds; only convolutions count, as is usual."""
        channels, height, width = self.shape
        return height * width * channels * self.in_channels * self.kernel**2 if self.kind == "conv" else 0

    @property
    def params(self) -> int:
        """Trained numbers: weights, and scale and shift of the batch norm or the bias."""
        if self.kind != "conv":
            return 0
        per_channel = 2 if self.batch_norm else 1
        return self.shape[0] * (self.in_channels * self.kernel**2 + per_channel)


@lru_cache(maxsize=4096)
def operators(unit: Unit) -> tuple[Op, ...]:
    """The unit's operators in the order they run; inputs are `x0`, `x1`, …, the output is `y`."""
    tape = _Tape(unit)
    if isinstance(unit, StemUnit):
        _stem(tape, unit)
    elif isinstance(unit, LayerUnit):
        _layer(tape, unit)
    elif isinstance(unit, PlainStemUnit):
        _plain_stem(tape, unit)
    elif isinstance(unit, PlainLayerUnit):
        _plain_layer(tape, unit)
    else:
        _decoder(tape, unit)
    return tape.finish()


class _Tape:
    """Records operators and knows the shape of every tensor so far."""

    def __init__(self, unit: Unit) -> None:
        self._ops: list[Op] = []
        self._shapes: dict[str, Shape] = {f"x{k}": shape for k, shape in enumerate(unit.input_shapes)}

    def conv(
        self,
        x: str,
        weights: str,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        relu: bool = True,
        norm: bool = True,
    ) -> str:
        c, h, w = self._shapes[x]
        shape = (channels, -(-h // stride), -(-w // stride))
        return self._add("conv", (x,), shape, c, kernel, stride, weights, norm, relu)

    def pointwise(self, kind: OpKind, *inputs: str) -> str:
        """relu, sigmoid, add or mul; the shape is the first input's."""
        return self._add(kind, inputs, self._shapes[inputs[0]])

    def concat(self, *inputs: str) -> str:
        _, h, w = self._shapes[inputs[0]]
        return self._add("concat", inputs, (sum(self._shapes[x][0] for x in inputs), h, w))

    def pool(self, kind: OpKind, x: str, kernel: int, stride: int) -> str:
        c, h, w = self._shapes[x]
        return self._add(kind, (x,), (c, h // stride, w // stride), kernel=kernel, factor=stride)

    def global_pool(self, x: str) -> str:
        return self._add("global_pool", (x,), (self._shapes[x][0], 1, 1))

    def upsample(self, kind: OpKind, x: str, factor: int) -> str:
        c, h, w = self._shapes[x]
        return self._add(kind, (x,), (c, h * factor, w * factor), factor=factor)

    def finish(self) -> tuple[Op, ...]:
        last = self._ops[-1]
        renamed = Op(**{name: getattr(last, name) for name in Op.__slots__} | {"output": "y"})
        return (*self._ops[:-1], renamed)

    def _add(
        self,
        kind: OpKind,
        inputs: tuple[str, ...],
        shape: Shape,
        in_channels: int = 0,
        kernel: int = 1,
        factor: int = 1,
        weights: str = "",
        norm: bool = True,
        relu: bool = False,
    ) -> str:
        output = f"t{len(self._ops)}"
        self._ops.append(Op(kind, inputs, output, shape, in_channels, kernel, factor, weights, norm, relu))
        self._shapes[output] = shape
        return output


def _stem(tape: _Tape, unit: StemUnit) -> None:
    x = tape.conv("x0", "conv1", unit.middle, kernel=3, stride=2)
    for k in range(unit.depth):
        x = tape.pointwise("add", x, tape.conv(x, f"blocks.{k}", unit.middle, kernel=3))
    x = tape.conv(x, "conv2", unit.channels, kernel=3)
    tape.pool("max_pool", x, kernel=3, stride=2)


def _layer(tape: _Tape, unit: LayerUnit) -> None:
    x = tape.conv("x0", "conv1", unit.middle)
    x = tape.conv(x, "conv2", unit.middle, kernel=3, stride=unit.stride)
    x = tape.conv(x, "conv3", unit.channels, relu=False)
    shortcut = "x0"
    if unit.projection:
        if unit.stride > 1:
            shortcut = tape.pool("avg_pool", shortcut, kernel=unit.stride, stride=unit.stride)
        shortcut = tape.conv(shortcut, "shortcut", unit.channels, relu=False)
    tape.pointwise("relu", tape.pointwise("add", x, shortcut))


def _plain_stem(tape: _Tape, unit: PlainStemUnit) -> None:
    tape.pool("max_pool", tape.conv("x0", "conv1", unit.channels, kernel=7, stride=2), kernel=3, stride=2)


def _plain_layer(tape: _Tape, unit: PlainLayerUnit) -> None:
    if unit.middle:
        x = tape.conv("x0", "conv1", unit.middle)
        x = tape.conv(x, "conv2", unit.middle, kernel=3, stride=unit.stride)
        x = tape.conv(x, "conv3", unit.channels, relu=False)
    else:
        x = tape.conv("x0", "conv1", unit.channels, kernel=3, stride=unit.stride)
        x = tape.conv(x, "conv2", unit.channels, kernel=3, relu=False)
    shortcut = "x0"
    if unit.projection:
        shortcut = tape.conv("x0", "shortcut", unit.channels, stride=unit.stride, relu=False)
    tape.pointwise("relu", tape.pointwise("add", x, shortcut))


def _decoder(tape: _Tape, unit: DecoderUnit) -> None:
    image, feature_8, feature_16, feature_32 = "x0", "x1", "x2", "x3"
    tail = tape.conv(tape.global_pool(feature_32), "tail", unit.context)
    x = tape.pointwise("add", _attend(tape, feature_32, "attention_32", unit.context), tail)
    x = tape.conv(tape.upsample("nearest", x, 2), "refine_32", unit.context, kernel=3)
    x = tape.pointwise("add", _attend(tape, feature_16, "attention_16", unit.context), x)
    context = tape.conv(tape.upsample("nearest", x, 2), "refine_16", unit.context, kernel=3)

    x = tape.conv(image, "spatial.0", unit.spatial, kernel=7, stride=2)
    x = tape.conv(x, "spatial.1", unit.spatial, kernel=3, stride=2)
    x = tape.conv(x, "spatial.2", unit.spatial, kernel=3, stride=2)
    spatial = tape.conv(tape.concat(x, feature_8), "spatial.3", unit.context)

    fused = tape.conv(tape.concat(spatial, context), "fusion", unit.fusion)
    gate = tape.conv(tape.global_pool(fused), "gate.0", unit.fusion // 4, norm=False)
    gate = tape.pointwise("sigmoid", tape.conv(gate, "gate.1", unit.fusion, relu=False, norm=False))
    fused = tape.pointwise("add", fused, tape.pointwise("mul", fused, gate))
    x = tape.conv(fused, "head.0", unit.head, kernel=3)
    x = tape.conv(x, "head.1", unit.classes, relu=False, norm=False)
    tape.upsample("bilinear", x, HEAD_FACTOR)


def _attend(tape: _Tape, x: str, name: str, channels: int) -> str:
    """BiSeNet's attention refinement: a 3x3 conv, weighted per channel by its own pooled summary."""
    x = tape.conv(x, f"{name}.conv", channels, kernel=3)
    gate = tape.conv(tape.global_pool(x), f"{name}.gate", channels, relu=False)
    return tape.pointwise("mul", x, tape.pointwise("sigmoid", gate))
