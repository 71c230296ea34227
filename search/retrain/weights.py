"""First weights of a single network: random, or those that it inherits from a supernet; and the supernet as teacher."""

from __future__ import annotations

from pathlib import Path

import torch

from mosegnet.architecture import Architecture
from mosegnet.common.console import note
from mosegnet.common.errors import UserError
from mosegnet.modules import Network, extract
from search.datasets.base import Dataset
from search.supernet.batch_norm import reestimate
from search.supernet.start import HEADS, Start
from search.supernet.store import Supernet
from search.supernet.train import Teacher

NORM_IMAGES = 256  # of final batch norms; more than rank networks, since these stay
_BATCH = 16


def inherited(supernet: Supernet, encoding: list[int]) -> Start:
    """The network's slices of the supernet; heads of another class count stay random, and are named."""
    source = extract(supernet.network, supernet.space.decode(encoding)).state_dict()

    def take(network: Network) -> frozenset[str]:
        fresh = []
        for name, tensor in network.state_dict().items():
            if source[name].shape == tensor.shape:
                tensor.copy_(source[name])
            elif name.startswith(HEADS):
                fresh.append(name)
            else:
                raise UserError(f"the supernet does not fit the network: {name} has another shape")
        if fresh:
            note(
                f"{supernet.space.classes} classes became {network.architecture.classes}: "
                f"{', '.join(fresh)} begin at random"
            )
        return frozenset()

    return Start(f"inherited from supernet {supernet.fingerprint()[:16]}", take)


def teacher(supernet: Supernet, dataset: Dataset, input_hw: tuple[int, int], device: torch.device) -> Teacher:
    """The supernet's largest network with the weights of its own, on inputs of the student's size.

    Raises:
        UserError: it decides between other classes than the data set's.
    """
    if supernet.space.classes != len(dataset.classes):
        raise UserError(
            f"--start distilled needs a teacher of the same classes: the supernet has {supernet.space.classes}, "
            f"{dataset.name} has {len(dataset.classes)}; take --start inherited, or a supernet trained on this data"
        )
    network = extract(supernet.network, supernet.space.decode(supernet.space.largest()))
    settle(network, dataset, input_hw, device)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return Teacher(f"supernet {supernet.fingerprint()[:16]}", network)


def settle(network: Network, dataset: Dataset, input_hw: tuple[int, int], device: torch.device) -> None:
    """Give a network the batch norms that it keeps: over whole training images at its input size."""
    images = dataset.files("supernet").sample(NORM_IMAGES).images
    network.to(device)
    reestimate(network, (dataset.to_input(part.to(device), input_hw) for part in images.split(_BATCH)))


def supernet_path(folder: Path | None, given: Path | None) -> Path:
    """The supernet to inherit from: the one that is given, else the one in the run's folder.

    Raises:
        UserError: there is neither.
    """
    if given is not None:
        return given
    own = folder / "supernet.safetensors" if folder else None
    if own is None or not own.is_file():
        raise UserError("--start inherited or distilled needs the --supernet that the network comes from")
    return own


def fits(supernet: Supernet, architecture: Architecture) -> None:
    """Refuse a supernet of another space than the network's.

    Raises:
        UserError: its network of this encoding has another input or other units.
    """
    own = supernet.space.decode(architecture.encoding)
    if own.input_hw != architecture.input_hw or own.units[:-1] != architecture.units[:-1]:
        raise UserError(f"the supernet is of the space {supernet.space.name!r}, in which this network is another one")
