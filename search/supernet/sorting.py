"""Channels by importance: before widths may shrink, the channels that matter most become the leading ones.

A channel's importance is the L1 norm of the weights that read it (Once-for-All). Producers and readers are permuted
alike, so that the largest network computes what it did before; whatever is kept beside the weights (momentum, moving
averages) is permuted with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mosegnet.modules import Network
from mosegnet.unit import StemUnit

CLASSIFIER = "head.weight"  # of an encoder in pre-training, beside `network.`


@dataclass(frozen=True, slots=True)
class Channels:
    """One set of channels: the convolutions that produce it, and the weights that read it in dimension 1.

    A reader is (name, first place of the channels in its input).
    """

    producers: tuple[str, ...]
    readers: tuple[tuple[str, int], ...]


def middle_channels(network: Network) -> Iterator[Channels]:
    """Both middles of every bottleneck."""
    for s, layers in enumerate(network.architecture.stages()):
        for k in range(len(layers)):
            layer = f"stages.{s}.{k}"
            yield Channels((f"{layer}.conv2",), ((f"{layer}.conv3.conv.weight", 0),))
            yield Channels((f"{layer}.conv1",), ((f"{layer}.conv2.conv.weight", 0),))


def output_channels(network: Network) -> Iterator[Channels]:
    """The stem's middle and output, and the residual stream of every stage."""
    architecture = network.architecture
    assert isinstance(architecture.stem, StemUnit)
    blocks = [f"stem.blocks.{k}" for k in range(architecture.stem.depth)]
    yield Channels(("stem.conv1", *blocks), tuple((f"{reader}.conv.weight", 0) for reader in (*blocks, "stem.conv2")))
    yield Channels(("stem.conv2",), _first_layer(0))
    decoders = (
        (),
        (("decoder.spatial.3.conv.weight", architecture.decoder.spatial),),
        (("decoder.attention_16.conv.conv.weight", 0),),
        (("decoder.attention_32.conv.conv.weight", 0), ("decoder.tail.conv.weight", 0), (CLASSIFIER, 0)),
    )
    for s, depth in enumerate(architecture.depths):
        producers = (f"stages.{s}.0.shortcut", *(f"stages.{s}.{k}.conv3" for k in range(depth)))
        inside = tuple((f"stages.{s}.{k}.conv1.conv.weight", 0) for k in range(1, depth))
        after = _first_layer(s + 1) if s + 1 < len(architecture.depths) else ()
        yield Channels(producers, inside + after + decoders[s])


@torch.no_grad()
def order_of(channels: Channels, tensors: Mapping[str, Tensor]) -> Tensor:
    """The channels from the most important to the least, (C,) int64; equals keep their order."""
    count = len(tensors[f"{channels.producers[0]}.conv.weight"])
    importance = torch.zeros(count, dtype=torch.float64)
    for name, first in channels.readers:
        if name in tensors:
            read = tensors[name][:, first : first + count].detach().double().cpu().abs()  # (O, C, …)
            importance += read.transpose(0, 1).reshape(count, -1).sum(1)
    return importance.argsort(descending=True, stable=True)


@torch.no_grad()
def permute(channels: Channels, order: Tensor, tensors: Mapping[str, Tensor]) -> None:
    """Bring the channels into `order` in every tensor of theirs that is there, in place."""
    for producer in channels.producers:
        for part in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"):
            tensor = tensors.get(f"{producer}.{part}")
            if tensor is not None:
                tensor.copy_(tensor[order.to(tensor.device)])
    for name, first in channels.readers:
        if name in tensors:
            read = tensors[name][:, first : first + len(order)]
            read.copy_(read[:, order.to(read.device)])


def _first_layer(s: int) -> tuple[tuple[str, int], ...]:
    return ((f"stages.{s}.0.conv1.conv.weight", 0), (f"stages.{s}.0.shortcut.conv.weight", 0))
