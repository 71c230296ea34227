"""Training one network into a file: the supernet's own loop, with a checkpoint and a log beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mosegnet.architecture import Architecture
from mosegnet.common.console import note
from mosegnet.space import Space
from search.datasets.base import Dataset
from search.network_file import NetworkMeta, save_network
from search.retrain.one_network import OneNetwork
from search.retrain.schedules import Schedule
from search.retrain.weights import settle
from search.supernet.logbook import Logbook
from search.supernet.loop import train
from search.supernet.ranks import Ranks
from search.supernet.start import Start
from search.supernet.train import Budget, Teacher, Trainer

CHECKPOINT_EVERY_S, CHECKPOINT_EVERY_ON_GPU_S = 20.0, 600.0


@dataclass(frozen=True, slots=True)
class Job:
    """What is trained, and how; `start` and `teacher` are absent where it begins at random and follows nobody."""

    name: str
    architecture: Architecture
    full_hw: tuple[int, int]
    dataset: Dataset
    schedule: Schedule
    budget: Budget
    seed: int
    space: Space | None = None
    start: Start | None = None
    teacher: Teacher | None = None


def trainer_of(job: Job, ranks: Ranks) -> Trainer:
    """The training of one network, before its first step.

    Raises:
        UserError: see `Trainer`.
    """
    recipe = job.schedule.recipe
    if job.schedule.a_card:
        recipe = replace(recipe, batch=recipe.batch * ranks.world)
    family = OneNetwork(job.name, job.architecture, job.full_hw)
    return Trainer(family, job.dataset, recipe, job.budget, job.seed, ranks, job.start, job.teacher)


def train_into(
    out: Path, job: Job, ranks: Ranks, resume: bool = False, watch: Callable[[Trainer], None] | None = None
) -> None:
    """Train until the budget is used and write the network; stopped at any moment, `resume` goes on.

    Raises:
        UserError: the loss stopped being finite, the disk is full, the checkpoint is of another training.
    """
    checkpoint = out.with_name(out.name + ".checkpoint")
    trainer = trainer_of(job, ranks)
    if resume and ranks.agreed(float(checkpoint.exists())):
        trainer.restore(checkpoint)
        if ranks.first:
            note(f"going on at step {trainer.place.steps}, {trainer.progress:.0%} of the budget")
    trainer.checkpoint(checkpoint)  # a full disk or a wrong folder is found now, not after the training
    log = Logbook(out.with_suffix(".log.jsonl")) if ranks.first else None
    every_s = CHECKPOINT_EVERY_S if ranks.device.type == "cpu" else CHECKPOINT_EVERY_ON_GPU_S
    train(trainer, checkpoint, every_s, watch, log)
    if log is None:
        return
    log.close()
    network = trainer.network()
    settle(network, job.dataset, job.architecture.input_hw, ranks.device)
    save_network(out, network, NetworkMeta(job.name, trainer.data(), job.space, trainer.record()))
    checkpoint.unlink(missing_ok=True)
    note(f"wrote {out}: {trainer.place.steps} steps in {trainer.place.seconds / 60:.1f} minutes")
