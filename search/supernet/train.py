"""Training a supernet: every step draws one input scale, one batch and a few sub-networks, and adds their gradients.

Which sub-networks depends on the recipe: the sandwich of the largest, the smallest and random ones (Yu et al.,
"BigNAS", ECCV 2020) or random ones alone, from the options that progressive activation has opened so far; the smaller
ones also follow the largest one's opinion. What a step draws is a function of the seed and the place it is at, and
every part of the state is in the checkpoint: a training that was killed goes on as if nothing had happened, on one
process or on several.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mosegnet.architecture import Architecture
from mosegnet.common.errors import UserError
from mosegnet.digits import IntArray
from mosegnet.family import Family
from mosegnet.modules import Network
from mosegnet.space import SCALE, Space
from search.datasets.base import Dataset
from search.supernet import optimiser, progression, sorting, tasks
from search.supernet.gradients import Gradients
from search.supernet.ranks import Ranks
from search.supernet.recipes import Phase, Recipe
from search.supernet.sampling import Sampler, drawn_size, input_sizes
from search.supernet.start import Start, begin, network_of
from search.supernet.state import Place, State
from search.supernet.store import DataSummary, Supernet
from search.supernet.synced_norm import synchronise

_ORDERS = {"expand": sorting.middle_channels, "width": sorting.output_channels}
_STEP, _VALIDATION = 0, 1  # separate streams of one seed


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


@dataclass(frozen=True, slots=True)
class Teacher:
    """A trained network, in evaluation mode, whose opinion those in training follow; `name` says which one it is."""

    name: str
    network: Network


class Trainer:
    """A supernet in training; `step` until `progress` is 1, `checkpoint` now and then, `finish` at the end.

    The same trains one network alone, which is a family of one.

    Raises:
        UserError: space, data and recipe do not go together, or the batch cannot be spread over the processes.
    """

    def __init__(
        self,
        space: Family,
        dataset: Dataset,
        recipe: Recipe,
        budget: Budget,
        seed: int,
        ranks: Ranks | None = None,
        start: Start | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        self.space, self.dataset, self.recipe, self.budget, self.seed = space, dataset, recipe, budget, seed
        self.ranks, self.place = ranks or Ranks(), Place()
        self._start, self._teacher = start.name if start else None, teacher.name if teacher else None
        sizes, drawn = input_sizes(space, recipe, dataset), drawn_size(space, recipe, dataset)
        self._sampler = Sampler(dataset, recipe, sizes, drawn, seed, self.ranks)
        self.task = tasks.create(space, dataset, recipe, seed, self.ranks.device)
        module = self.task.module
        if start:
            self.place.nested = begin(start, module)
        _prepare(module, recipe, self.ranks)
        opinion = teacher.network.to(self.ranks.device) if teacher else None
        self._gradients = Gradients(self.task, recipe, self.ranks, opinion)
        self._optimiser = optimiser.create(module, recipe)
        average = optimiser.Average(module, recipe.average) if recipe.average else None
        self._state = State(module, self._optimiser, self._gradients.scaler, average, self.place)

    @property
    def progress(self) -> float:
        """The share of the budget that is used, 0 … 1."""
        return self.budget.progress(self.place.steps, self.place.seconds)

    @property
    def phase(self) -> Phase:
        """The phase of the last step."""
        return self.recipe.phases[max(0, self.place.phase)]

    @property
    def learning_rate(self) -> float:
        """Of the last step."""
        return float(self._optimiser.param_groups[0]["lr"])

    def step(self) -> None:
        """One gradient step on one batch at one input scale.

        Raises:
            LossNotFinite: names step, phase, sub-network and images; the last checkpoint is still good.
        """
        started, place = time.perf_counter(), self.place
        index, within = progression.phase_at(self.recipe.phases, self.progress)
        if index != place.phase:
            self._enter(index)
        factor = progression.schedule(within, self.recipe.warm_up, self.recipe.poly_power)
        for group in self._optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * self.phase.rate * factor
        rng = np.random.default_rng([self.seed, _STEP, place.steps])
        scales = len(self._sampler.sizes)
        scale = scales - 1 - int(rng.integers(min(self.phase.scale, scales)))
        networks, largest = self._networks(scale, rng)
        batch = [self._sampler.at(place.position, scale, part) for part in range(self.recipe.accumulate)]
        losses = self._gradients(batch, [network for _, network in networks], largest)
        self._check_finite(losses, scale, networks)
        self._update()
        place.losses = _by_kind([kind for kind, _ in networks], losses)
        place.steps += 1
        place.position += self._sampler.count(scale)
        place.seconds = self.ranks.agreed(place.seconds + time.perf_counter() - started)

    def finish(self) -> Supernet:
        """The trained supernet, or the encoder in one, with its provenance."""
        assert isinstance(self.space, Space)
        return Supernet(self.space, self.network().cpu().eval(), self.data(), self.record())

    def network(self) -> Network:
        """The network as it is used: the one in training, or a copy with what its recipe does to it at the end."""
        return self.task.trained(self._averages())

    def data(self) -> DataSummary:
        """What it is trained on."""
        return DataSummary(self.dataset.name, self.dataset.classes, self.dataset.mean, self.dataset.std)

    def record(self) -> dict[str, Any]:
        """What decided the result, and what it took so far, as JSON data."""
        losses = {f"loss_{kind}": round(value, 4) for kind, value in self.place.losses.items()}
        took = {"steps": self.place.steps, "minutes": round(self.place.seconds / 60, 3)}
        return self._identity() | took | losses

    def validate(self, networks: int) -> dict[str, float]:
        """Accuracy of the largest network, the smallest and so many random ones, shared out over the processes."""
        rng = np.random.default_rng([self.seed, _VALIDATION])
        random = progression.sample(self.space, self.phase, networks, rng)
        X = np.stack([self.space.largest(), progression.smallest(self.space, self.phase), *random])
        names = ["largest", "smallest", *(f"random_{k}" for k in range(1, networks + 1))]
        if self._alone:
            X, names = X[:1], ["network"]
        scores = torch.zeros(len(X), dtype=torch.float64, device=self.ranks.device)
        own = list(range(self.ranks.rank, len(X), self.ranks.world))
        if own:
            scores[own] = scores.new_tensor(self.task.score(X[own], self._averages()))
        self.ranks.add_up([scores])
        return dict(zip(names, scores.tolist(), strict=True))

    def checkpoint(self, path: Path | str) -> None:
        """Everything that the next step depends on, written atomically by the first process.

        Raises:
            UserError: it cannot be written; the previous one is whole.
        """
        if self.ranks.first:
            self._state.write(path, self._identity(), self.space.name)

    def restore(self, path: Path | str) -> None:
        """Go on from a checkpoint.

        Raises:
            UserError: it is damaged, or of another space, data set, recipe, budget or seed; names what differs.
        """
        self._state.read(path, self._identity(), self.space.name, self.ranks)

    def _identity(self) -> dict[str, Any]:
        """What decides the result, as JSON data."""
        described: dict[str, Any] = {"space": self.space.fingerprint, "data": self.dataset.name, "seed": self.seed}
        described |= {f"budget_{name}": value for name, value in asdict(self.budget).items() if value is not None}
        recipe = asdict(self.recipe) | {"sizes": [list(size) for size in self._sampler.sizes]}
        described |= {"start": self._start, "teacher": self._teacher}
        return described | {"recipe": recipe.pop("name")} | recipe | {
            "phases": [dict(phase) for phase in recipe["phases"]]
        }  # fmt: skip

    @property
    def _alone(self) -> bool:
        """Whether the family is one network."""
        return max(self.space.cardinalities) == 1

    def _averages(self) -> dict[str, torch.Tensor] | None:
        return self._state.average.tensors if self._state.average else None

    def _enter(self, index: int) -> None:
        """Begin a phase; channels are sorted before smaller networks leave any of them out."""
        trained = self.place.steps > 0 or self._start is not None
        self.place.phase = index
        for kind, channels in _ORDERS.items():
            if getattr(self.phase, kind) > 1 and kind not in self.place.nested:
                if trained:
                    self._sort(list(channels(self.task.network)))
                self.place.nested.add(kind)

    def _sort(self, groups: list[sorting.Channels]) -> None:
        kept = [
            {name.removeprefix("network."): tensor for name, tensor in own.items() if tensor.ndim}
            for own in self._state.named_tensors().values()
        ]
        for channels in groups:
            order = sorting.order_of(channels, kept[0])
            for tensors in kept:
                sorting.permute(channels, order, tensors)

    def _networks(self, scale: int, rng: np.random.Generator) -> tuple[list[tuple[str, Architecture]], Architecture]:
        """The step's networks with their kind, each once, all at one input scale; and the largest one there."""
        largest = self.space.largest()
        if self._alone:
            network = self.space.decode(largest)
            return [("network", network)], network
        X: list[tuple[str, IntArray]] = []
        if self.recipe.sandwich:
            X += [("largest", largest), ("smallest", progression.smallest(self.space, self.phase))]
        X += [("random", x) for x in progression.sample(self.space, self.phase, self.recipe.random_networks, rng)]
        found: dict[tuple[int, ...], tuple[str, Architecture]] = {}
        for kind, x in [("", largest), *X]:
            x[SCALE] = len(self.space.scales) - 1 if self.recipe.sizes else scale
            network = self.space.decode(x)
            if kind:
                found.setdefault(network.encoding, (kind, network))
        return list(found.values()), self.space.decode(largest)

    def _check_finite(self, losses: list[float], scale: int, networks: list[tuple[str, Architecture]]) -> None:
        for loss, (kind, network) in zip(losses, networks, strict=True):
            if not np.isfinite(loss):
                images = ", ".join(self._sampler.ids(self.place.position, scale))
                raise LossNotFinite(
                    f"the loss is not finite at step {self.place.steps}, phase {self.phase.name!r}, {kind} network "
                    f"{list(network.encoding)}, images {images}"
                )

    def _update(self) -> None:
        scaler = self._gradients.scaler
        if scaler.is_enabled():
            scaler.unscale_(self._optimiser)
        if self.recipe.gradient_norm:
            torch.nn.utils.clip_grad_norm_(self._gradients.parameters, self.recipe.gradient_norm)
        scaler.step(self._optimiser)
        scaler.update()
        if self._state.average:
            self._state.average.update(self.place.steps)


def _prepare(module: nn.Module, recipe: Recipe, ranks: Ranks) -> None:
    """Bring the module to the device and into the recipe's state."""
    module.to(ranks.device).train()
    if recipe.channels_last:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network_of(module).checkpointing = recipe.checkpointing
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None  # no running statistics: every sub-network gets its own before it is used
    if ranks.world > 1:
        synchronise(module)


def _by_kind(kinds: list[str], losses: list[float]) -> dict[str, float]:
    """The mean loss of each kind of network."""
    return {
        kind: float(np.mean([loss for own, loss in zip(kinds, losses, strict=True) if own == kind]))
        for kind in dict.fromkeys(kinds)
    }
