"""A search and its workers: the same result from any number of them, failures are marked, hopeless runs stop."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_up import SPACE, Failing, Hopeless, Scorer, accuracy
from made_up_run import configuration, run

from mosegnet.common.errors import DeviceError, UserError
from mosegnet.common.journal import Journal
from search.archive import Archive
from search.conduct import STOP_AFTER
from search.lock import locked, owner_of

BUDGET = configuration().evaluations


def results(archive: Archive) -> list[tuple]:
    return [(one.id, one.generation, one.encoding, one.miou, one.latency_ms) for one in archive.networks]


def truncated(whole: Path, folder: Path, lines: list[int]) -> Path:
    """A killed run: some of a whole one's lines, in the given order."""
    folder.mkdir()
    kept = (whole / "archive.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "archive.jsonl").write_bytes(b"".join(kept[line] for line in lines))
    return folder


@pytest.fixture(scope="module", params=[0, 6], ids=["in step", "asynchronous"])
def unbroken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    archive = run(folder, lag=request.param)
    assert [one.id for one in archive.networks] == list(range(BUDGET))
    assert len((folder / "generations.jsonl").read_text().splitlines()) == 7
    return folder, request.param


@pytest.mark.parametrize("workers", [{"threads": 5}, {"workers": 2}])
def test_the_number_of_workers_and_their_speed_change_nothing(
    tmp_path: Path, unbroken: tuple[Path, int], workers: dict[str, int]
) -> None:
    folder, lag = unbroken
    archive = run(tmp_path / "run", Scorer(0.002), lag=lag, **workers)
    assert results(archive) == results(Archive(folder / "archive.jsonl", SPACE))
    for name in ("pareto.json",):
        assert (tmp_path / "run" / name).read_bytes() == (folder / name).read_bytes()
    quality = [
        [
            {name: value for name, value in json.loads(line).items() if name != "seconds"}
            for line in (one / "generations.jsonl").read_text().splitlines()
        ]
        for one in (folder, tmp_path / "run")
    ]
    assert quality[0] == quality[1]


@pytest.mark.parametrize("ahead", [3, 20, 28])
def test_results_that_came_before_their_turn_are_kept(tmp_path: Path, unbroken: tuple[Path, int], ahead: int) -> None:
    """Killed while the network `ahead` was under way and later ones were done."""
    folder, lag = unbroken
    done = [line for line in range(min(ahead + 5, 22 if ahead > 16 and not lag else BUDGET)) if line != ahead]
    killed = truncated(folder, tmp_path / "run", done)
    before = (killed / "archive.jsonl").read_bytes()
    archive = run(killed, threads=3, lag=lag)
    assert (killed / "archive.jsonl").read_bytes().startswith(before)
    assert results(archive) == results(Archive(folder / "archive.jsonl", SPACE))


def test_another_plan_than_before_the_kill_is_no_harm(tmp_path: Path, unbroken: tuple[Path, int]) -> None:
    """Another version of a library may plan otherwise: what was evaluated stays, nothing is evaluated twice."""
    folder, lag = unbroken
    killed = truncated(folder, tmp_path / "run", [*range(16), 17, 18])
    lines = (killed / "archive.jsonl").read_text().splitlines()
    strange = json.loads(lines[-1]) | {"encoding": [1, 0] * 5}
    (killed / "archive.jsonl").write_text("\n".join([*lines[:-1], json.dumps(strange)]) + "\n")
    archive = run(killed, threads=2, lag=lag)
    assert sorted(one.id for one in archive.networks) == list(range(len(archive)))
    assert archive.networks[18].encoding == (1, 0) * 5
    assert BUDGET <= len(archive) <= BUDGET + 1


def test_failures_are_marked_and_never_fatal(tmp_path: Path) -> None:
    archive = run(tmp_path / "run", Failing(), threads=2)
    assert len(archive) == BUDGET
    for one in archive.networks:
        if one.encoding[0] == 0:
            assert (one.miou, one.attempts) == (None, 3)
            assert one.failure == f"RuntimeError: no memory for {list(one.encoding)}"
        elif one.encoding == (1,) * 10:
            assert (one.miou, one.attempts, one.failure) == (None, 1, "its accuracy is not a number")
        else:
            assert (one.miou, one.failure) == (accuracy(np.array(one.encoding)), None)
    resumed = run(tmp_path / "run", Scorer())
    assert results(resumed) == results(archive)  # a failure is a result


def test_where_nothing_works_the_run_stops_and_can_be_resumed(tmp_path: Path, unbroken: tuple[Path, int]) -> None:
    folder, lag = unbroken
    with pytest.raises(DeviceError, match=f"first {STOP_AFTER} evaluations have all failed .*driver is gone"):
        run(tmp_path / "run", Hopeless(), lag=lag)
    failed = Archive(tmp_path / "run" / "archive.jsonl", SPACE, read_only=True)
    assert [(one.miou, one.attempts) for one in failed.networks] == [(None, 3)] * STOP_AFTER
    archive = run(tmp_path / "run", lag=lag)
    assert results(archive) == results(Archive(folder / "archive.jsonl", SPACE))


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbroken: tuple[Path, int]
) -> None:
    folder, lag = unbroken
    whole, appended = Journal.append, []

    def append(self: Journal, record: dict) -> None:
        appended.append(record)
        if len(appended) == 20:
            self._file.write(b'{"id": 19, "gener')  # as much as there was room for
            self._file.flush()
            raise UserError(f"cannot write {self.path}: the disk is full")
        whole(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", append)
        with pytest.raises(UserError, match="disk is full"):
            run(tmp_path / "run", lag=lag)
    kept = (tmp_path / "run" / "archive.jsonl").read_bytes()
    archive = run(tmp_path / "run", lag=lag)
    assert (tmp_path / "run" / "archive.jsonl").read_bytes().startswith(kept[: kept.rindex(b"\n") + 1])
    assert results(archive) == results(Archive(folder / "archive.jsonl", SPACE))


def test_two_processes_on_one_folder_are_refused(tmp_path: Path) -> None:
    assert owner_of(tmp_path) == (None, False)
    with locked(tmp_path):
        owner, alive = owner_of(tmp_path)
        assert alive
        assert owner is not None
        with pytest.raises(UserError, match=f"process {owner.pid} on .* is working on"), locked(tmp_path):
            pass
    assert owner_of(tmp_path) == (owner, False)
    with locked(tmp_path):
        pass
