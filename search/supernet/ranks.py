"""One process or several under `torchrun`: who this process is, and what the processes say to one another.

Gradients are summed over one flat buffer. Dynamic sub-networks leave other parameters unused in every step, which
wrappers around a module must search for; here every process draws the same networks and knows them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor

from mosegnet.common.errors import UserError


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among `world` ones, and the device it computes on."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the processes, in place, in one exchange."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def agreed(self, value: float) -> float:
        """The first process' value, everywhere."""
        if self.world == 1:
            return value
        tensor = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(tensor, 0)
        return float(tensor.item())

    def share_bytes(self, data: bytes | None) -> bytes:
        """The first process' bytes, everywhere; the others pass None."""
        if self.world == 1:
            assert data is not None
            return data
        size = int(self.agreed(float(len(data or b""))))
        # Writable, and never empty: torch warns of the one and refuses the other.
        buffer = torch.frombuffer(bytearray(data or bytes(size)), dtype=torch.uint8).to(self.device)
        dist.broadcast(buffer, 0)
        return buffer.cpu().numpy().tobytes()


@contextmanager
def joined(device: str = "cpu") -> Iterator[Ranks]:
    """The ranks of this run: those that `torchrun` started, or this process alone; left again at the end.

    Raises:
        UserError: the device is not there.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    own = _device(device, local if world > 1 else None)
    if world == 1:
        yield Ranks(device=own)
        return
    dist.init_process_group("nccl" if own.type == "cuda" else "gloo")
    try:
        yield Ranks(rank, world, own)
    finally:
        dist.destroy_process_group()


def _device(name: str, local: int | None) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"unknown device {name!r}: take cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"a training runs on cpu or cuda, not on {name!r}")
    if device.type == "cuda":
        count = torch.cuda.device_count()
        index = local if local is not None else device.index or 0
        if index >= count:
            raise UserError(f"there is no cuda device {index}, {count} are visible: start fewer processes, or take cpu")
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
    return device
