"""`search train-supernet`, `search evaluate`, `search landscape`: the accuracy half."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mosegnet import space as spaces
from mosegnet.common.console import note, progress_bar, stdout, warn
from mosegnet.common.errors import UserError
from mosegnet.common.files import write_json
from mosegnet.space import Space
from search.commands.encodings import SPACE_HELP, parse_encoding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from mosegnet.digits import IntArray
    from search.supernet.train import Budget

DATA_HELP = "synthetic, or KIND:PATH such as camvid:data/camvid"
_CHECKPOINT_EVERY_S = 20.0
_MINUTES = 5.0


@click.command("train-supernet")
@click.option("--space", "spec", default="tiny", show_default=True, help=SPACE_HELP)
@click.option("--data", required=True, help=DATA_HELP)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the safetensors file to write")
@click.option("--minutes", type=float, help="train for so long  [default: 5]")
@click.option("--steps", type=int, help="train for so many steps instead; the same seed gives the same weights")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--resume", is_flag=True, help="go on from the checkpoint of a training that was stopped")
def train_supernet(
    spec: str, data: str, out: Path, minutes: float | None, steps: int | None, seed: int, resume: bool
) -> None:
    """Train the network whose slices are all the others; stopped at any moment, --resume goes on.

    \b
    Example:
      search train-supernet --space tiny --data synthetic --minutes 5 --out supernets/first.safetensors
    """
    from search.supernet.train import Budget

    budget = Budget(_MINUTES if minutes is None and steps is None else minutes, steps)
    train_to(out, spaces.load(spec), data, budget, seed, resume)


def train_to(out: Path, space: Space, data: str, budget: Budget, seed: int, resume: bool) -> None:
    """Train a supernet into `out`, with a checkpoint beside it until it is finished.

    Raises:
        UserError: see `Trainer`; a finished `out` is only replaced without `resume`.
    """
    from search.datasets import load as load_data
    from search.supernet import save
    from search.supernet.train import Recipe, Trainer, train

    checkpoint = out.with_name(out.name + ".checkpoint")
    if resume and out.exists() and not checkpoint.exists():
        note(f"{out} is finished: nothing to train")
        return
    trainer = Trainer(space, load_data(data), Recipe(budget, seed))
    if resume and checkpoint.exists():
        trainer.restore(checkpoint)
        note(f"going on at step {trainer.steps}, {trainer.progress:.0%} of the budget")
    trainer.checkpoint(checkpoint)  # a full disk or a wrong folder is found now, not after the training
    with progress_bar("training the supernet", 100) as bar:

        def watch(own: Trainer) -> None:
            bar.advance(100 * own.progress - bar.done, f"step {own.steps}, loss {own.losses['largest']:.3f}")

        supernet = train(trainer, checkpoint, _CHECKPOINT_EVERY_S, watch)
    save(supernet, out)
    checkpoint.unlink(missing_ok=True)
    note(f"wrote {out}: {trainer.steps} steps in {trainer.seconds / 60:.1f} minutes")


@click.command()
@click.option("--supernet", type=click.Path(path_type=Path), required=True)
@click.option("--data", required=True, help=DATA_HELP)
@click.option("--split", type=click.Choice(["search", "test"]), default="search", show_default=True)
@click.option("--encoding", help="the network, a JSON list of digits")
@click.option("--largest", is_flag=True, help="the largest network, at the largest input")
@click.option("--smallest", is_flag=True, help="the smallest network, at the smallest input")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def evaluate(
    supernet: Path, data: str, split: str, encoding: str | None, largest: bool, smallest: bool, as_json: bool
) -> None:
    """Score one sub-network: batch norms re-estimated, mean intersection over union at label resolution.

    \b
    Example:
      search evaluate --supernet supernets/first.safetensors --data synthetic --largest
    """
    from search import metrics
    from search.datasets import load as load_data
    from search.evaluate import Evaluator
    from search.supernet import load as load_supernet

    if (encoding is not None) + largest + smallest != 1:
        raise UserError("name one network: --encoding, --largest or --smallest")
    trained, dataset = load_supernet(supernet), load_data(data)
    own = trained.space
    x = parse_encoding(encoding, own) if encoding else own.largest() if largest else own.smallest()
    confusion = Evaluator(trained, dataset).confusions(x, split).sum(0)
    miou = float(metrics.miou(confusion))
    by_class = {name: float(value) for name, value in zip(dataset.classes, metrics.iou(confusion), strict=True)}
    if as_json:
        present = {name: value for name, value in by_class.items() if not math.isnan(value)}  # NaN: it never occurs
        result = {"miou": miou, "iou": present, "split": split, "encoding": x.tolist()}
        click.echo(json.dumps(result))
        return
    stdout.print(f"mIoU {miou:.4f} on {dataset.name} {split} ({len(dataset.split(split))} images)")
    for name, value in by_class.items():
        stdout.print(f"  {name:<12} {value:.3f}")


@click.command()
@click.option("--supernet", type=click.Path(path_type=Path), required=True)
@click.option("--data", required=True, help=DATA_HELP)
@click.option("-n", "networks", type=click.IntRange(4), default=40, show_default=True, help="across and within scales")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="also write the figures as JSON")
def landscape(supernet: Path, data: str, networks: int, seed: int, out: Path | None) -> None:
    """Ask whether the supernet's ranking means anything: random networks, scored on two halves of the images.

    \b
    Example:
      search landscape --supernet supernets/first.safetensors --data synthetic -n 40
    """
    from search.datasets import load as load_data
    from search.evaluate import Evaluator
    from search.landscape import survey
    from search.supernet import load as load_supernet

    trained = load_supernet(supernet)
    evaluator = Evaluator(trained, load_data(data))
    with progress_bar("scoring random networks", 2 * networks) as bar:

        def confusions_of_all(X: IntArray) -> Iterator[Tensor]:
            for found in evaluator.confusions_of_all(X):
                bar.advance()
                yield found

        report, _ = survey(trained.space, confusions_of_all, networks, seed)
    if out:
        write_json(out, report)
    for title, part in (("across input scales", report), ("within the middle scale", report["within_scale"])):
        stdout.print(_sentence(title, part))
    if (report["within_scale"]["tau_halves"] or 0.0) < 0.5:
        warn("within one input scale the ranking is mostly noise: a longer training or more images may change that")


def _sentence(title: str, part: dict[str, Any]) -> str:
    taus = {name: "–" if part[name] is None else f"{part[name]:.2f}" for name in part if name.startswith("tau")}
    return (
        f"{title}: {part['networks']} networks, mIoU {part['miou_min']:.3f} … {part['miou_max']:.3f} "
        f"(spread {100 * (part['miou_max'] - part['miou_min']):.1f} points); Kendall tau between two halves of the "
        f"images {taus['tau_halves']} (odd against even {taus['tau_odd_even']}), with FLOPs {taus['tau_flops']}; "
        f"digit {part['strongest_digit']} alone explains {part['strongest_digit_share']:.0%}, "
        f"without it tau {taus['tau_halves_without_strongest']}"
    )
