"""A network of a finished run's front, by its id or by what makes it one to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mosegnet.common.errors import UserError
from mosegnet.common.files import read_json

_BEST = {"fastest": ("latency_ms", min), "best": ("miou", max)}


def picked(folder: Path, words: str) -> dict[str, Any]:
    """The row of `pareto.json` that `words` mean: an id, `fastest`, `best` (accuracy), or a reason in the row.

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
        if words == row["id"] or words in row.get("chosen", []):
            return row
    ids = ", ".join(row["id"] for row in rows)
    raise UserError(f"no network {words!r} in the front of {folder}: take fastest, best, or one of {ids}")
