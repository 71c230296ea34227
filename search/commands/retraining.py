"""`search retrain`: one network trained by itself, and what `search baseline` shares with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mosegnet import space as spaces
from mosegnet.common.console import Bar, note, progress_bar, warn
from mosegnet.common.errors import UserError
from mosegnet.space import Space
from search.commands.encodings import SPACE_HELP, parse_encoding
from search.commands.supernet import DATA_HELP, spoken_once

if TYPE_CHECKING:
    from mosegnet.architecture import Architecture
    from search.datasets import Dataset
    from search.retrain.schedules import Schedule
    from search.supernet.ranks import Ranks
    from search.supernet.start import Start
    from search.supernet.train import Budget, Teacher, Trainer

Weights = tuple["Start | None", "Teacher | None"]


@dataclass(frozen=True, slots=True)
class Training:
    """What a person chose for a training; None keeps the recipe's."""

    data: str
    out: Path
    minutes: float | None
    steps: int | None
    seed: int
    resume: bool
    recipe: str | None
    batch: int | None
    precision: str | None
    accumulate: int | None
    checkpointing: bool | None
    on_corrupt: str | None
    device: str

    def changes(self) -> dict[str, Any]:
        """What is changed of the recipe."""
        names = ("batch", "precision", "accumulate", "checkpointing", "on_corrupt")
        return {name: getattr(self, name) for name in names}


