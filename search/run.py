"""A whole search in one folder: Algorithm 1 from its first network to the exported front, resumable at any moment.

The folder: `config.toml` as resolved · `lut.json` · `archive.jsonl`, one evaluated network a line, on the disk before
the next begins · `generations.jsonl` · `pareto.json` · `models/` · `report.html`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mosegnet.common.console import note, progress_bar
from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors, write_atomic
from mosegnet.common.journal import Journal, read_journal
from mosegnet.digits import FloatArray, IntArray
from profiler.lut import Lut
from search.archive import Archive
from search.conduct import Conductor
from search.in_the_loop import DeviceInTheLoop
from search.loop import Search
from search.workers import Pool


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

    @property
    def evaluations(self) -> int:
        """How many networks are evaluated in all."""
        return self.initial + self.generations * self.infill


def open_folder(folder: Path, config: RunConfig, table: Path, resume: bool) -> None:
    """Make the run's folder with its configuration and table, or check that it is that of the run to resume.

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
    with explain_os_errors(table, "read"):
        data = table.read_bytes()
    if table.resolve() != (folder / "lut.json").resolve():
        write_atomic(folder / "lut.json", data)
    write_atomic(path, text)


def _toml(config: dict[str, Any]) -> str:
    """Plain values first, then the one table; JSON's strings, numbers and lists are TOML's."""
    plain = [(name, value) for name, value in config.items() if not isinstance(value, dict)]
    lines = [f"{name} = {json.dumps(value)}" for name, value in plain]
    for table, values in config.items():
        if isinstance(values, dict):
            lines += ["", f"[{table}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    return "\n".join(lines) + "\n"


def make_search(config: RunConfig, lut: Lut) -> Search:
    """The search of a run that knows nothing yet."""
    return Search(
        lut.space,
        latency_of(lut),
        seed=config.seed,
        initial=config.initial,
        infill=config.infill,
        surrogate=config.surrogate,
        lag=config.lag,
    )


def evaluate_all(
    folder: Path, config: RunConfig, lut: Lut, pool: Pool, device: DeviceInTheLoop | None = None
) -> Archive:
    """Algorithm 1: ask the search for networks and have them scored until the budget is used; goes on where it stopped.

    With a device, the networks of each generation are measured on it before the next one is planned, and the table
    corrected by them.

    Raises:
        DeviceError: every evaluation fails, no worker is left, or the device failed.
        UserError: the disk is full. In every case all that was evaluated is kept, and the run can be resumed.
    """
    archive = Archive(folder / "archive.jsonl", lut.space)
    search = make_search(config, lut)
    log = GenerationLog(folder / "generations.jsonl")
    if len(archive):
        note(f"going on after {len(archive)} evaluated networks")

    def by_the_device(asked: int) -> None:
        """Correct the table by the generations that the next plan may know."""
        nonlocal lut
        known = (asked - config.initial - config.lag) // config.infill
        if device is not None and known > 0:
            lut = device.catch_up(archive, known)
            search.use_latency(latency_of(lut))

    def latency_ms(X: IntArray) -> FloatArray:
        return lut.predict(X)

    conductor = Conductor(
        search,
        archive,
        pool,
        budget=config.evaluations,
        lag=config.lag,
        latency_ms=latency_ms,
        before_asking=by_the_device,
        after_telling=lambda: log.catch_up(search),
    )
    with progress_bar("searching", config.evaluations) as bar:
        conductor.go(bar)
    if device is not None:
        device.catch_up(archive, config.generations)
    log.catch_up(search)  # a generation cut short by the end of the space
    log.close()
    return archive


def latency_of(lut: Lut) -> Callable[[IntArray], FloatArray]:
    """What a search asks of a table."""
    return lut.predict if lut.complete else lambda X: latency_or_infinity(lut, X)


def latency_or_infinity(lut: Lut, X: IntArray) -> FloatArray:
    """Latency in milliseconds of the networks X, shape (n,); infinity for those that the device cannot run."""
    runs = lut.runs(X)
    latency_ms = np.full(len(X), np.inf)
    latency_ms[runs] = lut.predict(X[runs])
    return latency_ms


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
