"""The gradients of one step: every sub-network on every part of the batch, summed in one fixed order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mosegnet.architecture import Architecture
from mosegnet.modules import Network, Slices, separate_slices
from search.supernet.loss import distillation_loss
from search.supernet.ranks import Ranks
from search.supernet.recipes import Recipe
from search.supernet.tasks import Task

Part = tuple[Tensor, Tensor]  # images, labels

GradientParts = list[tuple[nn.Parameter, Tensor]]  # of parameters, or of leading parts of them
_Gradient = tuple[Tensor, GradientParts]


class Gradients:
    """Computes `.grad` of a task's parameters, over all processes, scaled by `scaler`.

    Small networks on a CPU run side by side, one thread each: their short operators leave the cores idle when each is
    spread over all of them, and far worse where another program wants the same cores. The sum has a fixed order, so
    that threads change nothing. A `teacher` from outside, in evaluation mode, is who all networks follow.
    """

    def __init__(self, task: Task, recipe: Recipe, ranks: Ranks, teacher: Network | None = None) -> None:
        self._task, self._recipe, self._ranks, self._teacher = task, recipe, ranks, teacher
        self._amp = _amp_dtype(recipe.precision, ranks.device)
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=self._amp is torch.float16)
        self._buffers: dict[nn.Parameter, Tensor] = {}
        self.parameters = [parameter for parameter in task.module.parameters() if parameter.requires_grad]
        beside = ranks.device.type == "cpu" and ranks.world == 1
        count = torch.get_num_threads() if beside else 0
        self._threads = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) if count else None

    def __call__(self, batch: Sequence[Part], networks: list[Architecture], largest: Architecture) -> list[float]:
        """Fill `.grad` from this process' parts of the batch; returns the networks' losses over the whole of it.

        `largest` is whose opinion smaller networks follow; as the first of `networks` it is trained as well.
        """
        total = torch.stack([self._task.loss.total(labels) for _, labels in batch]).sum(0)
        self._ranks.add_up([total])
        for parameter in self.parameters:
            parameter.grad = None
        losses = torch.zeros(len(networks), device=self._ranks.device)
        share = 1 / (self._ranks.world * len(batch))
        for k, (loss, parts) in self._all(batch, networks, largest, total, share):
            losses[k] += loss
            add_to_grad(parts, self._buffers)
        # All processes drew the same networks, so the same parameters have gradients.
        present = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        self._ranks.add_up([losses, *present])
        return [float(loss) for loss in losses]

    def _all(
        self, batch: Sequence[Part], networks: list[Architecture], largest: Architecture, total: Tensor, share: float
    ) -> Iterator[tuple[int, _Gradient]]:
        """The place of a network, and its loss and gradients on a part, for each of them on every part."""
        if self._teacher is not None or (self._recipe.distil and networks != [largest]):
            for part in batch:
                yield from enumerate(self._each(part, networks, largest, total, share))
            return
        # Nobody waits for another's opinion: parts run side by side as networks do.
        jobs = [partial(self._student, part, network, None, total, share) for part in batch for network in networks]
        yield from zip(itertools.cycle(range(len(networks))), self._run(jobs), strict=False)

    def _each(
        self, part: Part, networks: list[Architecture], largest: Architecture, total: Tensor, share: float
    ) -> Iterator[_Gradient]:
        """Loss and gradients of each network on one part, in their order; all follow one opinion."""
        images, labels = part
        students, jobs = list(networks), []
        if self._teacher is not None:
            teacher = self._opinion(self._teacher, images)
        elif networks[0] == largest:
            ((heads, slices),) = self._run([partial(self._heads, images, largest)])
            teacher, students = heads[0].detach(), networks[1:]
            jobs.append(lambda: self._gradient(self._task.loss(heads, labels, total), slices))
        else:
            with torch.no_grad():
                teacher = self._heads(images, largest)[0][0]
        jobs += [partial(self._student, part, network, teacher, total, share) for network in students]
        yield from self._run(jobs)

    def _student(
        self, part: Part, network: Architecture, teacher: Tensor | None, total: Tensor, share: float
    ) -> _Gradient:
        images, labels = part
        heads, slices = self._heads(images, network)
        loss = self._task.loss(heads, labels, total)
        if teacher is not None:
            loss = loss + share * distillation_loss(heads[0], teacher)
        return self._gradient(loss, slices)

    def _heads(self, images: Tensor, network: Architecture) -> tuple[tuple[Tensor, ...], Slices]:
        autocast = torch.autocast(self._ranks.device.type, self._amp, enabled=self._amp is not None)
        with autocast, separate_slices() as slices:
            heads = self._task.heads(images, network)
        return tuple(head.float() for head in heads), slices

    def _opinion(self, teacher: Network, images: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(self._ranks.device.type, self._amp, enabled=self._amp is not None):
            return teacher.forward_eighth(images)[0].float()

    def _gradient(self, loss: Tensor, slices: Slices) -> _Gradient:
        return loss.detach(), gradient_parts(self.scaler.scale(loss), self.parameters, slices)

    def _run(self, jobs: list[Any]) -> Iterator[Any]:
        return self._threads.map(lambda job: job(), jobs) if self._threads else (job() for job in jobs)


def gradient_parts(loss: Tensor, parameters: list[nn.Parameter], slices: Slices) -> GradientParts:
    """The gradients that a network of `separate_slices` has: of whole parameters, and of leading parts of others."""
    leaves = [(parameter, parameter) for parameter in parameters] + slices
    found = torch.autograd.grad(loss, [leaf for _, leaf in leaves], allow_unused=True)
    return [(parameter, grad) for (parameter, _), grad in zip(leaves, found, strict=True) if grad is not None]


@torch.no_grad()
def add_to_grad(parts: GradientParts, buffers: dict[nn.Parameter, Tensor]) -> None:
    """Add gradients to the `.grad` of their parameters; `buffers` are used again from step to step."""
    for parameter, gradient in parts:
        if parameter.grad is None and gradient.shape == parameter.shape:
            parameter.grad = gradient
            continue
        if parameter.grad is None:
            if parameter not in buffers:
                buffers[parameter] = torch.empty_like(parameter)
            parameter.grad = buffers[parameter].zero_()
        parameter.grad[tuple(slice(size) for size in gradient.shape)] += gradient


def _amp_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
