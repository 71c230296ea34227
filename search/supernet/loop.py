"""The loop around the steps: checkpoints, validations, the log; killed anywhere, the last checkpoint goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mosegnet.common.errors import UserError
from search.supernet.logbook import Logbook
from search.supernet.train import LossNotFinite, Trainer

VALIDATED_NETWORKS = 3  # random ones, beside the largest and the smallest


def train(
    trainer: Trainer,
    checkpoint: Path | str,
    every_s: float,
    watch: Callable[[Trainer], None] | None = None,
    log: Logbook | None = None,
) -> None:
    """Step until the budget is used, with a checkpoint every `every_s` seconds of training; `watch` sees each step.

    Raises:
        UserError: the loss stopped being finite; says where, and where the last good checkpoint is.
    """
    saved_s, phase = trainer.place.seconds, trainer.place.phase
    while trainer.progress < 1:
        before = trainer.progress
        try:
            trainer.step()
        except LossNotFinite as error:
            _write(log, "stopped", trainer, why=str(error))
            raise UserError(f"{error}: the last good checkpoint is {checkpoint}; take another --seed") from error
        if trainer.place.phase != phase:
            phase = trainer.place.phase
            _write(log, "phase", trainer, phase=trainer.phase.name)
        if _validates(trainer, before):
            _write(log, "validation", trainer, accuracy=trainer.validate(VALIDATED_NETWORKS))
        if trainer.place.seconds - saved_s >= every_s:
            trainer.checkpoint(checkpoint)
            saved_s = trainer.place.seconds
            _write(log, "step", trainer, **describe(trainer))
        if watch:
            watch(trainer)
    _write(log, "finished", trainer, **describe(trainer))


def describe(trainer: Trainer) -> dict[str, object]:
    """Where a training is, for its log."""
    return {
        "progress": round(trainer.progress, 6),
        "seconds": round(trainer.place.seconds, 3),
        "phase": trainer.phase.name,
        "learning_rate": trainer.learning_rate,
        "loss": trainer.place.losses,
    }


def _validates(trainer: Trainer, before: float) -> bool:
    count = trainer.recipe.validations
    return int(count * before) < int(count * trainer.progress)


def _write(log: Logbook | None, event: str, trainer: Trainer, **values: object) -> None:
    if log is not None:
        log.write(event, trainer.place.steps, **values)
