"""The torch module of each unit and of a whole network; every one also runs on leading slices of its weights.

A module built for the largest architecture and called with a smaller one computes that sub-network with the leading
channels of its own weights and batch norms (weight sharing as in Once-for-All). So the supernet is the network of the
largest architecture, and extraction is a copy of slices.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mosegnet.architecture import Architecture
from mosegnet.graph import HEAD_FACTOR
from mosegnet.onnx_graph import BATCH_NORM_EPSILON
from mosegnet.unit import (
    IMAGE_CHANNELS,
    AnyLayer,
    AnyStem,
    DecoderUnit,
    LayerUnit,
    PlainLayerUnit,
    PlainStemUnit,
    StemUnit,
    Unit,
)

_thread = threading.local()

BatchNormalise = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def normalise_batch(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    """(B, C, H, W) by the statistics of this batch alone; no running statistics are kept."""
    return F.batch_norm(x, None, None, weight, bias, True, 0.0, epsilon)


Slices = list[tuple[nn.Parameter, Tensor]]  # parameters, and the leading parts of them that were used


@contextmanager
def separate_slices() -> Iterator[Slices]:
    """Within, every leading part of a parameter is a leaf of its own, and is listed with its parameter.

    So a small network's gradients are as small as it is; slices of the parameters themselves would each be filled up
    with zeros to the largest network's size. It holds for the calling thread.
    """
    slices: Slices = []
    _thread.slices = slices
    try:
        yield slices
    finally:
        _thread.slices = None


def _leading(tensor: Tensor, *sizes: int) -> Tensor:
    """`tensor[:sizes[0], :sizes[1], …]`, sliced only where it is larger."""
    part = tensor
    for dim, size in enumerate(sizes):
        if part.shape[dim] != size:
            part = part.narrow(dim, 0, size)
    slices: Slices | None = getattr(_thread, "slices", None)
    if slices is not None and part is not tensor and isinstance(tensor, nn.Parameter) and torch.is_grad_enabled():
        part = part.detach().requires_grad_()
        slices.append((tensor, part))
    return part


class Conv(nn.Module):
    """Convolution, batch norm (or a bias), ReLU if wished; `channels` at call time takes the leading ones only.

    `normalise_batch` is what training normalises with while running statistics are off (momentum None); a training on
    several processes puts one in that sees the batches of all of them.
    """

    def __init__(
        self, channels_in: int, channels: int, kernel: int = 1, stride: int = 1, relu: bool = True, norm: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=not norm)
        self.bn = nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON) if norm else None
        self.relu = relu
        self.normalise_batch: BatchNormalise = normalise_batch

    def forward(self, x: Tensor, channels: int | None = None) -> Tensor:
        """(B, C_in, H, W) → (B, channels, H/stride, W/stride)."""
        conv, n = self.conv, channels or self.conv.out_channels
        bias = None if conv.bias is None else _leading(conv.bias, n)
        x = F.conv2d(x, _leading(conv.weight, n, x.shape[1]), bias, conv.stride, conv.padding)
        if self.bn is not None:
            x = self._normalise(self.bn, x, n)
        return F.relu(x) if self.relu else x

    def _normalise(self, bn: nn.BatchNorm2d, x: Tensor, n: int) -> Tensor:
        """Leading n channels of `bn`; in training with momentum None, running statistics are left alone."""
        mean, variance = bn.running_mean, bn.running_var
        assert mean is not None
        assert variance is not None
        weight, bias = _leading(bn.weight, n), _leading(bn.bias, n)
        if bn.training and bn.momentum is None:
            return self.normalise_batch(x, weight, bias, bn.eps)
        return F.batch_norm(x, mean[:n], variance[:n], weight, bias, bn.training, bn.momentum or 0.0, bn.eps)


class Stem(nn.Module):
    """See `StemUnit`."""

    def __init__(self, unit: StemUnit) -> None:
        super().__init__()
        self.conv1 = Conv(IMAGE_CHANNELS, unit.middle, 3, stride=2)
        self.blocks = nn.ModuleList(Conv(unit.middle, unit.middle, 3) for _ in range(unit.depth))
        self.conv2 = Conv(unit.middle, unit.channels, 3)

    def forward(self, x: Tensor, unit: StemUnit) -> Tensor:
        """(B, 3, H, W) → (B, channels, H/4, W/4)."""
        x = self.conv1(x, unit.middle)
        for block in self.blocks[: unit.depth]:
            x = x + block(x, unit.middle)
        return F.max_pool2d(self.conv2(x, unit.channels), 3, stride=2, padding=1)


class Layer(nn.Module):
    """See `LayerUnit`."""

    def __init__(self, unit: LayerUnit) -> None:
        super().__init__()
        self.conv1 = Conv(unit.channels_in, unit.middle)
        self.conv2 = Conv(unit.middle, unit.middle, 3, stride=unit.stride)
        self.conv3 = Conv(unit.middle, unit.channels, relu=False)
        self.shortcut = Conv(unit.channels_in, unit.channels, relu=False) if unit.projection else None

    def forward(self, x: Tensor, unit: LayerUnit) -> Tensor:
        """(B, C_in, H, W) → (B, channels, H/stride, W/stride)."""
        y = self.conv3(self.conv2(self.conv1(x, unit.middle), unit.middle), unit.channels)
        if self.shortcut is not None:
            pooled = F.avg_pool2d(x, unit.stride) if unit.stride > 1 else x
            x = self.shortcut(pooled, unit.channels)
        return F.relu(y + x)

    @property
    def last(self) -> Conv:
        """The convolution whose output is added to the shortcut's."""
        return self.conv3


