"""The options of `search run` that say what is wanted, what is known, and how much may be spent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mosegnet.common.console import note
from mosegnet.common.errors import UserError

if TYPE_CHECKING:
    from mosegnet.space import Space
    from search.goals import Goals
    from search.profiles import Profile
    from search.warm_start import FirstNetworks


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line says, where it says something."""

    objectives: tuple[str, ...]
    require: tuple[str, ...]
    tries: tuple[str, ...]
    warm_start: Path | None
    profile: str
    initial: int | None
    generations: int | None
    infill: int | None
    surrogate: str | None
    criterion: str | None
    budget: int | None
    minutes: float | None
    early_stop: bool | None

    def resolved(self) -> Profile:
        """The profile with everything replaced that was said.

        Raises:
            UserError: an unknown name, or a budget beside a number of generations.
        """
        from dataclasses import replace

        from search import profiles, surrogates
        from search.evolution import infill as criteria
        from search.stopping import NEVER

        profile = profiles.profile(self.profile)
        said = {name: getattr(self, name) for name in ("generations", "infill", "surrogate", "criterion")}
        profile = replace(profile, **{name: value for name, value in said.items() if value is not None})
        if profile.surrogate not in surrogates.NAMES:
            raise UserError(f"unknown surrogate {profile.surrogate!r}: choose one of {', '.join(surrogates.NAMES)}")
        criteria.check(profile.criterion)
        if self.budget is not None and self.generations is not None:
            raise UserError("--budget and --generations both say how much is evaluated: leave one out")
        exact = self.budget is not None or self.generations is not None
        if self.early_stop is False or (self.early_stop is None and exact):
            profile = replace(profile, settling=NEVER)
        elif self.early_stop and not profile.settling.generations:
            profile = replace(profile, settling=profiles.profile(profiles.DEFAULT).settling)
        return profile

    def sample(self, profile: Profile) -> int:
        """Networks of the first sample, whatever the run begins with."""
        if self.initial is not None:
            return self.initial
        return profile.initial if self.budget is None else profile.initial_of(self.budget)

    def amounts(self, profile: Profile, first: FirstNetworks) -> dict[str, int]:
        """`initial`, `generations` and `budget` of the run's configuration; networks taken over cost nothing.

        Raises:
            UserError: the budget does not even pay for the networks to begin with.
        """
        known, begun = first.known, len(first.encodings)
        if self.budget is None:
            initial = max(self.sample(profile), begun)
            return {"initial": initial, "generations": profile.generations, "budget": 0}
        total = self.budget + known
        initial = max(profile.initial_of(total) if self.initial is None else self.initial, begun)
        if initial > total:
            raise UserError(
                f"--budget {self.budget} does not pay for the {initial - known} networks of the first sample: "
                "raise it, or lower --initial"
            )
        return {"initial": initial, "generations": -(-(total - initial) // profile.infill), "budget": total}

    def first(
        self, space: Space, goals: Goals, folder: Path, resume: bool, supernet_sha256: str, data: str, most: int
    ) -> FirstNetworks:
        """The networks to begin with; those of a run that is resumed are in its folder.

        Raises:
            UserError: no such run, no such network, or one that the run to resume did not begin with.
        """
        from search.evolution.initialisation import key
        from search.warm_start import gather, load, parse_tries

        tries = parse_tries(self.tries, space)
        if resume and (folder / "config.toml").exists():
            first = load(folder, space)
            begun = {key(x) for x in first.encodings}
            for X in tries:
                for x in X:
                    if key(x) not in begun:
                        raise UserError(
                            f"{folder} did not begin with network {x.tolist()}: leave out --try, or take another --out"
                        )
            return first
        return gather(
            space, goals, tries, self.warm_start, supernet_sha256=supernet_sha256, data=data, most=most, say=note
        )


def wish_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which takes them together as `wishes`."""

    def split(ctx: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
        return tuple(word.strip().lower() if ":" not in word else word.strip() for word in text.split(","))

    options: Sequence[Callable[[Callable[..., None]], Callable[..., None]]] = (
        click.option(
            "--objectives",
            default="miou,latency",
            show_default=True,
            callback=split,
            help="in order, miou first: latency[:TABLE], flops, params, memory, energy[:TABLE]",
        ),
        click.option(
            "--require",
            multiple=True,
            metavar="WORDS",
            help="such as 'latency<=30ms', 'flops<=50%' (of the largest network) or 'miou>=0.70'; repeatable",
        ),
        click.option("--try", "tries", multiple=True, metavar="ENCODING", help="evaluate this network too; repeatable"),
        click.option(
            "--warm-start",
            type=click.Path(path_type=Path),
            metavar="RUN",
            help="begin with another run's networks; scored alike, their accuracies are taken over",
        ),
        click.option("--profile", default="default", show_default=True, help="paper (Table I), or the best measured"),
        click.option("--initial", type=click.IntRange(2), help="of the first sample  [default: the profile's, 20]"),
        click.option("--generations", type=click.IntRange(0), help="[default: the profile's, 80]"),
        click.option("--infill", type=click.IntRange(1), help="networks a generation  [default: the profile's, 4]"),
        click.option("--surrogate", help="how accuracy is predicted  [default: the profile's]"),
        click.option("--criterion", help="how a generation is chosen  [default: the profile's]"),
        click.option("--budget", type=click.IntRange(2), help="evaluations in all, instead of --generations"),
        click.option("--time", "minutes", type=click.FloatRange(0, min_open=True), help="stop after so many minutes"),
        click.option(
            "--early-stop/--no-early-stop",
            default=None,
            help="stop when the hypervolume has settled  [default: where neither --budget nor --generations is said]",
        ),
    )

    @wraps(command)
    def wrapped(**values: Any) -> None:
        own = {name: values.pop(name) for name in Wishes.__dataclass_fields__}
        command(wishes=Wishes(**own), **values)

    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped
