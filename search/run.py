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
from search import metrics
from search.archive import Archive
from search.evaluate import Evaluator
from search.in_the_loop import DeviceInTheLoop
from search.loop import Search


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


def evaluate_all(
    folder: Path, config: RunConfig, lut: Lut, evaluator: Evaluator, device: DeviceInTheLoop | None = None
) -> Archive:
    """Algorithm 1: ask the search for networks and score them until the budget is used; goes on where it stopped.

    With a device, the networks of each generation are measured on it before the next one is planned, and the table
    corrected by them.
    """
    archive = Archive(folder / "archive.jsonl", lut.space)
    search = Search(
        lut.space,
        latency_of(lut),
        seed=config.seed,
        initial=config.initial,
        infill=config.infill,
        surrogate=config.surrogate,
    )
    if len(archive):
        search.tell(*archive.arrays())
        note(f"going on after {len(archive)} evaluated networks")
    with progress_bar("searching", config.evaluations) as bar:
        bar.advance(len(archive))
        while len(archive) < config.evaluations:
            started = time.perf_counter()
            if device is not None and len(archive) > config.initial:
                lut = device.catch_up(archive, (len(archive) - config.initial) // config.infill)
                search.use_latency(latency_of(lut))
            asked = search.ask()
            if not len(asked):
                note("the space is used up: every network of it was evaluated")
                break
            for x, confusions in zip(asked, evaluator.confusions_of_all(asked), strict=True):
                latency_ms, miou = float(lut.predict(x)[0]), float(metrics.miou(confusions.sum(0)))
                network = archive.append(x, miou, latency_ms, search.generation)
                search.tell(x[None], [network.miou])
                bar.advance(1, f"generation {network.generation}, mIoU {miou:.3f} at {latency_ms:.2f} ms")
            _log_generations(folder, search, time.perf_counter() - started)
    if device is not None:
        device.catch_up(archive, config.generations)
    _log_generations(folder, search, 0.0)
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


def _log_generations(folder: Path, search: Search, seconds: float) -> None:
    """Add the finished generations that `generations.jsonl` lacks; `seconds` is what the last one took."""
    path = folder / "generations.jsonl"
    logged = len(read_journal(path))
    if logged < len(search.history):
        journal = Journal(path)
        for generation in search.history[logged:]:
            journal.append(asdict(generation) | {"seconds": round(seconds, 3)})
        journal.close()
