"""`search train-supernet`: on one process or under `torchrun`, from nothing or from other weights, resumable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mosegnet import space as spaces
from mosegnet.common.console import Bar, note, progress_bar
from mosegnet.common.errors import UserError
from mosegnet.space import Space
from search.commands.encodings import SPACE_HELP

if TYPE_CHECKING:
    from search.datasets import Dataset
    from search.supernet.ranks import Ranks
    from search.supernet.recipes import Recipe
    from search.supernet.train import Budget, Trainer

DATA_HELP = "synthetic, or KIND:PATH such as camvid:data/camvid"
_CHECKPOINT_EVERY_S = 20.0  # on a CPU; a larger network's checkpoint takes longer and is written less often
_CHECKPOINT_EVERY_ON_GPU_S = 600.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may choose beside space, data, budget and seed; None keeps the recipe's."""

    recipe: str | None = None
    start: Path | None = None
    backbone: Path | None = None
    device: str = "cpu"
    batch: int | None = None
    accumulate: int | None = None
    precision: str | None = None
    checkpointing: bool | None = None
    sandwich: bool | None = None
    distil: bool | None = None
    random_networks: int | None = None
    validations: int | None = None
    on_corrupt: str | None = None

    def changes(self) -> dict[str, Any]:
        """The fields that belong to a recipe."""
        elsewhere = {"recipe", "start", "backbone", "device"}
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in elsewhere}


@click.command("train-supernet")
@click.option("--space", "spec", default="tiny", show_default=True, help=SPACE_HELP)
@click.option("--data", required=True, help=DATA_HELP + "; imagenet:PATH trains the encoder alone")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the safetensors file to write")
@click.option("--minutes", type=float, help="train for so long  [default: the recipe's budget, 5 minutes for tiny]")
@click.option("--steps", type=int, help="train for so many steps instead; the same seed gives the same weights")
@click.option("--epochs", type=click.IntRange(1), help="or for so many passes over the images")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--resume", is_flag=True, help="go on from the checkpoint of a training that was stopped")
@click.option(
    "--from", "start", type=click.Path(path_type=Path), help="begin with this supernet or pre-trained encoder"
)
@click.option(
    "--backbone-weights", "backbone", type=click.Path(path_type=Path), help="or with a published ResNet-50(-D)"
)
@click.option("--recipe", help="how to train  [default: by space and data]")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:N, or auto")
@click.option("--batch", type=click.IntRange(1), help="images a step, over all processes")
@click.option("--accumulate", type=click.IntRange(1), help="take a step's images in so many parts, to save memory")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]))
@click.option("--checkpointing/--no-checkpointing", default=None, help="compute activations twice, to save memory")
@click.option("--sandwich/--no-sandwich", default=None, help="the largest and the smallest network in every step")
@click.option("--distil/--no-distil", default=None, help="smaller networks follow the largest one")
@click.option("--random-networks", type=click.IntRange(1), help="random networks a step")
@click.option("--validations", type=click.IntRange(0), help="how often some networks are scored, for the log")
@click.option("--on-corrupt", type=click.Choice(["stop", "skip"]), help="what an image that cannot be read does")
def train_supernet(
    spec: str,
    data: str,
    out: Path,
    minutes: float | None,
    steps: int | None,
    epochs: int | None,
    seed: int,
    resume: bool,
    **options: Any,
) -> None:
    """Train the network whose slices are all the others; stopped at any moment, --resume goes on.

    On several GPUs start it with `torchrun --nproc-per-node N -m search.cli train-supernet …`. Beside the file a log
    is kept, one JSON object a line.

    \b
    Example:
      search train-supernet --space tiny --data synthetic --minutes 5 --out supernets/first.safetensors
    """
    if sum(given is not None for given in (minutes, steps, epochs)) > 1:
        raise UserError("give the training either --minutes or --steps or --epochs")
    train_to(out, spaces.load(spec), data, (minutes, steps, epochs), seed, resume, Options(**options))


