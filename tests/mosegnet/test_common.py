"""Files whole or absent, journals that survive a kill, errors in one line with the right exit status."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosegnet.common.console import run_command
from mosegnet.common.errors import DeviceError, UserError
from mosegnet.common.files import read_json, write_atomic, write_json
from mosegnet.common.journal import Journal, read_journal


@pytest.fixture
def full_disk(monkeypatch) -> None:
    """Every flush to the disk finds it full."""

    def fsync(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, full_disk: None) -> None:
    path = tmp_path / "table.json"
    path.write_text("old")
    with pytest.raises(UserError, match="the disk is full: free some space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.json"]


def test_a_full_disk_stops_a_journal_with_a_word(tmp_path: Path, full_disk: None) -> None:
    with pytest.raises(UserError, match="the disk is full"):
        Journal(tmp_path / "journal.jsonl").append({"a": 1})


def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="a part of the path is a file"):
        write_atomic(tmp_path / "file" / "table.json", "x")


def test_json_files(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "b.json", {"x": [1, 2.5, None]})
    assert read_json(tmp_path / "a" / "b.json") == {"x": [1, 2.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "c.json", {"x": float("nan")})
    with pytest.raises(UserError, match=r"table .* does not exist"):
        read_json(tmp_path / "none.json", "table")


records = st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9), max_size=3), max_size=6)


@given(records=records, data=st.data())
def test_a_journal_cut_anywhere_keeps_its_whole_lines(tmp_path_factory, records: list[dict], data) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    journal = Journal(path)
    for record in records:
        journal.append(record)
    journal.close()
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    kept = whole[:cut].count(b"\n")
    assert read_journal(path) == records[:kept]
    journal = Journal(path)
    journal.append({"after": True})
    journal.close()
    assert read_journal(path) == [*records[:kept], {"after": True}]


def test_damage_inside_a_journal_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    with pytest.raises(UserError, match="line 2 is damaged"):
        read_journal(path)


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (UserError("no such\ndevice"), 2, "error: no such device\n"),
        (DeviceError("it died"), 3, "error: it died\n"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
        (click.UsageError("no such option"), 2, "error: no such option\n"),
    ],
)
def test_exit_statuses(capsys, raised: BaseException, status: int, said: str) -> None:
    @click.command()
    def command() -> None:
        raise raised

    with pytest.raises(SystemExit) as left:
        run_command(command, args=[])
    assert left.value.code == status
    captured = capsys.readouterr()
    assert captured.err.lstrip().startswith(said)  # click ends the line of a ^C first
    assert captured.out == ""


def test_a_bug_keeps_its_traceback() -> None:
    @click.command()
    def command() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(command, args=[])


def test_a_reader_that_goes_away_is_no_error() -> None:
    program = [sys.executable, "-m", "search.cli", "sample", "-n", "5000"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(json.loads(process.stdout.readline())) == 29
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
