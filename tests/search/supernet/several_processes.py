"""Run by `torchrun` and alone: trains a micro supernet and writes what became of it, for test_several_processes.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import MICRO, boxes

from mosegnet import space as spaces
from search.supernet import recipes
from search.supernet.ranks import joined
from search.supernet.store import save
from search.supernet.train import Budget, Trainer

STEPS = 4


def main(out: Path, first: int, last: int, accumulate: int) -> None:
    """Steps `first` to `last` of a training of four, from the checkpoint of the step before."""
    torch.set_num_threads(1)
    recipe = recipes.get("tiny", batch=4, accumulate=accumulate)
    with joined() as ranks:
        trainer = Trainer(spaces.load(MICRO), boxes(), recipe, Budget(steps=STEPS), seed=3, ranks=ranks)
        if first:
            trainer.restore(out / "checkpoint")
        losses = []
        for _ in range(first, last):
            trainer.step()
            losses.append(trainer.place.losses)
        trainer.checkpoint(out / "checkpoint")
        scores = trainer.validate(1)
        if ranks.first:
            (out / "result.json").write_text(json.dumps({"losses": losses, "scores": scores}))
            save(trainer.finish(), out / "supernet.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(word) for word in sys.argv[2:5]))
