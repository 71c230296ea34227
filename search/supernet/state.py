"""The state of a training as tensors and plain values: what its checkpoint holds, and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mosegnet.common.errors import UserError
from search.supernet import optimiser
from search.supernet.checkpoint import parse_checkpoint, read_checkpoint_bytes, write_checkpoint
from search.supernet.optimiser import Average
from search.supernet.ranks import Ranks

_REPEAT = "repeat the first command with --resume, or delete the checkpoint to start anew"


@dataclass(slots=True)
class Place:
    """Where a training is; what it draws next is a function of this and its seed.

    `position` counts images, `phase` is -1 before the first step, `nested` names the kinds of width whose smaller
    options have been trained: their channels keep their order from then on.
    """

    steps: int = 0
    position: int = 0
    seconds: float = 0.0
    phase: int = -1
    nested: set[str] = field(default_factory=set)
    losses: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """Everything that the next step depends on."""

    module: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: Any
    average: Average | None
    place: Place

    def named_tensors(self) -> dict[str, dict[str, Tensor]]:
        """All that is kept for each weight, by quantity: the weights, the optimiser's memory, the average."""
        found = {"module": dict(self.module.state_dict())}
        for name, key, tensor in optimiser.state_tensors(self.optimiser, self.module):
            found.setdefault(f"optimiser:{key}", {})[name] = tensor
        if self.average:
            found["average"] = self.average.tensors
        return found

    def write(self, path: Path | str, identity: dict[str, Any], space: str) -> None:
        """Write the checkpoint, atomically; `identity` decides who may go on with it.

        Raises:
            UserError: it cannot be written; the previous one is whole.
        """
        tensors = {
            f"{quantity}/{name}": tensor
            for quantity, own in self.named_tensors().items()
            for name, tensor in own.items()
        }
        place = {name: getattr(self.place, name) for name in Place.__slots__} | {"nested": sorted(self.place.nested)}
        values = {"identity": identity, "space": space, "place": place, "scaler": self.scaler.state_dict()}
        write_checkpoint(path, tensors, values)

    def read(self, path: Path | str, identity: dict[str, Any], space: str, ranks: Ranks) -> None:
        """Go on from a checkpoint; the first process reads it for all.

        Raises:
            UserError: it is missing, damaged, of another version or of another training; names what differs.
        """
        data = ranks.share_bytes(read_checkpoint_bytes(path) if ranks.first else None)
        tensors, values = parse_checkpoint(data, path)
        _check_identity(path, values, identity, space)
        try:
            self._take(_by_quantity(tensors))
            self.scaler.load_state_dict(values["scaler"])
            for name, value in values["place"].items():
                setattr(self.place, name, set(value) if name == "nested" else value)
        except (RuntimeError, KeyError, AttributeError) as error:
            raise UserError(f"checkpoint {path} is damaged: delete it to start anew") from error

    @torch.no_grad()
    def _take(self, found: dict[str, dict[str, Tensor]]) -> None:
        self.module.load_state_dict(found.pop("module"))
        for name, tensor in found.pop("average", {}).items():
            assert self.average is not None
            self.average.tensors[name].copy_(tensor)
        by_key = {quantity.removeprefix("optimiser:"): own for quantity, own in found.items()}
        optimiser.restore_state(self.optimiser, self.module, by_key)


def _check_identity(path: Path | str, values: dict[str, Any], identity: dict[str, Any], space: str) -> None:
    theirs = values.get("identity", {})
    for name, own in identity.items():
        if theirs.get(name) != own:
            shown = (values.get("space"), space) if name == "space" else (theirs.get(name), own)
            raise UserError(f"checkpoint {path} has {name} {shown[0]!r}, this training {shown[1]!r}: {_REPEAT}")


def _by_quantity(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for label, tensor in tensors.items():
        quantity, _, name = label.partition("/")
        found.setdefault(quantity, {})[name] = tensor
    return found
