"""What a run wants, read back from its folder: its tables by name, its goals, and the names of its quantities."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors
from profiler import lut as luts
from profiler.lut import Lut
from search.goals import Goals
from search.in_the_loop import table_of
from search.objectives import Catalogue, NamedLut, goals_of

_USUAL = ("miou", "latency")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run's tables, the first as corrected by its device, and its goals by them."""

    tables: tuple[NamedLut, ...]
    goals: Goals
    objectives: tuple[str, ...]  # as the person wrote them
    require: tuple[str, ...]

    @property
    def lut(self) -> Lut:
        """The first table."""
        return self.tables[0].lut

    @property
    def catalogue(self) -> Catalogue:
        """Every quantity by name."""
        return Catalogue(self.tables)

    @property
    def usual(self) -> bool:
        """Whether the objectives are accuracy and one latency."""
        return self.goals.names == ("latency",)


def config_of(folder: Path) -> dict[str, Any]:
    """A run's configuration.

    Raises:
        UserError: the folder holds no run, or the file is damaged.
    """
    path = folder / "config.toml"
    if not path.exists():
        raise UserError(f"{folder} holds no run: `search run --out {folder}` makes one")
    try:
        with explain_os_errors(path, "read"), open(path, "rb") as file:
            return tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or start a new run folder") from None


def wanted(folder: Path) -> Wanted:
    """What a run wants, by the tables that it goes by now; percentages stay those of the tables it began with.

    Raises:
        UserError: a file of the run is missing or damaged.
    """
    config = config_of(folder)
    objectives, require = tuple(config.get("objectives", _USUAL)), tuple(config.get("require", ()))
    original = luts.load(folder / "lut.json")
    names = config.get("tables") or [original.device.name]
    others = [NamedLut(name, luts.load(folder / table_file(k))) for k, name in enumerate(names) if k]
    goals = goals_of((NamedLut(names[0], original), *others), objectives, require)
    tables = (NamedLut(names[0], table_of(folder)), *others)
    latency = Catalogue(tables).quantity("latency")
    return Wanted(tables, goals.with_quantity(latency.name, latency.of), objectives, require)


def table_file(number: int) -> str:
    """The name of a table's copy in a run's folder, by its place from 0."""
    return f"lut-{number + 1}.json" if number else "lut.json"
