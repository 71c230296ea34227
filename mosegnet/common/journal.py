"""An append-only file of JSON lines that survives a kill at any moment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors


class Journal:
    """JSON lines on disk: a line is there whole and flushed, or it does not count.

    A kill in the middle of a line leaves a tail without a newline; opening the journal cuts it off. Damage
    anywhere else is not guessed around.

    Raises:
        UserError: a line before the tail is not JSON, or the file cannot be written.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with explain_os_errors(self.path, "open"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._cut_torn_tail()
            self._file = open(self.path, "ab")  # noqa: SIM115 - lives as long as the journal

    def append(self, record: dict[str, Any]) -> None:
        """Add one record and wait until it is on the disk."""
        line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        with explain_os_errors(self.path):
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; nothing is lost, since every line was flushed."""
        self._file.close()

    def _cut_torn_tail(self) -> None:
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with open(self.path, "r+b") as file:
                file.truncate(whole)


def read_journal(path: Path | str) -> list[dict[str, Any]]:
    """Every whole record of the journal at `path`, in order; an absent file has none.

    Raises:
        UserError: a whole line is not a JSON object; names the line.
    """
    path = Path(path)
    if not path.exists():
        return []
    with explain_os_errors(path, "read"):
        lines = path.read_bytes().split(b"\n")[:-1]  # the last piece is a torn tail or empty
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise UserError(f"{path}, line {number} is damaged: restore the file, or delete it to start anew")
        records.append(record)
    return records
