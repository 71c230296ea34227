"""How much memory a training step of the largest network takes, computed without taking it.

The step runs on torch's `meta` device, where tensors have a shape and no numbers, and everything that autograd keeps
for the way back is counted. With checkpointing a unit's inner activations exist only while that unit is computed
again, so the peak has what is kept between units and the greatest of those.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mosegnet.modules import Layer, Network
from mosegnet.space import Space
from search.supernet.loss import SegmentationLoss
from search.supernet.recipes import Recipe
from search.supernet.sampling import Size

_FLOAT_BYTES = 4
_MOMENTS = {"sgd": 1, "adamw": 2}
_PASSING = 2  # gradients of an operator's output and input


@dataclass(frozen=True, slots=True)
class StepMemory:
    """Bytes of one training step of the largest network on one device.

    weights: the weights, with gradients twice (one network's and the step's sum), the optimiser's memory and the
    moving average · kept: activations and labels from the forward pass to the way back · again: the greatest part
    that checkpointing computes again, 0 without it · passing: the gradients on their way through the widest operator.
    """

    weights: int
    kept: int
    again: int
    passing: int

    @property
    def total(self) -> int:
        """All of it; the allocator's own waste and the libraries' workspaces come on top."""
        return self.weights + self.kept + self.again + self.passing


def step_memory(space: Space, size: Size, batch: int, recipe: Recipe) -> StepMemory:
    """Memory of a step on `batch` images (one process, one part) of input `size` (h, w), in bytes.

    In single precision; bf16 and fp16 take less.
    """
    with torch.device("meta"):
        network = Network(space.decode(space.largest())).train()
        images = torch.empty((batch, 3, *size))
        labels = torch.empty((batch, size[0] // recipe.label_reduction, size[1] // recipe.label_reduction)).long()
        loss = SegmentationLoss(torch.ones(space.classes), recipe.hard_examples)
        total = torch.ones(2)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None
    network.checkpointing = recipe.checkpointing
    kept = Kept(network)
    with kept.counting():
        loss(network.forward_eighth(images), labels, total)
    again = max(_units_alone(network, images)) if recipe.checkpointing else 0
    parameters = sum(parameter.numel() for parameter in network.parameters())
    copies = 3 + _MOMENTS[recipe.optimiser] + (recipe.average is not None)
    return StepMemory(_FLOAT_BYTES * parameters * copies, kept.bytes, again, _PASSING * kept.widest_bytes)


class Kept:
    """What autograd keeps of forward passes of `module`, its own tensors left out."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._own = {_storage(tensor) for tensor in (*module.parameters(), *module.buffers())}
        self._found: dict[int, Tensor] = {}

    @property
    def bytes(self) -> int:
        """All of it."""
        return sum(tensor.untyped_storage().nbytes() for tensor in self._found.values())

    @property
    def widest_bytes(self) -> int:
        """The greatest tensor."""
        return max((tensor.untyped_storage().nbytes() for tensor in self._found.values()), default=0)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what is kept of the passes inside; a checkpointed unit keeps its inputs alone."""
        hooks = []
        if isinstance(self._module, Network) and self._module.checkpointing:
            hooks = [unit.register_forward_pre_hook(self._keep_inputs) for unit in _units(self._module)]
        try:
            with torch.autograd.graph.saved_tensors_hooks(self._keep, lambda tensor: tensor):
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _keep(self, tensor: Tensor) -> Tensor:
        if _storage(tensor) not in self._own:
            self._found.setdefault(_storage(tensor), tensor)  # held, so that no other storage takes its place
        return tensor

    def _keep_inputs(self, unit: nn.Module, inputs: tuple[Any, ...]) -> None:
        for value in inputs:
            for tensor in value if isinstance(value, list) else [value]:
                if isinstance(tensor, Tensor):
                    self._keep(tensor)


def _units(network: Network) -> list[nn.Module]:
    layers = [module for module in network.stages.modules() if isinstance(module, Layer)]
    return [network.stem, *layers, network.decoder]


def _units_alone(network: Network, images: Tensor) -> list[int]:
    """What each unit keeps by itself while it is computed again, bytes."""
    found: list[int] = []
    network.checkpointing = False

    def alone(unit: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        kept = Kept(unit)
        with kept.counting():
            unit.forward(*inputs)
        found.append(kept.bytes)

    hooks = [unit.register_forward_hook(alone) for unit in _units(network)]
    network.forward_eighth(images)
    for hook in hooks:
        hook.remove()
    network.checkpointing = True
    return found


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
