"""`search status` and `search compare`: live, killed and finished runs; what may be compared, and what is told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mosegnet.common.errors import UserError
from profiler import lut as tables
from search.archive import Archive
from search.cli import cli
from search.compare import compare
from search.evolution.hypervolume import ReferencePoint, hypervolume
from search.lock import locked
from search.status import duration, sparkline, status

SETTINGS = {
    "lut_sha256": "a" * 64, "supernet_sha256": "b" * 64, "data": "boxes", "seed": 0, "initial": 8, "generations": 3,
    "infill": 4, "surrogate": "ridge", "lag": 0, "classes": ["a", "b"],
}  # fmt: skip
Maker = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, micro_table: Path) -> Maker:
    """A run's folder with so many random networks, every fifth of which failed."""

    def made(name: str, networks: int, seed: int = 0, **changed: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        settings = SETTINGS | {"seed": seed} | changed
        (folder / "config.toml").write_text("".join(f"{key} = {json.dumps(v)}\n" for key, v in settings.items()))
        (folder / "lut.json").write_bytes(micro_table.read_bytes())
        lut, rng = tables.load(micro_table), np.random.default_rng(seed)
        X = np.unique(lut.space.sample(4 * networks, rng), axis=0)
        archive = Archive(folder / "archive.jsonl", lut.space)
        for k, x in enumerate(rng.permutation(X)[:networks]):
            generation, miou = (0 if k < 8 else 1 + (k - 8) // 4), rng.uniform(0.3, 0.7)
            failure = "RuntimeError: no memory" if k % 5 == 4 else None
            archive.append(x, None if failure else miou, lut.predict(x)[0], generation, failure, ended=1000.0 + k)
        archive.close()
        lines = [
            {"generation": g, "evaluated": 8 + 4 * g, "hypervolume": 2.0 + g, "surrogate_tau": 0.5 + g if g else None}
            for g in range((networks - 8) // 4 + 1)
        ]
        (folder / "generations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return folder

    return made


def command(*args: object) -> Result:
    result = CliRunner().invoke(cli, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    return result


def test_status_of_a_killed_run(make: Maker) -> None:
    folder = make("killed", 14)
    archive = folder / "archive.jsonl"
    archive.write_bytes(archive.read_bytes() + b'{"id": 14, "ge')  # a torn line is nobody's network
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    found = json.loads(command("status", folder, "--json").stdout)
    assert (found["state"], found["owner"], found["left_s"]) == ("stopped", None, None)
    assert (found["evaluated"], found["budget"], found["failed"]) == (14, 20, 2)
    assert (found["generation"], found["generations"]) == (2, 3)
    assert (found["hypervolume"], found["course"], found["surrogate_tau"]) == (3.0, [2.0, 3.0], 1.5)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    said = command("status", folder).stdout
    assert "14 of 20, 2 failed (the last: RuntimeError: no memory)" in said
    assert "3  ▁█" in said


def test_status_of_a_run_that_works(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begun at 1004 with five networks done, the last at 1015: eleven in eleven seconds, four are left."""
    folder = make("alive", 16)
    with monkeypatch.context() as patch, locked(folder):
        owner = json.loads((folder / "run.lock").read_text())
        (folder / "run.lock").write_text(json.dumps(owner | {"started": 1004.0}))
        found = status(folder)
        assert found.state == "running"
        assert found.owner is not None
        assert found.owner.pid == os.getpid()
        assert found.per_hour == pytest.approx(3600)
        assert found.left_s == pytest.approx(4)
        patch.setenv("TZ", "UTC")
        assert f"running · process {os.getpid()}" in command("status", folder).stdout
    assert status(folder).state == "stopped"
    (folder / "pareto.json").write_text("{}")
    assert status(folder).state == "finished"


def test_status_before_anything_is_known(make: Maker) -> None:
    found = status(make("new", 0))
    assert (found.evaluated, found.hypervolume, found.course) == (0, None, ())
    assert command("status", found.run).stdout


def test_words() -> None:
    assert sparkline([]) == ""
    assert sparkline([3.0]) == "▁"
    assert sparkline(range(8)) == "▁▂▃▄▅▆▇█"
    assert len(sparkline(range(100))) <= 41
    assert [duration(s) for s in (12, 600, 9000)] == ["12 s", "10 min", "2 h 30 min"]


def test_seeds_are_grouped_and_measured_by_one_reference_point(make: Maker, tmp_path: Path, micro_table: Path) -> None:
    folders = [make(f"ridge{seed}", 16 + seed, seed) for seed in range(3)]
    folders.append(make("gp", 12, 9, surrogate="gp"))
    found = compare(folders)
    assert sorted(group.label for group in found.groups) == ["surrogate gp", "surrogate ridge"]
    lut = tables.load(micro_table)
    archives = [Archive(folder / "archive.jsonl", lut.space, read_only=True) for folder in folders]
    slowest = max(network.latency_ms for archive in archives for network in archive.networks)
    assert found.reference == ReferencePoint(0.0, pytest.approx(1.1 * slowest))
    for group in found.groups:
        for course in group.courses:
            X, miou = Archive(Path(course.run) / "archive.jsonl", lut.space, read_only=True).arrays()
            expected = [hypervolume(miou[:k], lut.predict(X)[:k], found.reference) for k in range(1, len(X) + 1)]
            np.testing.assert_allclose(course.hypervolume, expected)
    (ridge,) = (group for group in found.groups if "ridge" in group.label)
    assert (ridge.evaluations, found.common, found.checkpoints) == (16, 12, [3, 6, 12])
    (point,) = ridge.points([12])
    ends = sorted(course.hypervolume[11] for course in ridge.courses)
    assert point.median == pytest.approx(ends[1])
    assert point.low is not None
    assert point.high is not None
    assert ends[0] <= point.low <= point.median <= point.high <= ends[2]
    assert ridge.evaluations_to(min(course.hypervolume[0] for course in ridge.courses) / 2) == 1
    assert ridge.evaluations_to(1e9) is None


def test_the_comparison_told_and_drawn(make: Maker, tmp_path: Path) -> None:
    folders = [make("a", 16, 0), make("b", 16, 1), make("c", 16, 0, infill=2)]
    page = tmp_path / "compared.html"
    result = command("compare", *folders, "--figure", page)
    assert "infill 2" in result.stdout
    text = page.read_text()
    assert "<svg" in text
    assert "infill 4" in text
    assert "http" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ).replace("https://matplotlib.org", "")
    command("compare", *folders, "--figure", tmp_path / "compared.png")
    assert (tmp_path / "compared.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(command("compare", *folders, "--json").stdout)
    assert sorted(tuple(group["seeds"]) for group in found["groups"]) == [(0,), (0, 1)]
    assert len(found["groups"][0]["course"]) == 16


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"data": "camvid:x"}, "has the data 'camvid:x', not 'boxes'"), ({"supernet_sha256": "c"}, "another supernet")],
)
def test_what_cannot_be_compared_is_refused(make: Maker, changed: dict[str, str], said: str) -> None:
    folders = [make("a", 12), make("b", 12, **changed)]
    with pytest.raises(UserError, match=said):
        compare(folders)


def test_other_spaces_empty_runs_and_repetitions_are_refused(make: Maker, tmp_path: Path) -> None:
    folders = [make("a", 12), make("b", 12, 1)]
    table = tables.load(folders[1] / "lut.json").table
    smaller = table.space | {"scales": table.space["scales"][:2]}
    two = table.calibration.model_copy(update={"constant_ms": [0.1] * 2, "interval_percent": [2.0] * 2})
    tables.save(folders[1] / "lut.json", table.model_copy(update={"space": smaller, "calibration": two}))
    with pytest.raises(UserError, match="another space than that in"):
        compare(folders)
    with pytest.raises(UserError, match="named twice"):
        compare([folders[0], tmp_path / "b" / ".." / "a"])
    with pytest.raises(UserError, match="evaluated nothing yet"):
        compare([folders[0], make("empty", 0)])
    with pytest.raises(UserError, match="holds no run"):
        compare([tmp_path / "nowhere"])
    result = CliRunner().invoke(cli, ["compare", str(folders[0]), "--figure", "a.gif"])
    assert isinstance(result.exception, UserError)
