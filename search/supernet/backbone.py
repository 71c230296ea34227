"""Published ResNet-50 weights in a supernet: torchvision's and timm's names, and Once-for-All's.

A published tensor becomes the leading channels of ours. So that the network then computes what the published one did,
what it lacks is made silent: the columns that read additional middle channels are 0, and so is the last gain of
additional layers. Names and shapes were read in torchvision's, timm's and Once-for-All's sources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors
from mosegnet.modules import Conv, Layer, Network, PlainStem
from mosegnet.space import SLOTS

_WRAPPERS = ("state_dict", "model", "model_state")  # what published files keep their tensors under
_PARTS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}

# The convolutions and norms of a stem of three: torchvision has none, timm's is ResNet-50-D's.
_TIMM_STEM = {
    "conv1.0": "stem.conv1.conv",
    "conv1.1": "stem.conv1.bn",
    "conv1.3": "stem.blocks.0.conv",
    "conv1.4": "stem.blocks.0.bn",
    "conv1.6": "stem.conv2.conv",
    "bn1": "stem.conv2.bn",
}
_OFA_STEM = {"0": "stem.conv1", "1": "stem.blocks.0", "1.conv": "stem.blocks.0", "2": "stem.conv2"}


@dataclass(slots=True)
class Mapped:
    """What became of published tensors: how many were taken, which were not and why, what of ours stayed random."""

    taken: int = 0
    unmapped: dict[str, str] = field(default_factory=dict)
    fresh: list[str] = field(default_factory=list)


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a torch file, of which nothing but tensors is unpickled.

    Raises:
        UserError: the file is missing, damaged, or holds no tensors by name.
    """
    if not path.is_file():
        raise UserError(f"backbone weights {path} do not exist")
    try:
        with explain_os_errors(path, "read"):
            if path.suffix == ".safetensors":
                return safetensors.torch.load(path.read_bytes())
            found = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception:  # bytes that are no pickle fail in any way when they are read as one
        raise UserError(
            f"backbone weights {path} are damaged, or hold more than tensors: save the model's state dict alone"
        ) from None
    for wrapper in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping):
        raise UserError(f"backbone weights {path} hold no state dict: save the model's state dict alone")
    tensors = {str(name).removeprefix("module."): value for name, value in found.items() if isinstance(value, Tensor)}
    if not tensors:
        raise UserError(f"backbone weights {path} hold no tensors: save the model's state dict alone")
    return tensors


@torch.no_grad()
def apply(tensors: Mapping[str, Tensor], network: Network) -> Mapped:
    """Copy what fits into the leading channels of the network's tensors, and silence what has no counterpart."""
    own, result, filled = network.state_dict(), Mapped(), set[str]()
    targets = {name: target_of(name, tensor) for name, tensor in tensors.items()}
    if "conv1.weight" in tensors:  # one 7x7 convolution: its norm is not that of a stem of three
        norm = [name for name in tensors if name.startswith("bn1.")]
        targets |= dict.fromkeys(norm, None)
        if isinstance(network.stem, PlainStem):
            targets |= {name: f"stem.conv1.{name.replace('bn1', 'bn')}" for name in norm}
            targets["conv1.weight"] = "stem.conv1.conv.weight"
    for name, tensor in tensors.items():
        target = targets[name]
        if target is None or target not in own:
            result.unmapped[name] = "there is no such layer" if target else "another kind of layer"
        elif not _fits(tensor, own[target]):
            result.unmapped[name] = f"{list(tensor.shape)} does not fit {list(own[target].shape)}"
        else:
            own[target][tuple(slice(0, size) for size in tensor.shape)] = tensor
            filled.add(target)
            result.taken += 1
    if filled:
        _silence(network, filled, {targets[name]: tensor for name, tensor in tensors.items()})
    result.fresh = [name for name in own if not name.startswith("decoder.") and name not in filled]
    return result


def target_of(name: str, tensor: Tensor) -> str | None:
    """Our name of a published tensor; None where we have nothing of its kind."""
    stem, _, part = name.rpartition(".")
    if part not in _PARTS:
        return None
    where = _torchvision(stem, tensor.ndim == 4) or _once_for_all(stem)
    return f"{where}.{part}" if where else None


def _torchvision(module: str, convolution: bool) -> str | None:
    if module in _TIMM_STEM:
        return _TIMM_STEM[module]
    found = re.fullmatch(r"layer([1-4])\.(\d+)\.(?:(conv|bn)([123])|downsample\.(\d))", module)
    if not found:
        return None
    layer = f"stages.{int(found[1]) - 1}.{found[2]}"
    if found[5]:
        return f"{layer}.shortcut.{'conv' if convolution else 'bn'}"  # ResNet-50-D has a pool before the two
    return f"{layer}.conv{found[4]}.{found[3]}"


def _once_for_all(module: str) -> str | None:
    kind = "bn" if re.search(r"(^|\.)bn(\.bn)?$", module) else "conv"
    place = re.sub(r"\.(conv\.conv|bn\.bn|conv|bn)$", "", module)
    if place.startswith("input_stem."):
        found = _OFA_STEM.get(place.removeprefix("input_stem."))
        return f"{found}.{kind}" if found else None
    block = re.fullmatch(r"blocks\.(\d+)\.(conv[123]|downsample)", place)
    if not block:
        return None
    s, k = 0, int(block[1])
    while s < len(SLOTS) and k >= SLOTS[s]:
        k -= SLOTS[s]
        s += 1
    return f"stages.{s}.{k}.{'shortcut' if block[2] == 'downsample' else block[2]}.{kind}"


def _fits(tensor: Tensor, own: Tensor) -> bool:
    """Leading channels may be fewer; the image's channels, a kernel and a scalar are what they are."""
    return (
        tensor.ndim == own.ndim
        and tensor.shape[2:] == own.shape[2:]
        and all(a <= b for a, b in zip(tensor.shape, own.shape, strict=True))
    )


def _silence(network: Network, filled: set[str], given: Mapping[str | None, Tensor]) -> None:
    for name, module in network.named_modules():
        if isinstance(module, Layer) and module.shortcut is None and f"{name}.conv3.conv.weight" not in filled:
            _zero(module.conv3)
        if isinstance(module, Conv) and name.startswith(("stem.", "stages.")):
            weight = given.get(f"{name}.conv.weight")
            if weight is not None and f"{name}.conv.weight" in filled:
                module.conv.weight[: weight.shape[0], weight.shape[1] :] = 0.0
        if re.fullmatch(r"stem\.blocks\.\d+", name) and f"{name}.conv.weight" not in filled:
            assert isinstance(module, Conv)
            _zero(module)


def _zero(conv: Conv) -> None:
    assert conv.bn is not None
    conv.bn.weight.zero_()
    conv.bn.bias.zero_()
