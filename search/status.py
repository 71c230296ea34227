"""How a run stands, read from its folder: whether it works, was killed or is finished."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors
from mosegnet.common.journal import read_journal
from search.lock import Owner, owner_of

_BARS = "▁▂▃▄▅▆▇█"
_COURSE = 40  # bars at most


@dataclass(frozen=True, slots=True)
class Status:
    """A run at one moment. What its first generations have not shown yet is None."""

    run: str
    state: str  # running, stopped (--resume goes on) or finished
    owner: Owner | None  # the process that works on it, or did last
    generation: int  # of the network evaluated last
    generations: int
    evaluated: int  # failed ones included
    budget: int  # evaluations in all
    failed: int
    last_failure: str | None
    hypervolume: float | None  # after the last generation that was evaluated in full
    course: tuple[float, ...]  # the hypervolume after each generation
    surrogate_tau: float | None  # in the last generation that has one
    per_hour: float | None  # evaluations, of the process that is running
    left_s: float | None  # until the budget is used, at that rate

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        return asdict(self)

    def lines(self) -> list[tuple[str, str]]:
        """For a person: what, and how it stands."""
        failed = f", {self.failed} failed (the last: {self.last_failure})" if self.failed else ""
        course = f"{self.hypervolume:.4g}  {sparkline(self.course)}" if self.hypervolume is not None else "–"
        return [
            ("state", self.state + self._who()),
            ("evaluated", f"{self.evaluated} of {self.budget}{failed}"),
            ("generation", f"{self.generation} of {self.generations}"),
            ("hypervolume", course),
            ("surrogate tau", "–" if self.surrogate_tau is None else f"{self.surrogate_tau:.2f}"),
            ("rate", self._rate()),
        ]

    def _who(self) -> str:
        if self.owner is None:
            return ""
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.owner.started))
        who = f"process {self.owner.pid} on {self.owner.host}"
        if self.state == "running":
            return f" · {who} since {since}"
        return f" · {who}, begun {since}, has ended" + (": --resume goes on" if self.state == "stopped" else "")

    def _rate(self) -> str:
        if self.per_hour is None or self.left_s is None:
            return "–"
        return f"{self.per_hour:.3g} an hour, about {duration(self.left_s)} left"


def status(folder: Path) -> Status:
    """Read how a run stands; nothing is written, and a run that works is not disturbed.

    Raises:
        UserError: the folder holds no run, or a damaged one.
    """
    config = configuration(folder)
    # One look at the files in this order: what is added meanwhile makes no contradiction.
    owner, alive = owner_of(folder)
    generations = read_journal(folder / "generations.jsonl")
    networks = list({record.get("id"): record for record in read_journal(folder / "archive.jsonl")}.values())
    finished = (folder / "pareto.json").exists()
    failures = [record["failure"] for record in networks if record.get("failure")]
    taus = [line["surrogate_tau"] for line in generations if line.get("surrogate_tau") is not None]
    course = tuple(line["hypervolume"] for line in generations)
    budget = config.get("budget") or config["initial"] + config["generations"] * config["infill"]
    per_hour = _per_hour(networks, owner) if alive else None
    return Status(
        run=str(folder),
        state="running" if alive else "finished" if finished else "stopped",
        owner=owner,
        generation=networks[-1].get("generation", 0) if networks else 0,
        generations=config["generations"],
        evaluated=len(networks),
        budget=budget,
        failed=len(failures),
        last_failure=failures[-1] if failures else None,
        hypervolume=course[-1] if course else None,
        course=course,
        surrogate_tau=taus[-1] if taus else None,
        per_hour=per_hour,
        left_s=3600 * (budget - len(networks)) / per_hour if per_hour else None,
    )


def configuration(folder: Path) -> dict[str, Any]:
    """The `config.toml` of a run.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = folder / "config.toml"
    if not path.exists():
        raise UserError(f"{folder} holds no run: `search run --out {folder}` makes one")
    with explain_os_errors(path, "read"):
        text = path.read_text()
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or start a new run folder") from None


def sparkline(values: Sequence[float]) -> str:
    """The course of some numbers in one line of text, from the least to the greatest."""
    step = max(1, -(-len(values) // _COURSE))
    shown = [*values[:-1:step], values[-1]] if values else []
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    share = len(_BARS) / (high - low) if high > low else 0.0
    return "".join(_BARS[min(len(_BARS) - 1, int((value - low) * share))] for value in shown)


def duration(seconds: float) -> str:
    """A time in the two units that say enough."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _per_hour(networks: list[dict[str, Any]], owner: Owner | None) -> float | None:
    """Evaluations an hour of the process at work, its planning included."""
    if owner is None:
        return None
    ended = [record["ended"] for record in networks if (record.get("ended") or 0.0) > owner.started]
    return 3600 * len(ended) / (max(ended) - owner.started) if ended else None
