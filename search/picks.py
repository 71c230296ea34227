"""A network of a finished run's front: by its id, as the fastest or the best, or by a preference in words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from mosegnet.common.errors import UserError
from mosegnet.common.files import read_json
from search import preferences
from search.wanted import wanted

_ID = re.compile(r"n\d+")
_BEST = {"fastest": ("latency_ms", min), "best": ("miou", max)}


def picked(folder: Path, words: str) -> dict[str, Any]:
    """The row of `pareto.json` that `words` mean; see `search.preferences` for the words of a preference.

    Raises:
        UserError: there is no finished run, or no such network; names those that there are.
    """
    path = folder / "pareto.json"
    if not path.exists():
        raise UserError(f"{folder} holds no finished run: `search run --out {folder}` makes one")
    rows: list[dict[str, Any]] = read_json(path, "front")["networks"]
    if not rows:
        raise UserError(f"the front of {folder} is empty: there is nothing to pick from")
    if words in _BEST:
        column, extreme = _BEST[words]
        return extreme(rows, key=lambda row: row[column])
    for row in rows:
        if words == row["id"]:
            return row
    if _ID.fullmatch(words):
        ids = ", ".join(row["id"] for row in rows)
        raise UserError(f"no network {words} in the front of {folder}, only {ids}")
    return rows[_preferred(folder, rows, words)]


def _preferred(folder: Path, rows: list[dict[str, Any]], words: str) -> int:
    own = wanted(folder)
    front = preferences.Networks(
        np.array([row["encoding"] for row in rows], dtype=np.int64),
        np.array([row["miou"] for row in rows]),
        np.array([row["ci95_ms"] for row in rows]),
    )
    return preferences.pick(words, front, own.catalogue, own.goals, own.lut.space.largest()).row