def training_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that both commands have."""
    options = [
        click.option("--minutes", type=float, help="train for so long  [default: the recipe's budget]"),
        click.option("--steps", type=int, help="train for so many steps instead; the same seed gives the same weights"),
        click.option("--seed", type=int, default=0, show_default=True),
        click.option("--resume", is_flag=True, help="go on from the checkpoint of a training that was stopped"),
        click.option("--recipe", help="how to train  [default: by size and data]"),
        click.option("--batch", type=click.IntRange(1), help="images a step, over all processes"),
        click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"])),
        click.option("--accumulate", type=click.IntRange(1), help="take a step's images in so many parts, for memory"),
        click.option("--checkpointing/--no-checkpointing", default=None, help="compute activations twice, for memory"),
        click.option("--on-corrupt", type=click.Choice(["stop", "skip"]), help="what an unreadable image does"),
        click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:N, or auto"),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("run", metavar="[RUN]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--pick", "words", help="which network of the run's front: an id, fastest, best, or as `search pick` takes it"
)
@click.option("--encoding", help="or any network, a JSON list of digits, of --space")
@click.option("--space", "spec", help=SPACE_HELP)
@click.option("--data", help=DATA_HELP + "  [default: the run's]")
@click.option(
    "--start",
    type=click.Choice(["scratch", "inherited", "distilled"]),
    default="scratch",
    show_default=True,
    help="random weights, the supernet's, or random ones that follow the supernet's largest network",
)
@click.option("--supernet", type=click.Path(path_type=Path), help="for these  [default: the run's own]")
@click.option("--out", type=click.Path(path_type=Path), help="the safetensors file  [default: in RUN/retrained]")
@training_options  # fmt: skip
def retrain(
    run: Path | None,
    words: str | None,
    encoding: str | None,
    spec: str | None,
    data: str | None,
    start: str,
    supernet: Path | None,
    out: Path | None,
    **options: Any,
) -> None:
    """Train one network by itself: of a run's front, or any of a space; on other data it is a transfer.

    The file holds the network ready to use: `search evaluate` and `search export` take it. On several GPUs start it
    with `torchrun --nproc-per-node N -m search.cli retrain …`.

    \b
    Example:
      search retrain runs/first --pick best --start inherited --minutes 5
    """
    from search.datasets import load as load_data
    from search.retrain import weights
    from search.supernet import load as load_supernet
    from search.wanted import config_of

    name, x, own = _network(run, words, encoding, spec)
    data = data or _data_of(run)
    out = out or _place(run, name, start)
    training = Training(data, out, **options)
    if is_finished(training):
        return
    dataset = load_data(data)
    own = _with_classes(own, dataset)
    architecture = own.decode(x)

    def first(device: Any) -> Weights:
        if start == "scratch":
            return None, None
        trained = load_supernet(weights.supernet_path(run, supernet))
        weights.fits(trained, architecture)
        if run and config_of(run).get("supernet_sha256", trained.fingerprint()) != trained.fingerprint():
            warn(f"{run} was searched with another supernet than this one: its accuracies say nothing of these weights")
        if start == "inherited":
            return weights.inherited(trained, x), None
        return None, weights.teacher(trained, dataset, architecture.input_hw, device)

    train_one(name, architecture, own.full_hw, dataset, training, own, first)


def _network(
    run: Path | None, words: str | None, encoding: str | None, spec: str | None
) -> tuple[str, list[int], Space]:
    """Name, digits and space of the network that is meant."""
    from profiler import lut as tables
    from search.chosen import front_row

    if (words is None) == (encoding is None):
        raise UserError("name one network: RUN and --pick, or --encoding")
    if words is not None:
        if run is None:
            raise UserError("--pick needs the RUN whose front it is of")
        row = front_row(run, words)
        return row["id"], list(row["encoding"]), tables.load(run / "lut.json").space
    own = tables.load(run / "lut.json").space if run and not spec else spaces.load(spec or "tiny")
    assert encoding is not None
    x: list[int] = parse_encoding(encoding, own).tolist()
    return "network", x, own


def _data_of(run: Path | None) -> str:
    if run is None:
        raise UserError("name the data set to train on: --data")
    from search.wanted import config_of

    return str(config_of(run)["data"])


def _place(run: Path | None, name: str, start: str) -> Path:
    if run is None:
        raise UserError("name the file to write: --out")
    return run / "retrained" / f"{name}-{start}.safetensors"


def _with_classes(own: Space, dataset: Dataset) -> Space:
    """The space with as many classes as the data set has."""
    if own.classes == len(dataset.classes):
        return own
    note(f"the heads are for the {len(dataset.classes)} classes of {dataset.name}, not for the space's {own.classes}")
    return Space.from_dict(own.to_dict() | {"classes": len(dataset.classes)})


def is_finished(training: Training) -> bool:
    checkpoint = training.out.with_name(training.out.name + ".checkpoint")
    if training.resume and training.out.exists() and not checkpoint.exists():
        note(f"{training.out} is finished: nothing to train")
        return True
    return False


def train_one(
    name: str,
    architecture: Architecture,
    full_hw: tuple[int, int],
    dataset: Dataset,
    training: Training,
    own: Space | None,
    first: Callable[[Any], Weights],
) -> None:
    """Train the network, alone or as one of the processes that `torchrun` started."""
    from mosegnet.cost import architecture_costs
    from search.retrain import schedules
    from search.retrain.training import Job, train_into
    from search.supernet.ranks import joined

    cost = architecture_costs(architecture)
    recipe = training.recipe or schedules.choose(cost.flops, training.data)
    schedule = schedules.get(recipe, **training.changes())
    budget = _budget(training, schedule)
    with joined(training.device) as ranks, spoken_once(ranks):
        start, teacher = first(ranks.device)
        job = Job(name, architecture, full_hw, dataset, schedule, budget, training.seed, own, start, teacher)
        if ranks.first:
            note(f"{name}: {cost}")
        with _bar(ranks, name) as bar:
            train_into(training.out, job, ranks, training.resume, _watch(bar))


def _budget(training: Training, schedule: Schedule) -> Budget:
    from search.supernet.train import Budget

    if training.minutes is None and training.steps is None:
        return Budget(schedule.minutes, schedule.steps)
    return Budget(training.minutes, training.steps)


def _bar(ranks: Ranks, name: str) -> Any:
    return progress_bar(f"training {name}", 100) if ranks.first else nullcontext()


def _watch(bar: Any) -> Callable[[Trainer], None]:
    def watch(own: Trainer) -> None:
        if isinstance(bar, Bar):
            loss = ", ".join(f"{value:.3f}" for value in own.place.losses.values())
            bar.advance(100 * own.progress - bar.done, f"step {own.place.steps}, loss {loss}")

    return watch