class PlainStem(nn.Module):
    """See `PlainStemUnit`."""

    def __init__(self, unit: PlainStemUnit) -> None:
        super().__init__()
        self.conv1 = Conv(IMAGE_CHANNELS, unit.channels, 7, stride=2)

    def forward(self, x: Tensor, unit: PlainStemUnit) -> Tensor:
        """(B, 3, H, W) → (B, channels, H/4, W/4)."""
        return F.max_pool2d(self.conv1(x, unit.channels), 3, stride=2, padding=1)


class PlainLayer(nn.Module):
    """See `PlainLayerUnit`."""

    def __init__(self, unit: PlainLayerUnit) -> None:
        super().__init__()
        middle, channels, stride = unit.middle, unit.channels, unit.stride
        self.conv1 = Conv(unit.channels_in, middle) if middle else Conv(unit.channels_in, channels, 3, stride)
        self.conv2 = Conv(middle, middle, 3, stride) if middle else Conv(channels, channels, 3, relu=False)
        self.conv3 = Conv(middle, channels, relu=False) if middle else None
        self.shortcut = Conv(unit.channels_in, channels, stride=stride, relu=False) if unit.projection else None

    def forward(self, x: Tensor, unit: PlainLayerUnit) -> Tensor:
        """(B, C_in, H, W) → (B, channels, H/stride, W/stride)."""
        y = self.conv2(self.conv1(x))
        if self.conv3 is not None:
            y = self.conv3(y)
        return F.relu(y + (x if self.shortcut is None else self.shortcut(x)))

    @property
    def last(self) -> Conv:
        """The convolution whose output is added to the shortcut's."""
        return self.conv2 if self.conv3 is None else self.conv3


class Attention(nn.Module):
    """BiSeNet's attention refinement: a 3x3 conv, weighted per channel by its own pooled summary."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.conv = Conv(channels_in, channels, 3)
        self.gate = Conv(channels, channels, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, channels, H, W)."""
        x = self.conv(x)
        return x * torch.sigmoid(self.gate(_global_pool(x)))


