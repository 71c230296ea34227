"""Training a supernet: the sandwich rule with distillation from the largest network, at every input scale in turn.

Each step draws one input scale and one augmented batch, and adds the gradients of the largest network, the smallest
and a few random ones (Yu et al., "BigNAS", ECCV 2020); the smaller ones also follow the largest one's opinion. Every
part of the state is in the checkpoint, so that a killed training goes on as if nothing had happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mosegnet.architecture import Architecture
from mosegnet.common.errors import UserError
from mosegnet.modules import Layer, Network
from mosegnet.space import SCALE, Space
from search.datasets.augment import Augmentation
from search.datasets.base import Dataset, class_pixels
from search.supernet.checkpoint import read_checkpoint, write_checkpoint
from search.supernet.loss import class_weights, distillation_loss, segmentation_loss
from search.supernet.store import DataSummary, Supernet

LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-2
WARM_UP = 0.05  # share of the training
POLY_POWER = 0.9
GRADIENT_NORM = 5.0
LABEL_REDUCTION = 2  # the loss is taken at half the largest input's resolution, for a quarter of the time
ZOOM, COLOUR = (1.0, 1.5), 0.1  # in minutes of training a wider augmentation costs more than it gives
SMALL_INPUT_BATCHES = 2  # a small input's batch is larger, at most so many times: its operators cost little more

_Gradient = tuple[float, tuple[Tensor | None, ...]]


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


@dataclass(frozen=True, slots=True)
class Recipe:
    """What, beside space and data, decides the result; kept in the supernet's file."""

    budget: Budget
    seed: int
    batch: int = 4  # at the largest input
    random_networks: int = 1  # per step, beside the largest and the smallest