def train_to(
    out: Path,
    space: Space,
    data: str,
    budget: Budget | tuple[float | None, int | None, int | None] | None,
    seed: int,
    resume: bool,
    options: Options | None = None,
) -> None:
    """Train a supernet into `out`, with a checkpoint and a log beside it; `budget` None takes the recipe's.

    Raises:
        UserError: see `Trainer`; a finished `out` is only replaced without `resume`.
    """
    from search.datasets import load as load_data
    from search.supernet import ranks as processes
    from search.supernet import recipes

    options = options or Options()
    checkpoint = out.with_name(out.name + ".checkpoint")
    if resume and out.exists() and not checkpoint.exists():
        note(f"{out} is finished: nothing to train")
        return
    recipe = recipes.get(options.recipe or recipes.choose(space, data), **options.changes())
    with processes.joined(options.device) as ranks, spoken_once(ranks):
        dataset = load_data(data)
        trainer = _trainer(space, dataset, recipe, budget, seed, ranks, options)
        if resume and ranks.agreed(float(checkpoint.exists())):
            trainer.restore(checkpoint)
            if ranks.first:
                note(f"going on at step {trainer.place.steps}, {trainer.progress:.0%} of the budget")
        trainer.checkpoint(checkpoint)  # a full disk or a wrong folder is found now, not after the training
        _train(trainer, out, checkpoint)


def _trainer(
    space: Space, dataset: Dataset, recipe: Recipe, budget: Any, seed: int, ranks: Ranks, options: Options
) -> Trainer:
    from search.supernet import start
    from search.supernet.train import Budget, Trainer

    if options.start and options.backbone:
        raise UserError("begin with --from or with --backbone-weights, not with both")
    begun = None
    if options.start:
        begun = start.from_supernet(options.start, space)
    elif options.backbone:
        begun = start.from_backbone(options.backbone)
    if not isinstance(budget, Budget):
        minutes, steps, epochs = budget or (None, None, None)
        if minutes is None and steps is None:
            minutes, epochs = (None, epochs) if epochs else (recipe.minutes, recipe.epochs)
        if epochs:
            steps = max(1, epochs * len(dataset.files("supernet")) // recipe.batch)
        budget = Budget(minutes, steps)
    return Trainer(space, dataset, recipe, budget, seed, ranks, begun)


def _train(trainer: Trainer, out: Path, checkpoint: Path) -> None:
    from search.supernet.logbook import Logbook
    from search.supernet.loop import train
    from search.supernet.store import save, save_encoder

    ranks = trainer.ranks
    log = Logbook(out.with_suffix(".log.jsonl")) if ranks.first else None
    every_s = _CHECKPOINT_EVERY_S if ranks.device.type == "cpu" else _CHECKPOINT_EVERY_ON_GPU_S
    with progress_bar("training the supernet", 100) if ranks.first else nullcontext() as bar:

        def watch(own: Trainer) -> None:
            if isinstance(bar, Bar):
                losses = ", ".join(f"{kind} {loss:.3f}" for kind, loss in own.place.losses.items())
                state = f"step {own.place.steps}, {own.phase.name}, loss {losses}"
                bar.advance(100 * own.progress - bar.done, state)

        train(trainer, checkpoint, every_s, watch, log)
    if log is None:
        return
    log.close()
    supernet = trainer.finish()
    (save_encoder if trainer.dataset.task == "classification" else save)(supernet, out)
    checkpoint.unlink(missing_ok=True)
    note(f"wrote {out}: {trainer.place.steps} steps in {trainer.place.seconds / 60:.1f} minutes")


@contextmanager
def spoken_once(ranks: Ranks) -> Iterator[None]:
    """Under `torchrun` all processes of a host fail alike: one of them says why, the others only stop."""
    try:
        yield
    except UserError as error:
        if ranks.world > 1 and int(os.environ.get("LOCAL_RANK", "0")):
            raise SystemExit(error.exit_status) from None
        raise
