"""A whole search in one folder: Algorithm 1 from its first network to the exported front, resumable at any moment.

The folder: `config.toml` as resolved · `lut.json`, and `lut-2.json` … where the run has several tables · `first.json`,
the networks that it began with, where there are any · `archive.jsonl`, one evaluated network a line, on the disk before
the next begins · `generations.jsonl` · `pareto.json` · `models/` · `report.html`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mosegnet.common.console import note, progress_bar
from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors, write_atomic
from mosegnet.common.journal import Journal, read_journal
from mosegnet.digits import FloatArray, IntArray
from profiler.lut import Lut
from search import profiles
from search.archive import TAKEN_OVER, Archive
from search.conduct import Conductor
from search.goals import Goals, of_latency
from search.in_the_loop import DeviceInTheLoop
from search.loop import Search
from search.objectives import latency_of
from search.stopping import Clock, Settling
from search.wanted import table_file
from search.warm_start import FirstNetworks
from search.workers import Pool

_PROFILE = profiles.profile(profiles.DEFAULT)


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Everything that decides a run's result; a run is resumed only under the same."""

    lut_sha256: str
    supernet_sha256: str
    data: str
    seed: int
    initial: int
    generations: int
    infill: int
    surrogate: str
    lag: int  # networks that may be under way when the next generation is planned
    classes: list[str]
    training: dict[str, Any]  # the supernet's
    criterion: str = _PROFILE.criterion
    inner: str = _PROFILE.inner
    population: int = _PROFILE.population
    inner_generations: int = _PROFILE.inner_generations
    budget: int = 0  # networks in all, those taken over included; 0 for whole generations
    settle_generations: int = 0  # see `search.stopping.Settling`
    settle_share: float = 0.0
    objectives: list[str] = field(default_factory=lambda: ["miou", "latency"])
    require: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)  # their names, where there are several
    more_luts_sha256: list[str] = field(default_factory=list)  # of all but the first
    first_sha256: str = ""  # of the networks that the run began with

    @property
    def evaluations(self) -> int:
        """How many networks the archive holds in the end."""
        return self.budget or self.initial + self.generations * self.infill

    @property
    def latency(self) -> str:
        """What the first table's latency is called."""
        return f"latency:{self.tables[0]}" if self.tables else "latency"

    @property
    def settling(self) -> Settling:
        """When the search may stop before."""
        return Settling(self.settle_generations, self.settle_share)


def open_folder(
    folder: Path, config: RunConfig, tables: Sequence[Path], resume: bool, first: FirstNetworks | None = None
) -> None:
    """Make the run's folder with its configuration, tables and first networks, or check that it is that to resume.

    Raises:
        UserError: a run is there and `resume` was not said, or it had another configuration.
    """
    text = _toml(asdict(config))
    path = folder / "config.toml"
    if path.exists():
        with explain_os_errors(path, "read"):
            found = path.read_text()
        if not resume:
            raise UserError(f"{folder} holds a run: --resume goes on with it, another --out starts a new one")
        if found != text:
            differing = [a for a, b in zip(found.splitlines(), text.splitlines(), strict=False) if a != b]
            raise UserError(
                f"{folder} holds a run with another configuration ({(differing or ['more lines'])[0]}): "
                "resume it with its own, or take another --out"
            )
        return
    for number, table in enumerate(tables):
        with explain_os_errors(table, "read"):
            data = table.read_bytes()
        if table.resolve() != (folder / table_file(number)).resolve():
            write_atomic(folder / table_file(number), data)
    if first is not None and len(first.encodings):
        first.save(folder)
    write_atomic(path, text)


def _toml(config: dict[str, Any]) -> str:
    """Plain values first, then the tables. TOML has no null: what is None is not there."""
    plain = {name: value for name, value in config.items() if not isinstance(value, dict)}
    lines = _assignments(plain)
    for name, value in config.items():
        if isinstance(value, dict):
            lines += ["", f"[{name}]", *_assignments(value)]
    return "\n".join(lines) + "\n"


def _assignments(values: dict[str, Any]) -> list[str]:
    return [f"{name} = {_toml_value(value)}" for name, value in values.items() if value is not None]


