"""Training a supernet: every step draws one input scale, one batch and a few sub-networks, and adds their gradients.

Which sub-networks depends on the recipe: the sandwich of the largest, the smallest and random ones (Yu et al.,
"BigNAS", ECCV 2020) or random ones alone, from the options that progressive activation has opened so far; the smaller
ones also follow the largest one's opinion. What a step draws is a function of (seed, step), and every part of the
state is in the checkpoint: a training that was killed goes on as if nothing had happened, on one process or several.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mosegnet.architecture import Architecture
from mosegnet.common.errors import UserError
from mosegnet.digits import IntArray
from mosegnet.space import SCALE, Space
from search.datasets.base import Dataset
from search.supernet import optimiser, progression, sorting
from search.supernet.checkpoint import parse_checkpoint, read_checkpoint_bytes, write_checkpoint
from search.supernet.loss import distillation_loss
from search.supernet.ranks import Ranks
from search.supernet.recipes import Phase, Recipe
from search.supernet.store import DataSummary, Supernet
from search.supernet.synced_norm import synchronise
from search.supernet.tasks import Segmentation, Task, averaged

_Gradient = tuple[Tensor, tuple[Tensor | None, ...]]
_ORDERS = {"expand": sorting.middle_channels, "width": sorting.output_channels}


class LossNotFinite(Exception):
    """The loss of a step is not a finite number; says where."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to train: exactly one of the two."""

    minutes: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise UserError("give the training either --minutes or --steps")
        if (self.minutes or self.steps or 0) <= 0:
            raise UserError("the training's --minutes or --steps must be positive")

    def progress(self, steps: int, seconds: float) -> float:
        """The share that is done, 0 … 1."""
        done = steps / self.steps if self.steps else seconds / (60.0 * (self.minutes or 1.0))
        return min(1.0, done)