class Trainer:
    """A supernet in training; `step` until `progress` is 1, `checkpoint` now and then, `finish` at the end."""

    def __init__(self, space: Space, dataset: Dataset, recipe: Recipe, device: str = "cpu") -> None:
        _check_classes(space, dataset)
        self.space, self.dataset, self.recipe = space, dataset, recipe
        self.device = torch.device(device)
        self.steps, self.seconds, self.losses = 0, 0.0, dict[str, float]()
        torch_seed, numpy_seed = np.random.SeedSequence(recipe.seed).generate_state(2)
        self._generator = torch.Generator().manual_seed(int(torch_seed))
        self._rng = np.random.default_rng(int(numpy_seed))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch_seed))  # the modules' own initialisation knows no generator
            network = Network(space.decode(space.largest()))
            _initialise(network)
        self.network = network.to(self.device).train()
        self._parameters = list(self.network.parameters())
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # no running statistics: every sub-network gets its own before it is used
        self._threads = ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,))
        self._optimiser = torch.optim.AdamW(_parameter_groups(self.network), lr=LEARNING_RATE)
        split = dataset.split("supernet")
        self._split = split
        self._weights = class_weights(class_pixels(split.labels, space.classes)).to(self.device)
        self._augment = Augmentation(dataset.mean, dataset.std, ZOOM, COLOUR)

    @property
    def progress(self) -> float:
        """The share of the budget that is used, 0 … 1."""
        return self.recipe.budget.progress(self.steps, self.seconds)

    def step(self) -> None:
        """One gradient step: the largest network, the smallest and random ones, on one batch at one input scale.

        Raises:
            FloatingPointError: the loss is not finite; the last checkpoint is still good.
        """
        started = time.perf_counter()
        for group in self._optimiser.param_groups:
            group["lr"] = LEARNING_RATE * _schedule(self.progress)
        scale = int(self._rng.integers(len(self.space.scales)))
        images, labels = self._batch(scale)
        self.losses = self._gradients(images, labels, scale)
        if not all(np.isfinite(value) for value in self.losses.values()):
            raise FloatingPointError(f"the loss is not finite at step {self.steps}")
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
        self._optimiser.step()
        self.steps += 1
        self.seconds += time.perf_counter() - started

    def finish(self) -> Supernet:
        """The trained supernet with its provenance."""
        data = DataSummary(self.dataset.name, self.dataset.classes, self.dataset.mean, self.dataset.std)
        losses = {f"loss_{kind}": round(value, 4) for kind, value in self.losses.items()}
        record = {"steps": self.steps, "minutes": round(self.seconds / 60, 3), **losses}
        return Supernet(self.space, self.network.cpu().eval(), data, self._identity() | record)

    def checkpoint(self, path: Path | str) -> None:
        """Everything that the next step depends on, written atomically."""
        state = {
            "identity": self._identity(),
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "steps": self.steps,
            "seconds": self.seconds,
            "generator": self._generator.get_state(),
            "rng": self._rng.bit_generator.state,
        }
        write_checkpoint(path, state)

    def restore(self, path: Path | str) -> None:
        """Go on from a checkpoint.

        Raises:
            UserError: it is damaged, or of another space, data set, budget or seed; names what differs.
        """
        state = read_checkpoint(path)
        for name, own in self._identity().items():
            if state["identity"].get(name) != own:
                raise UserError(
                    f"checkpoint {path} has {name} {state['identity'].get(name)!r}, this training {own!r}: "
                    "repeat the first command with --resume, or delete the checkpoint to start anew"
                )
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.steps, self.seconds = state["steps"], state["seconds"]
        self._generator.set_state(state["generator"])
        self._rng.bit_generator.state = state["rng"]

    def _identity(self) -> dict[str, Any]:
        recipe = asdict(self.recipe)
        budget = recipe.pop("budget")
        recipe |= {f"budget_{name}": value for name, value in budget.items() if value is not None}
        return {"space": self.space.fingerprint, "data": self.dataset.name, **recipe}

    def _batch(self, scale: int) -> tuple[Tensor, Tensor]:
        """Augmented images (B, 3, h, w) at this input scale, labels (B, h', w') int64 of the same regions."""
        largest_hw, size_hw = self.space.scales[-1], self.space.scales[scale]
        more = (largest_hw[0] * largest_hw[1]) // (size_hw[0] * size_hw[1])
        count = self.recipe.batch * min(more, SMALL_INPUT_BATCHES)
        rows = torch.randint(len(self._split), (count,), generator=self._generator)
        images, labels = self._augment(self._split.images[rows], self._split.labels[rows], largest_hw, self._generator)
        if size_hw != largest_hw:
            images = F.interpolate(images, size=size_hw, mode="bilinear", antialias=True, align_corners=False)
        labels = labels[:, LABEL_REDUCTION // 2 :: LABEL_REDUCTION, LABEL_REDUCTION // 2 :: LABEL_REDUCTION]
        return images.to(self.device), labels.to(self.device).long()

    def _gradients(self, images: Tensor, labels: Tensor, scale: int) -> dict[str, float]:
        """Sum the gradients of every network of the step into `.grad`; returns their losses by kind.

        The networks are small and run side by side, one thread each: their many short operators leave the cores
        idle when each is spread over all of them, and far worse where another program wants the same cores. The sum
        has a fixed order, so that threads change nothing.
        """
        largest, *students = self._networks(scale)
        heads = self._threads.submit(self.network.forward_eighth, images, largest).result()
        teacher = heads[0].detach()
        jobs = [lambda: self._gradient(segmentation_loss(heads, labels, self._weights))]
        jobs += [partial(self._student_gradient, images, labels, teacher, student) for student in students]
        found = list(self._threads.map(lambda job: job(), jobs))
        for parameter, gradients in zip(self._parameters, zip(*(g for _, g in found), strict=True), strict=True):
            present = [gradient for gradient in gradients if gradient is not None]
            parameter.grad = torch.stack(present).sum(0) if len(present) > 1 else (present or [None])[0]
        return {kind: loss for kind, (loss, _) in zip(("largest", "smallest", "random"), found, strict=False)}

    def _student_gradient(self, images: Tensor, labels: Tensor, teacher: Tensor, student: Architecture) -> _Gradient:
        heads = self.network.forward_eighth(images, student)
        loss = segmentation_loss(heads, labels, self._weights) + distillation_loss(heads[0], teacher)
        return self._gradient(loss)

    def _gradient(self, loss: Tensor) -> _Gradient:
        return loss.item(), torch.autograd.grad(loss, self._parameters, allow_unused=True)

    def _networks(self, scale: int) -> list[Architecture]:
        """The largest, the smallest and random ones, all at one input scale."""
        X = self.space.sample(self.recipe.random_networks, self._rng)
        X[:, SCALE] = scale
        return [self.space.decode(x) for x in (self.space.largest(scale), self.space.smallest(scale), *X)]


def train(
    trainer: Trainer, checkpoint: Path | str, every_s: float, watch: Callable[[Trainer], None] | None = None
) -> Supernet:
    """Step until the budget is used, with a checkpoint every `every_s` seconds of training; `watch` sees each step.

    Raises:
        UserError: the loss stopped being finite; says where the last good checkpoint is.
    """
    saved_s = trainer.seconds
    while trainer.progress < 1:
        try:
            trainer.step()
        except FloatingPointError as error:
            raise UserError(f"{error}: the last good checkpoint is {checkpoint}; take another --seed") from error
        if trainer.seconds - saved_s >= every_s:
            trainer.checkpoint(checkpoint)
            saved_s = trainer.seconds
        if watch:
            watch(trainer)
    return trainer.finish()


def _schedule(progress: float) -> float:
    """Linear warm-up, then polynomial decay to 0; a factor of the learning rate."""
    if progress < WARM_UP:
        return (progress + 0.01 * WARM_UP) / WARM_UP
    return float((1 - (progress - WARM_UP) / (1 - WARM_UP)) ** POLY_POWER)


def _initialise(network: Network) -> None:
    """He et al. for the convolutions; a layer without projection starts as the identity (its last gain is 0)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, Layer) and module.shortcut is None and module.conv3.bn is not None:
            nn.init.zeros_(module.conv3.bn.weight)


def _parameter_groups(network: Network) -> list[dict[str, Any]]:
    """Weights of convolutions decay; batch norms and biases do not."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim == 1]
    return [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]


def _check_classes(space: Space, dataset: Dataset) -> None:
    if len(dataset.classes) != space.classes:
        raise UserError(
            f"data set {dataset.name} has {len(dataset.classes)} classes, space {space.name!r} has {space.classes}: "
            f'use a space file {{"preset": "{space.name}", "classes": {len(dataset.classes)}}}'
        )