def _toml_value(value: Any) -> str:
    """JSON's strings, numbers and truths are TOML's."""
    if isinstance(value, dict):
        return "{" + ", ".join(_assignments(value)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return json.dumps(value)


def make_search(config: RunConfig, lut: Lut, goals: Goals | None, first: FirstNetworks | None) -> Search:
    """The search of a run that knows nothing yet."""
    return Search(
        lut.space,
        goals or of_latency(latency_of(lut)),
        seed=config.seed,
        initial=config.initial,
        infill=config.infill,
        surrogate=config.surrogate,
        lag=config.lag,
        criterion=config.criterion,
        inner=config.inner,
        population=config.population,
        inner_generations=config.inner_generations,
        first=None if first is None else first.encodings,
    )


def evaluate_all(
    folder: Path,
    config: RunConfig,
    lut: Lut,
    pool: Pool,
    device: DeviceInTheLoop | None = None,
    *,
    goals: Goals | None = None,
    first: FirstNetworks | None = None,
    clock: Clock | None = None,
) -> Archive:
    """Algorithm 1: ask the search for networks and have them scored until the budget is used; goes on where it stopped.

    With a device, the networks of each generation are measured on it before the next one is planned, and the table
    corrected by them.

    Args:
        lut: the first table, whose latency the archive says.
        goals: what is wanted; by default accuracy and this table's latency.
        first: networks to begin with; those with an accuracy are taken into the archive as they are.
        clock: ends the run when the time is up, wherever it is; what is under way then is evaluated when it resumes.

    Raises:
        DeviceError: every evaluation fails, no worker is left, or the device failed.
        UserError: the disk is full. In every case all that was evaluated is kept, and the run can be resumed.
    """
    archive = Archive(folder / "archive.jsonl", lut.space)
    search = make_search(config, lut, goals, first)
    log = GenerationLog(folder / "generations.jsonl")
    if len(archive):
        note(f"going on after {len(archive)} evaluated networks")
    _take_over(archive, first, lut)

    def by_the_device(asked: int) -> None:
        """Correct the table by the generations that the next plan may know."""
        nonlocal lut
        known = (asked - config.initial - config.lag) // config.infill
        if device is not None and known > 0:
            lut = device.catch_up(archive, known)
            search.use_latency(latency_of(lut), config.latency)

    def latency_ms(X: IntArray) -> FloatArray:
        return lut.predict(X)

    def stop(asked: int) -> str | None:
        """Why no more is asked for, by what every plan from here on knows: never by what happens to be told."""
        if config.settling.settled(search.known_generation(asked), search.hypervolume_after):
            return f"the hypervolume has settled: {config.settling.describe()}"
        return None

    clock = clock or Clock(None)
    conductor = Conductor(
        search,
        archive,
        pool,
        budget=config.evaluations,
        lag=config.lag,
        latency_ms=latency_ms,
        before_asking=by_the_device,
        after_telling=lambda: log.catch_up(search),
        stop=stop,
        over=lambda: clock.over,
    )
    with progress_bar("searching", config.evaluations) as bar:
        conductor.go(bar)
    if clock.over and len(archive) < config.evaluations:
        note(f"the time is up after {len(archive)} of {config.evaluations} networks: --resume goes on")
    if device is not None:
        device.catch_up(archive, config.generations)
    log.catch_up(search)  # a generation cut short by the end of the space
    log.close()
    return archive


def _take_over(archive: Archive, first: FirstNetworks | None, lut: Lut) -> None:
    """Archive the first networks that have an accuracy; they stand first in the search's own order too."""
    if first is None:
        return
    for number, (x, miou) in enumerate(zip(first.encodings, first.miou, strict=True)):
        if not np.isnan(miou) and archive.find(x) is None:
            latency_ms = float(lut.predict(x[None])[0])
            archive.append(x, float(miou), latency_ms, 0, id=number, worker=TAKEN_OVER, seconds=0.0)


class GenerationLog:
    """`generations.jsonl`: a line for each generation that was told in full."""

    def __init__(self, path: Path) -> None:
        self._logged, self._journal = len(read_journal(path)), Journal(path)
        self._since = time.perf_counter()

    def catch_up(self, search: Search) -> None:
        """Add what the file lacks; the seconds of a generation are those since the one before."""
        for generation in search.history_from(self._logged):
            now = time.perf_counter()
            self._journal.append(asdict(generation) | {"seconds": round(now - self._since, 3)})
            self._logged, self._since = self._logged + 1, now

    def close(self) -> None:
        """Close the file; every line is on the disk already."""
        self._journal.close()