class Trainer:
    """A supernet in training; `step` until `progress` is 1, `checkpoint` now and then, `finish` at the end."""

    def __init__(
        self, space: Space, dataset: Dataset, recipe: Recipe, budget: Budget, seed: int, ranks: Ranks | None = None
    ) -> None:
        self.space, self.dataset, self.recipe, self.budget, self.seed = space, dataset, recipe, budget, seed
        self.ranks = ranks or Ranks()
        self._check_parts()
        self.task: Task = Segmentation(space, dataset, recipe, seed, self.ranks.device)
        self.network = self.task.network
        self.steps, self.seconds, self.losses = 0, 0.0, dict[str, float]()
        self.phase = -1
        self.nested: set[str] = set()  # kinds of width that smaller networks were trained in: not sorted again
        self.start: str | None = None  # where the first weights are from
        self._prepare()

    @property
    def progress(self) -> float:
        """The share of the budget that is used, 0 … 1."""
        return self.budget.progress(self.steps, self.seconds)

    @property
    def learning_rate(self) -> float:
        """Of the last step."""
        return float(self._optimiser.param_groups[0]["lr"])

    @property
    def phase_name(self) -> str:
        """The phase of the last step."""
        return self.recipe.phases[max(0, self.phase)].name

    def start_from(self, take: Callable[[nn.Module], set[str]], name: str) -> None:
        """Begin with other weights: `take` puts them into the module and says which widths are in order already."""
        self.nested, self.start = take(self.task.module), name
        self._average = self._new_average()

    def step(self) -> None:
        """One gradient step on one batch at one input scale.

        Raises:
            LossNotFinite: names step, phase, sub-network and images; the last checkpoint is still good.
        """
        started = time.perf_counter()
        index, within = progression.phase_at(self.recipe.phases, self.progress)
        phase = self.recipe.phases[index]
        if index != self.phase:
            self._enter(index, phase)
        factor = progression.schedule(within, self.recipe.warm_up, self.recipe.poly_power)
        for group in self._optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * phase.rate * factor
        rng = np.random.default_rng([self.seed, self.steps])
        scale = self._scale(phase, rng)
        networks = self._networks(phase, scale, rng)
        losses = self._gradients(scale, [network for _, network in networks])
        self._check_finite(losses, scale, networks)
        self._update()
        self.losses = _by_kind([kind for kind, _ in networks], losses)
        self.steps += 1
        self.seconds = self.ranks.agreed(self.seconds + time.perf_counter() - started)

    def finish(self) -> Supernet:
        """The trained supernet with its provenance."""
        data = DataSummary(self.dataset.name, self.dataset.classes, self.dataset.mean, self.dataset.std)
        losses = {f"loss_{kind}": round(value, 4) for kind, value in self.losses.items()}
        record = {"steps": self.steps, "minutes": round(self.seconds / 60, 3), **losses}
        network = averaged(self.network, self._average.tensors if self._average else None)
        return Supernet(self.space, network.cpu().eval(), data, self._identity() | record)

    def validate(self, networks: int) -> dict[str, float]:
        """Accuracy of the largest network, the smallest and so many random ones, shared out over the processes."""
        phase = self.recipe.phases[max(0, self.phase)]
        random = progression.sample(self.space, phase, networks, np.random.default_rng([self.seed, 1, 0]))
        X = np.stack([self.space.largest(), progression.smallest(self.space, phase), *random])
        scores = torch.zeros(len(X), dtype=torch.float64, device=self.ranks.device)
        own = list(range(self.ranks.rank, len(X), self.ranks.world))
        if own:
            found = self.task.score(X[own], self._average.tensors if self._average else None)
            scores[own] = torch.tensor(found, dtype=torch.float64, device=self.ranks.device)
        self.ranks.add_up([scores])
        values = [float(value) for value in scores]
        named = {"largest": values[0], "smallest": values[1]}
        return named | {f"random_{k}": value for k, value in enumerate(values[2:], start=1)}

    # --- the checkpoint ------------------------------------------------------------------------------------------

    def checkpoint(self, path: Path | str) -> None:
        """Everything that the next step depends on, written atomically by the first process.

        Raises:
            UserError: it cannot be written; the previous one is whole.
        """
        if not self.ranks.first:
            return
        module = self.task.module
        tensors = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
        for name, key, tensor in optimiser.state_tensors(self._optimiser, module):
            tensors[f"optimiser.{name}:{key}"] = tensor
        if self._average:
            tensors |= {f"average.{name}": tensor for name, tensor in self._average.tensors.items()}
        values = {
            "identity": self._identity(),
            "space": self.space.name,
            "steps": self.steps,
            "seconds": self.seconds,
            "phase": self.phase,
            "nested": sorted(self.nested),
            "losses": self.losses,
            "scaler": self._scaler.state_dict(),
        }
        write_checkpoint(path, tensors, values)

    def restore(self, path: Path | str) -> None:
        """Go on from a checkpoint; the first process reads it for all.

        Raises:
            UserError: it is damaged, or of another space, data set, recipe, budget or seed; names what differs.
        """
        data = read_checkpoint_bytes(path) if self.ranks.first else None
        tensors, values = parse_checkpoint(self.ranks.share_bytes(data), path)
        self._check_identity(path, values)
        try:
            self.task.module.load_state_dict(_under("module.", tensors))
            optimiser.restore_state(self._optimiser, self.task.module, _under("optimiser.", tensors))
            if self._average:
                for name, tensor in _under("average.", tensors).items():
                    self._average.tensors[name].copy_(tensor)
            self.steps, self.seconds, self.phase = values["steps"], values["seconds"], values["phase"]
            self.nested, self.losses = set(values["nested"]), values["losses"]
            self._scaler.load_state_dict(values["scaler"])
        except (RuntimeError, KeyError) as error:
            raise UserError(f"checkpoint {path} is damaged: delete it to start anew") from error

    def _check_identity(self, path: Path | str, values: dict[str, Any]) -> None:
        theirs = values.get("identity", {})
        for name, own in self._identity().items():
            if theirs.get(name) != own:
                shown = (values.get("space"), self.space.name) if name == "space" else (theirs.get(name), own)
                raise UserError(
                    f"checkpoint {path} has {name} {shown[0]!r}, this training {shown[1]!r}: "
                    "repeat the first command with --resume, or delete the checkpoint to start anew"
                )

    def _identity(self) -> dict[str, Any]:
        recipe = asdict(self.recipe)
        described: dict[str, Any] = {"space": self.space.fingerprint, "data": self.dataset.name, "seed": self.seed}
        described |= {f"budget_{name}": value for name, value in asdict(self.budget).items() if value is not None}
        described["start"] = self.start
        phases = [dict(phase) for phase in recipe.pop("phases")]
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in recipe.items()}
        return {**described, "recipe": plain.pop("name"), **plain, "phases": phases}

    # --- one step ------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        recipe, module = self.recipe, self.task.module
        module.to(self.ranks.device).train()
        if recipe.channels_last:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.checkpointing = recipe.checkpointing
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.momentum = None  # no running statistics: every sub-network gets its own before it is used
        if self.ranks.world > 1:
            synchronise(module)
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._optimiser = optimiser.create(module, recipe)
        self._average = self._new_average()
        self._amp = _amp_dtype(recipe.precision, self.ranks.device)
        self._scaler = torch.amp.GradScaler(self.ranks.device.type, enabled=self._amp is torch.float16)
        # Small networks on a CPU run side by side, one thread each: their short operators leave the cores idle when
        # each is spread over all of them, and far worse where another program wants the same cores.
        beside = self.ranks.device.type == "cpu" and self.ranks.world == 1
        count = torch.get_num_threads() if beside else 0
        self._threads = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) if count else None

    def _new_average(self) -> optimiser.Average | None:
        return optimiser.Average(self.task.module, self.recipe.average) if self.recipe.average else None

    def _check_parts(self) -> None:
        parts = self.ranks.world * self.recipe.accumulate
        if self.recipe.accumulate < 1 or self.recipe.batch % parts or self.recipe.batch < parts:
            raise UserError(
                f"a batch of {self.recipe.batch} cannot be spread over {self.ranks.world} processes and "
                f"{self.recipe.accumulate} parts each: take a --batch that {parts} divides"
            )

    def _enter(self, index: int, phase: Phase) -> None:
        """Begin a phase; channels are sorted before smaller networks leave any of them out."""
        trained = self.steps > 0 or self.start is not None
        for kind, channels in _ORDERS.items():
            if getattr(phase, kind) > 1 and kind not in self.nested:
                if trained:
                    self._sort(list(channels(self.network)))
                self.nested.add(kind)
        self.phase = index

    def _sort(self, groups: list[sorting.Channels]) -> None:
        module = self.task.module
        kept: dict[str, dict[str, Tensor]] = {}
        for name, key, tensor in optimiser.state_tensors(self._optimiser, module):
            if tensor.ndim:
                kept.setdefault(key, {})[name] = tensor
        if self._average:
            kept["average"] = self._average.tensors
        weights = _own_names(module.state_dict())
        for channels in groups:
            order = sorting.order_of(channels, weights)
            for tensors in (weights, *map(_own_names, kept.values())):
                sorting.permute(channels, order, tensors)

    def _scale(self, phase: Phase, rng: np.random.Generator) -> int:
        return self.task.scales - 1 - int(rng.integers(min(phase.scale, self.task.scales)))

    def _networks(self, phase: Phase, scale: int, rng: np.random.Generator) -> list[tuple[str, Architecture]]:
        """The step's networks with their kind, each once, all at one input scale."""
        X: list[tuple[str, IntArray]] = []
        if self.recipe.sandwich:
            X += [("largest", self.space.largest()), ("smallest", progression.smallest(self.space, phase))]
        random = progression.sample(self.space, phase, self.recipe.random_networks, rng)
        X += [("random", x) for x in random]
        found: dict[tuple[int, ...], tuple[str, Architecture]] = {}
        for kind, x in X:
            if self.task.scales == len(self.space.scales):
                x[SCALE] = scale
            network = self.space.decode(x)
            found.setdefault(network.encoding, (kind, network))
        return list(found.values())

    def _gradients(self, scale: int, networks: list[Architecture]) -> list[float]:
        """The gradients of every network over the whole batch into `.grad`; returns their losses."""
        world, parts = self.ranks.world, self.ranks.world * self.recipe.accumulate
        own = [self.ranks.rank + world * k for k in range(self.recipe.accumulate)]
        batch = [self._to_device(*self.task.batches.at(self.steps, scale, part, parts)) for part in own]
        total = torch.stack([self.task.loss.total(labels) for _, labels in batch]).sum(0)
        self.ranks.add_up([total])
        for parameter in self._parameters:
            parameter.grad = None
        losses = torch.zeros(len(networks), device=self.ranks.device)
        for images, labels in batch:
            for k, (loss, gradients) in enumerate(self._each(images, labels, networks, total, 1 / parts)):
                losses[k] += loss
                for parameter, gradient in zip(self._parameters, gradients, strict=True):
                    if gradient is not None:
                        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        present = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        self.ranks.add_up([losses, *present])
        return [float(loss) for loss in losses]

    def _each(
        self, images: Tensor, labels: Tensor, networks: list[Architecture], total: Tensor, share: float
    ) -> Iterator[_Gradient]:
        """Loss and gradients of each network on one part of the batch, in their order; threads change nothing."""
        largest, students, jobs, teacher = self._largest(networks[0]), list(networks), [], None
        if self.recipe.distil and networks != [largest]:
            if networks[0] == largest:
                (heads,) = self._run([partial(self._heads, images, largest)])
                teacher, students = heads[0].detach(), networks[1:]
                jobs.append(lambda: self._gradient(self.task.loss(heads, labels, total)))
            else:
                with torch.no_grad():
                    teacher = self._heads(images, largest)[0]
        jobs += [partial(self._student, images, labels, network, teacher, total, share) for network in students]
        yield from self._run(jobs)

    def _student(
        self, images: Tensor, labels: Tensor, network: Architecture, teacher: Tensor | None, total: Tensor, share: float
    ) -> _Gradient:
        heads = self._heads(images, network)
        loss = self.task.loss(heads, labels, total)
        if teacher is not None:
            loss = loss + share * distillation_loss(heads[0], teacher)
        return self._gradient(loss)

    def _heads(self, images: Tensor, network: Architecture) -> tuple[Tensor, ...]:
        with torch.autocast(self.ranks.device.type, self._amp, enabled=self._amp is not None):
            heads = self.task.heads(images, network)
        return tuple(head.float() for head in heads)

    def _gradient(self, loss: Tensor) -> _Gradient:
        return loss.detach(), torch.autograd.grad(self._scaler.scale(loss), self._parameters, allow_unused=True)

    def _run(self, jobs: list[Any]) -> Iterator[Any]:
        return self._threads.map(lambda job: job(), jobs) if self._threads else (job() for job in jobs)

    def _largest(self, like: Architecture) -> Architecture:
        return self.space.decode(self.space.largest(like.encoding[SCALE]))

    def _to_device(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        layout = torch.channels_last if self.recipe.channels_last else torch.contiguous_format
        return images.to(self.ranks.device, memory_format=layout), labels.to(self.ranks.device)

    def _check_finite(self, losses: list[float], scale: int, networks: list[tuple[str, Architecture]]) -> None:
        for loss, (kind, network) in zip(losses, networks, strict=True):
            if not np.isfinite(loss):
                images = ", ".join(self.task.batches.ids(self.steps, scale))
                raise LossNotFinite(
                    f"the loss is not finite at step {self.steps}, phase {self.recipe.phases[self.phase].name!r}, "
                    f"{kind} network {list(network.encoding)}, images {images}"
                )

    def _update(self) -> None:
        self._scaler.unscale_(self._optimiser)
        if self.recipe.gradient_norm:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.recipe.gradient_norm)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        if self._average:
            self._average.update(self.steps)


def _amp_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _by_kind(kinds: list[str], losses: list[float]) -> dict[str, float]:
    """The mean loss of each kind of network."""
    found: dict[str, list[float]] = {}
    for kind, loss in zip(kinds, losses, strict=True):
        found.setdefault(kind, []).append(loss)
    return {kind: float(np.mean(values)) for kind, values in found.items()}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _own_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names as in a network, also where it is a part of a larger module."""
    return {name.removeprefix("network."): tensor for name, tensor in tensors.items()}
