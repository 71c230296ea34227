"""Hardware in the loop: a search measures each generation on the device, and corrects its table as it goes."""

from __future__ import annotations

import json
from pathlib import Path

from mosegnet.common.journal import read_journal
from profiler import lut as tables
from profiler.lut import Lut
from search.archive import Archive
from search.remeasure import profiler

CORRECTED = "lut.corrected.json"


def table_of(folder: Path) -> Lut:
    """The table that a run goes by: its own copy, or the one that the device has corrected since."""
    path = folder / CORRECTED
    return tables.load(path if path.exists() else folder / "lut.json")


class DeviceInTheLoop:
    """Keeps a run's corrected table up to date with every generation that was evaluated in full.

    The initial sample stays with the table alone: the corrections are wanted where the search looks. What was measured
    is in the run's folder, so that a resumed run measures nothing twice and goes by the same table.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self._folder, self._device = folder, device

    def catch_up(self, archive: Archive, generations_done: int) -> Lut:
        """The table after generation `generations_done`; measures what is missing.

        Raises:
            UserError: the device is unknown, or not that of the table.
            DeviceError: the device failed.
        """
        networks = [one for one in archive.networks if 0 < one.generation <= generations_done]
        out = self._folder / CORRECTED
        known = {tuple(record["encoding"]) for record in read_journal(out.with_suffix(".networks.jsonl"))}
        if networks and (not out.exists() or any(one.encoding not in known for one in networks)):
            lines = "".join(json.dumps(list(one.encoding)) + "\n" for one in networks)
            table = str(self._folder / "lut.json")
            profiler(["correct", "--lut", table, "--device", self._device, "--out", str(out)], self._device, lines)
        return table_of(self._folder)
