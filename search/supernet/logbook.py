"""What a training says while it runs: JSON lines always, TensorBoard where it is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from mosegnet.common.journal import Journal


class Logbook:
    """Records of a training, one JSON object a line in `path`; numbers also go to TensorBoard.

    Raises:
        UserError: the file cannot be written, or what is in it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._journal = path, Journal(path)
        self._board = _board(path.with_suffix(".tensorboard"))

    def write(self, event: str, step: int, **values: Any) -> None:
        """Add one record, flushed to the disk."""
        self._journal.append({"event": event, "step": step, **values})
        if self._board is not None:
            for name, value in _numbers(event, values):
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Close the files."""
        self._journal.close()
        if self._board is not None:
            self._board.close()


def _board(folder: Path) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))


def _numbers(name: str, value: Any) -> list[tuple[str, float]]:
    """Every number in nested records, named by its path."""
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in _numbers(f"{name}/{key}", inner)]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [(name, float(value))]
    return []