class Decoder(nn.Module):
    """See `DecoderUnit`; with two auxiliary heads on the context path that exist for training only."""

    def __init__(self, unit: DecoderUnit) -> None:
        super().__init__()
        self.attention_16 = Attention(unit.channels_16, unit.context)
        self.attention_32 = Attention(unit.channels_32, unit.context)
        self.tail = Conv(unit.channels_32, unit.context)
        self.refine_32 = Conv(unit.context, unit.context, 3)
        self.refine_16 = Conv(unit.context, unit.context, 3)
        self.spatial = nn.ModuleList(
            [
                Conv(IMAGE_CHANNELS, unit.spatial, 7, stride=2),
                Conv(unit.spatial, unit.spatial, 3, stride=2),
                Conv(unit.spatial, unit.spatial, 3, stride=2),
                Conv(unit.spatial + unit.channels_8, unit.context),
            ]
        )
        self.fusion = Conv(2 * unit.context, unit.fusion)
        self.gate = nn.ModuleList(
            [
                Conv(unit.fusion, unit.fusion // 4, norm=False),
                Conv(unit.fusion // 4, unit.fusion, relu=False, norm=False),
            ]
        )
        self.head = _head(unit.fusion, unit.head, unit.classes)
        self.auxiliary = nn.ModuleList(_head(unit.context, unit.head, unit.classes) for _ in range(2))

    def forward(self, image: Tensor, features: list[Tensor]) -> tuple[Tensor, ...]:
        """The image and the features at 1/8, 1/16, 1/32 → logits at 1/8; in training also at 1/8 and 1/16."""
        feature_8, feature_16, feature_32 = features
        x = self.attention_32(feature_32) + self.tail(_global_pool(feature_32))  # (B, context, H/32, W/32)
        context_16 = self.refine_32(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        x = self.attention_16(feature_16) + context_16
        context_8 = self.refine_16(F.interpolate(x, scale_factor=2.0, mode="nearest"))

        for conv in self.spatial[:3]:
            image = conv(image)
        # The elastic part comes last, so that a narrower stage 2 still meets the leading weights.
        spatial = self.spatial[3](torch.cat([image, feature_8], dim=1))  # (B, context, H/8, W/8)

        fused = self.fusion(torch.cat([spatial, context_8], dim=1))  # (B, fusion, H/8, W/8)
        fused = fused + fused * torch.sigmoid(self.gate[1](self.gate[0](_global_pool(fused))))
        logits = self.head(fused)
        if not self.training:
            return (logits,)
        return (logits, self.auxiliary[0](context_8), self.auxiliary[1](context_16))


class Network(nn.Module):
    """A whole network; called with a smaller architecture of the same space it runs that sub-network.

    With `checkpointing` a training keeps no activations inside a unit but computes them again on the way back: about
    a third more time for a fraction of the memory.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.stem = _stem(architecture.stem)
        self.stages = nn.ModuleList(
            nn.ModuleList(_layer(layer) for layer in layers) for layers in architecture.stages()
        )
        self.decoder = Decoder(architecture.decoder)
        self.checkpointing = False

    def features(self, image: Tensor, architecture: Architecture | None = None) -> list[Tensor]:
        """(B, 3, H, W) → the last layer's output of each stage, at 1/4, 1/8, 1/16 and 1/32."""
        architecture = architecture or self.architecture
        x, features = self._run(self.stem, image, architecture.stem), []
        for layers, units in zip(self.stages, architecture.stages(), strict=True):
            assert isinstance(layers, nn.ModuleList)
            for layer, unit in zip(layers, units, strict=False):  # depth: the first layers are kept
                x = self._run(layer, x, unit)
            features.append(x)
        return features

    def forward_eighth(self, image: Tensor, architecture: Architecture | None = None) -> tuple[Tensor, ...]:
        """(B, 3, H, W) → logits at the decoder's own size: (B, classes, H/8, W/8); auxiliary ones in training."""
        outputs: tuple[Tensor, ...] = self._run(self.decoder, image, self.features(image, architecture)[1:])
        return outputs

    def forward(self, image: Tensor, architecture: Architecture | None = None) -> Tensor | tuple[Tensor, ...]:
        """(B, 3, H, W) → logits (B, classes, H, W); in training (logits, auxiliary at 1/8, at 1/16), each (…, H, W).

        The image may have any size that is a multiple of 32; the architecture's own input size is not enforced.
        """
        outputs = self.forward_eighth(image, architecture)
        size = (image.shape[2], image.shape[3])
        upsampled = tuple(F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in outputs)
        return upsampled if self.training else upsampled[0]

    def _run(self, module: nn.Module, *inputs: Any) -> Any:
        if self.checkpointing and torch.is_grad_enabled():
            # Without momentum a unit's forward pass changes nothing and draws nothing: twice is as good as once.
            return checkpoint(module, *inputs, use_reentrant=False, preserve_rng_state=False)
        return module(*inputs)


def extract(network: Network, architecture: Architecture) -> Network:
    """The sub-network alone: a new module with the leading slices of the larger one's tensors, copied."""
    small = Network(architecture)
    source = network.state_dict()
    with torch.no_grad():
        for name, tensor in small.state_dict().items():
            tensor.copy_(source[name][tuple(slice(0, size) for size in tensor.shape)])
    return small


def unit_module(unit: Unit) -> nn.Module:
    """The module of one unit; its state dict has the names that `mosegnet.onnx_graph.unit_model` takes."""
    if isinstance(unit, AnyStem):
        return _stem(unit)
    if isinstance(unit, AnyLayer):
        return _layer(unit)
    return Decoder(unit)


def unit_forward(module: nn.Module, unit: Unit, inputs: list[Tensor]) -> Tensor:
    """Run the module that `unit_module(unit)` made, in evaluation mode, on tensors of `unit.input_shapes`."""
    if isinstance(unit, DecoderUnit):
        logits = module(inputs[0], inputs[1:])[0]
        return F.interpolate(logits, scale_factor=float(HEAD_FACTOR), mode="bilinear", align_corners=False)
    output: Tensor = module(inputs[0], unit)
    return output


def _stem(unit: AnyStem) -> nn.Module:
    return Stem(unit) if isinstance(unit, StemUnit) else PlainStem(unit)


def _layer(unit: AnyLayer) -> nn.Module:
    return Layer(unit) if isinstance(unit, LayerUnit) else PlainLayer(unit)


def _global_pool(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3), keepdim=True)


def _head(channels_in: int, middle: int, classes: int) -> nn.Sequential:
    return nn.Sequential(Conv(channels_in, middle, 3), Conv(middle, classes, relu=False, norm=False))
