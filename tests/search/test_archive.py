"""The archive: whole lines only, never a network twice, damage named by its line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mosegnet.common.errors import UserError
from mosegnet.digits import DigitSpace
from search.archive import Archive

SPACE = DigitSpace([3, 3, 3])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "archive.jsonl"
    archive = Archive(path, SPACE)
    archive.append(np.array([0, 1, 2]), 0.5, 3.25, 0)
    archive.append(np.array([2, 1, 0]), float("nan"), 4.5, 1)
    archive.close()
    return path


def test_what_is_written_is_read(path: Path) -> None:
    first, second = Archive(path, SPACE).networks
    assert (first.id, first.generation, first.encoding, first.miou, first.latency_ms) == (0, 0, (0, 1, 2), 0.5, 3.25)
    assert second.miou is None
    assert second.failure == "its accuracy is not a number"
    X, miou = Archive(path, SPACE).arrays()
    np.testing.assert_array_equal(X, [[0, 1, 2], [2, 1, 0]])
    assert np.isnan(miou[1])


def test_a_torn_line_does_not_count_and_is_overwritten(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    archive = Archive(path, SPACE)
    assert len(archive) == 2
    archive.append(np.array([1, 1, 1]), 0.25, 1.0, 1)
    assert len(Archive(path, SPACE)) == 3


def test_no_network_twice(path: Path) -> None:
    with pytest.raises(ValueError, match="in the archive already"):
        Archive(path, SPACE).append(np.array([0, 1, 2]), 0.5, 3.25, 0)
    assert [0, 1, 2] in Archive(path, SPACE)


@pytest.mark.parametrize("change", [{"encoding": [0, 1, 3]}, {"id": 0}, {"miou": "high"}, {"encoding": [0, 1, 2]}])
def test_damage_is_named_by_its_line(path: Path, change: dict) -> None:
    lines = path.read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | change)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="line 2"):
        Archive(path, SPACE)


def test_a_missing_field_is_named(path: Path) -> None:
    lines = path.read_text().splitlines()
    record = json.loads(lines[0])
    del record["latency_ms"]
    path.write_text("\n".join([json.dumps(record), lines[1]]) + "\n")
    with pytest.raises(UserError, match=r"line 1.*latency_ms"):
        Archive(path, SPACE)
