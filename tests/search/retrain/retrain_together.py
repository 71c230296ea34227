"""Run by `torchrun` and alone: re-trains a micro network that follows a teacher, for test_retrain_together.py."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import MICRO, boxes

from mosegnet import space as spaces
from search.retrain import schedules, weights
from search.retrain.training import Job, train_into, trainer_of
from search.supernet.ranks import joined
from search.supernet.store import DataSummary, Supernet
from search.supernet.tasks import initial_network
from search.supernet.train import Budget

STEPS = 4


def main(out: Path, stop_at: int) -> None:
    """Train four steps into `out`, or only the first ones, with a checkpoint after them."""
    torch.set_num_threads(1)
    space, dataset = spaces.load(MICRO), boxes()
    summary = DataSummary(dataset.name, dataset.classes, dataset.mean, dataset.std)
    supernet = Supernet(space, initial_network(space, 1), summary)
    with joined() as ranks:
        teacher = weights.teacher(supernet, dataset, space.scales[1], ranks.device)
        job = Job(
            "micro", space.decode(space.smallest(1)), space.full_hw, dataset, schedules.get("retrain-tiny"),
            Budget(steps=STEPS), 3, space, teacher=teacher,
        )  # fmt: skip
        if stop_at == STEPS:
            train_into(out, job, ranks, resume=True)
            return
        trainer = trainer_of(job, ranks)
        for _ in range(stop_at):
            trainer.step()
        trainer.checkpoint(out.with_name(out.name + ".checkpoint"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
