"""What turns gradients into weights: the optimiser by name, its state as named tensors, the weights' moving average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from search.supernet.recipes import Recipe

_MOMENTUM = 0.9


def create(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser; weights of convolutions decay, batch norms and biases do not.

    It is fused, one pass over the weights: a step updates the largest network's, however small its networks were.
    """
    decayed = [p for p in module.parameters() if p.ndim > 1]
    plain = [p for p in module.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=_MOMENTUM, fused=True)


def state_tensors(optimiser: torch.optim.Optimizer, module: nn.Module) -> Iterator[tuple[str, str, Tensor]]:
    """(parameter's name, which quantity, tensor) of everything that the optimiser remembers."""
    for name, parameter in module.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                yield name, key, value


def restore_state(
    optimiser: torch.optim.Optimizer, module: nn.Module, found: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Take back what `state_tensors` gave: for each quantity, tensors by parameter."""
    parameters = dict(module.named_parameters())
    optimiser.state.clear()
    for key, tensors in found.items():
        for name, tensor in tensors.items():
            parameter = parameters[name]
            # A count of steps is one number; everything else lies in memory as its parameter does.
            like = parameter if tensor.ndim else tensor
            own = torch.empty_like(like, dtype=tensor.dtype, device=parameter.device)
            optimiser.state[parameter][key] = own.copy_(tensor)


class Average:
    """The exponential moving average of a module's parameters; steadier than the last weights.

    Early on the average follows more closely, so that the random start is soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._decay, self._module = decay, module
        self.tensors = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Follow the weights after step number `steps`."""
        weight = 1.0 - min(self._decay, (1.0 + steps) / (10.0 + steps))
        torch._foreach_lerp_(list(self.tensors.values()), [p.detach() for p in self._module.parameters()], weight)
