"""Networks that a run begins with: those of another run, and those that a person names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mosegnet.common.errors import UserError
from mosegnet.common.files import read_json, write_json
from mosegnet.common.journal import read_journal
from mosegnet.digits import FloatArray, IntArray
from mosegnet.space import Space
from search.evolution.initialisation import key
from search.evolution.pareto import non_dominated_by
from search.goals import Goals
from search.wanted import config_of

FILE = "first.json"
_SCHEMA = "mosegnet-first-networks"


@dataclass(frozen=True, slots=True)
class FirstNetworks:
    """Networks to begin with, canonical and distinct; those with an accuracy are not evaluated again."""

    encodings: IntArray  # (n, D) those with an accuracy first
    miou: FloatArray  # (n,) NaN where it is to be evaluated

    @property
    def known(self) -> int:
        """How many have an accuracy."""
        return int((~np.isnan(self.miou)).sum())

    @property
    def sha256(self) -> str:
        """Of networks and accuracies; empty for none."""
        if not len(self.encodings):
            return ""
        return hashlib.sha256(self.encodings.tobytes() + self.miou.tobytes()).hexdigest()

    def save(self, folder: Path) -> None:
        """Keep them in the run's folder: a resumed run needs neither the other run nor the person's words."""
        scores = [None if np.isnan(score) else float(score) for score in self.miou]
        write_json(folder / FILE, {"schema": _SCHEMA, "encodings": self.encodings.tolist(), "miou": scores})


def load(folder: Path, space: Space) -> FirstNetworks:
    """Those that a run began with; none where it began with none.

    Raises:
        UserError: the file is damaged.
    """
    if not (folder / FILE).exists():
        return _joined(space, [], [])
    value = read_json(folder / FILE, "list of first networks")
    try:
        miou = np.array([np.nan if score is None else float(score) for score in value["miou"]])
        return _joined(space, value["encodings"], miou)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / FILE} is damaged ({error!r}): restore it, or start a new run folder") from None


def gather(
    space: Space,
    goals: Goals,
    tries: Sequence[ArrayLike],
    run: Path | None,
    *,
    supernet_sha256: str,
    data: str,
    most: int,
    say: Callable[[str], None],
) -> FirstNetworks:
    """What a new run begins with: the other run's networks, then those named by hand.

    Where the other run scored by the same supernet and data, all of its accuracies are taken over. Otherwise its
    networks are evaluated again: the fronts of its archive one after the other, and at most `most` networks, since
    this run needs random ones too.

    Args:
        say: told in one line what became of the other run's networks.

    Raises:
        UserError: no such run, one of another space, or a network that is none of this space.
    """
    X, miou = np.zeros((0, len(space.cardinalities)), dtype=np.int64), np.zeros(0)
    if run is not None:
        config = config_of(run)
        X, miou = _archived(run, space)
        found = len(X)
        inside = goals.runs(X) if found else np.zeros(0, dtype=np.bool_)
        X, miou = X[inside], miou[inside]
        same = config.get("supernet_sha256") == supernet_sha256 and config.get("data") == data
        if same:
            say(f"{run}: {len(X)} of its {found} networks are taken over with their accuracies")
        else:
            rows = _best(X, miou, goals, most)
            X, miou = X[rows], np.full(len(rows), np.nan)
            say(
                f"{run} scored with another supernet or other data: "
                f"{len(X)} of its {found} networks are evaluated again"
            )
    for x in tries:
        row = space.canonical(x)
        X, miou = np.concatenate([X, row]), np.concatenate([miou, np.full(len(row), np.nan)])
    return _joined(space, X, miou)


def parse_tries(texts: Sequence[str], space: Space) -> list[IntArray]:
    """The networks of `--try`, each a JSON list of digits.

    Raises:
        UserError: not a list, or no network of the space.
    """
    found = []
    for text in texts:
        try:
            value = json.loads(text)
        except ValueError:
            raise UserError(f"--try takes a JSON list of {len(space.cardinalities)} digits, not {text!r}") from None
        found.append(space.canonical(value))
    return found


def _joined(space: Space, X: ArrayLike, miou: ArrayLike) -> FirstNetworks:
    """Each network once, its accuracy where any mention has one; those with one first, else in order."""
    X = np.asarray(X, dtype=np.int64).reshape(-1, len(space.cardinalities))
    X, scores = space.canonical(X) if len(X) else X, np.asarray(miou, dtype=float)
    order = np.argsort(np.isnan(scores), kind="stable")
    seen: set[bytes] = set()
    rows = [row for row in order if not (key(X[row]) in seen or seen.add(key(X[row])))]  # type: ignore[func-returns-value]
    return FirstNetworks(X[rows], scores[rows])


def _archived(run: Path, space: Space) -> tuple[IntArray, FloatArray]:
    """Canonical networks of another run's archive and their accuracies, without those that failed."""
    path = run / "archive.jsonl"
    if not path.exists():
        raise UserError(f"{run} holds no run to start from: --warm-start takes the folder of one")
    try:
        scored = {tuple(one["encoding"]): float(one["miou"]) for one in read_journal(path) if one["miou"] is not None}
        X = np.array(list(scored), dtype=np.int64).reshape(-1, len(space.cardinalities))
        return (space.canonical(X) if len(X) else X), np.array(list(scored.values()))
    except (KeyError, TypeError, ValueError, UserError) as error:
        raise UserError(f"{path} holds networks of another space, or is damaged ({error}): name another run") from None


def _best(X: IntArray, miou: FloatArray, goals: Goals, most: int) -> NDArray[np.int64]:
    """Rows of at most so many networks, front by front."""
    if not len(X):
        return np.zeros(0, dtype=np.int64)
    rows: list[int] = []
    costs, left = goals.costs_of(X), miou.copy()
    while len(rows) < most and not np.isnan(left).all():
        front = non_dominated_by(left, costs)
        rows += [int(row) for row in front]
        left[front] = np.nan
    return np.array(rows[:most], dtype=np.int64)
