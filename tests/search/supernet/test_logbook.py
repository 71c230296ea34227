"""The log of a training: JSON lines always, TensorBoard where it is installed."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

from mosegnet.common.journal import read_journal
from search.supernet.logbook import Logbook


def test_numbers_go_to_a_board_where_there_is_one(tmp_path: Path, monkeypatch) -> None:
    written: list[tuple[str, float, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path / "log.tensorboard")

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

        def close(self) -> None:
            written.append(("closed", 0.0, 0))

    board = types.ModuleType("torch.utils.tensorboard")
    board.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    log = Logbook(tmp_path / "log.jsonl")
    log.write("step", 3, phase="largest", loss={"largest": 1.5}, done=True)
    log.close()
    assert written == [("step/loss/largest", 1.5, 3), ("closed", 0.0, 0)]
    assert read_journal(tmp_path / "log.jsonl")[0]["loss"] == {"largest": 1.5}


def test_without_one_there_are_the_lines(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    log = Logbook(tmp_path / "log.jsonl")
    log.write("phase", 1, phase="largest")
    log.close()
    assert [file.name for file in tmp_path.iterdir()] == ["log.jsonl"]
    assert read_journal(tmp_path / "log.jsonl") == [{"event": "phase", "step": 1, "phase": "largest"}]
