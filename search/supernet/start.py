"""Weights to begin with: a supernet or a pre-trained encoder of this program (`--from`), or a published backbone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from mosegnet.common.console import note, warn
from mosegnet.common.errors import UserError
from mosegnet.modules import Network
from mosegnet.space import Space
from search.supernet import backbone, store

HEADS = ("decoder.head.1.", "decoder.auxiliary.0.1.", "decoder.auxiliary.1.1.")  # as wide as there are classes
_WIDTHS = frozenset({"expand", "width"})
_NAMED = 12  # tensors in a message


@dataclass(frozen=True, slots=True)
class Start:
    """First weights: `take` puts them into a network and says which widths are in order of importance already.

    `name` says where they are from, and by their checksum which ones they are.
    """

    name: str
    take: Callable[[Network], frozenset[str]]


def from_supernet(path: Path, space: Space) -> Start:
    """Every tensor of a supernet or an encoder of a space with the same widths.

    Raises:
        UserError: the file is no supernet, or of another space; names the first tensor that does not fit.
    """
    described, tensors = store.read(path)
    encoder = described["schema"] == store.ENCODER_SCHEMA

    def take(network: Network) -> frozenset[str]:
        own, fresh = network.state_dict(), []
        for name, tensor in own.items():
            given = tensors.get(name)
            if given is not None and given.shape == tensor.shape:
                tensor.copy_(given)
            elif name.startswith(HEADS) or (encoder and name.startswith("decoder.")):
                fresh.append(name)
            else:
                given_shape = "missing" if given is None else f"of shape {list(given.shape)}"
                raise UserError(
                    f"{path} does not fit the space {space.name!r}: {name} is {given_shape}, not "
                    f"{list(tensor.shape)}: take a space with the same widths"
                )
        note(f"began with {len(own) - len(fresh)} tensors of {path}" + (_left("left random", fresh) if fresh else ""))
        return _WIDTHS

    return Start(f"{'encoder' if encoder else 'supernet'} {_checksum(path)}", take)


def from_backbone(path: Path) -> Start:
    """The tensors of a published ResNet that are in the network; all others are named.

    Raises:
        UserError: the file holds no tensors, or not one of them fits.
    """
    tensors = backbone.read(path)

    def take(network: Network) -> frozenset[str]:
        found = backbone.apply(tensors, network)
        if not found.taken:
            raise UserError(
                f"not one tensor of {path} fits: --backbone-weights takes a ResNet-50 or ResNet-50-D of torchvision "
                "or timm, or a ResNet-50-D of Once-for-All, and a space with the paper's widths"
            )
        note(f"took {found.taken} of {len(tensors)} tensors of {path}, all or leading channels")
        if found.unmapped:
            warn(f"not taken: {'; '.join(f'{name} ({why})' for name, why in found.unmapped.items())}")
        if found.fresh:
            note(_left("left random", found.fresh).lstrip("; "))
        return frozenset()  # published channels are in no order

    return Start(f"backbone {_checksum(path)}", take)


def _left(words: str, names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"; {words}: {', '.join(names[:_NAMED])}{more}"


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def network_of(module: nn.Module) -> Network:
    """The network in a module that is trained: itself, or its encoder's."""
    network = module if isinstance(module, Network) else module.network
    assert isinstance(network, Network)
    return network


@torch.no_grad()
def begin(start: Start, module: nn.Module) -> set[str]:
    """Put the first weights into the module; returns the widths that are in order."""
    return set(start.take(network_of(module)))
