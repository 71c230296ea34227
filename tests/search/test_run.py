"""A whole search: killed anywhere and resumed it ends with the same files; what a person gets wrong is one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner

import search.datasets
from mosegnet.common.errors import UserError
from profiler import lut as tables
from search import profiles
from search.archive import Archive
from search.cli import cli
from search.datasets import Dataset
from search.evolution.pareto import non_dominated
from search.in_the_loop import table_of


def prepare(patch: pytest.MonkeyPatch, dataset: Dataset) -> None:
    """Every data set is the one of boxes, and the inner search is short."""
    patch.setattr(search.datasets, "load", lambda spec: dataset)
    short = replace(profiles.PROFILES["default"], inner_generations=10)
    patch.setitem(profiles.PROFILES, "default", short)


@pytest.fixture
def boxes(monkeypatch, micro_dataset) -> None:
    """As `prepare`, for one test."""
    prepare(monkeypatch, micro_dataset)


def arguments(table: Path, supernet: Path, out: Path, *more: str) -> list[str]:
    budget = ["--initial", "8", "--generations", "2", "--infill", "4", "--surrogate", "ridge"]
    return [
        "run",
        "--lut",
        str(table),
        "--supernet",
        str(supernet),
        "--data",
        "boxes",
        "--out",
        str(out),
        *budget,
        *more,
    ]


def run(*args: str) -> None:
    """The command in this process, errors as exceptions."""
    result = CliRunner().invoke(cli, args, catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output


def results(folder: Path) -> list[dict]:
    """The archive by id, without the times that evaluations took."""
    lines = [json.loads(line) for line in (folder / "archive.jsonl").read_text().splitlines()]
    return sorted(({**line, "seconds": None, "ended": None} for line in lines), key=lambda line: line["id"])


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, micro_table, micro_supernet, micro_dataset) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    with pytest.MonkeyPatch.context() as patch:
        prepare(patch, micro_dataset)
        run(*arguments(micro_table, micro_supernet, folder))
    return folder


def test_a_run_leaves_what_the_readme_says(unbroken: Path) -> None:
    pareto = json.loads((unbroken / "pareto.json").read_text())
    table = tables.load(unbroken / "lut.json")
    archive = Archive(unbroken / "archive.jsonl", table.space)
    assert len(archive) == 8 + 2 * 4
    miou = [network.miou for network in archive.networks]
    front = non_dominated(miou, [network.latency_ms for network in archive.networks])
    assert [row["encoding"] for row in pareto["networks"]] == [list(archive.networks[k].encoding) for k in front]
    for row in pareto["networks"]:
        assert row["latency_ms"] == pytest.approx(table.predict(row["encoding"])[0], abs=1e-6)
        assert sum(ms for _, ms in row["breakdown"]) == pytest.approx(row["latency_ms"], abs=1e-4)
        assert row["measured_ms"] is None
        assert row["flops"] > 0
        assert row["params"] > 0
        session = onnxruntime.InferenceSession(unbroken / row["model"], providers=["CPUExecutionProvider"])
        assert session.get_inputs()[0].shape == [1, 3, *row["input_hw"]]
    generations = [json.loads(line) for line in (unbroken / "generations.jsonl").read_text().splitlines()]
    assert [line["evaluated"] for line in generations] == [8, 12, 16]
    volumes = [line["hypervolume"] for line in generations]
    assert volumes == sorted(volumes)
    assert volumes[0] > 0
    assert "<html" in (unbroken / "report.html").read_text()


@pytest.mark.parametrize("lines", [0, 3, 8, 11, 16])
def test_resumed_from_any_line_equals_unbroken(
    boxes: None, tmp_path: Path, unbroken: Path, micro_table: Path, micro_supernet: Path, lines: int
) -> None:
    """A kill leaves the journal with some whole lines and perhaps a torn one."""
    folder = tmp_path / "killed"
    folder.mkdir()
    for name in ("config.toml", "lut.json"):
        (folder / name).write_bytes((unbroken / name).read_bytes())
    kept = (unbroken / "archive.jsonl").read_bytes().splitlines(keepends=True)
    torn = kept[lines][: len(kept[lines]) // 2] if lines < len(kept) else b""
    (folder / "archive.jsonl").write_bytes(b"".join(kept[:lines]) + torn)
    run(*arguments(micro_table, micro_supernet, folder, "--resume"))
    assert results(folder) == results(unbroken)
    assert (folder / "pareto.json").read_bytes() == (unbroken / "pareto.json").read_bytes()


def test_killed_for_real_three_times(tmp_path: Path, unbroken: Path, micro_table: Path, micro_supernet: Path) -> None:
    """SIGKILL to the process as soon as it has evaluated a few networks more."""
    here = Path(__file__).parent
    code = (
        "import pytest, conftest, search.cli, test_run\n"
        "test_run.prepare(pytest.MonkeyPatch(), conftest.micro_dataset.__wrapped__())\n"
        "search.cli.main()\n"
    )
    folder = tmp_path / "killed"
    command = [sys.executable, "-c", code, *arguments(micro_table, micro_supernet, folder, "--resume")]
    environment = os.environ | {"PYTHONPATH": str(here)}
    archive = folder / "archive.jsonl"
    for wanted in (3, 7, 11):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None and (not archive.exists() or archive.read_bytes().count(b"\n") < wanted):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        assert process.returncode == -signal.SIGKILL, said.decode()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / "pareto.json").read_bytes() == (unbroken / "pareto.json").read_bytes()
    assert "Pareto-optimal networks" in done.stdout


def test_what_a_person_gets_wrong(
    boxes: None, tmp_path: Path, unbroken: Path, micro_table: Path, micro_supernet: Path
) -> None:
    def refused(said: str, *args: str) -> None:
        with pytest.raises(UserError, match=said):
            run(*args)

    table, supernet, out = micro_table, micro_supernet, tmp_path / "out"
    refused("holds a run: --resume", *arguments(table, supernet, unbroken))
    refused("another configuration", *arguments(table, supernet, unbroken, "--resume", "--seed", "1"))
    refused("unknown surrogate 'oracle'", *arguments(table, supernet, out, "--surrogate", "oracle"))
    refused("does not exist", *arguments(table, tmp_path / "none", out))
    refused("does not exist", *arguments(tmp_path / "none.json", supernet, out))
    refused("holds no run", "report", str(out))
    assert not out.exists()


def test_the_report_can_be_made_again(unbroken: Path) -> None:
    before = (unbroken / "report.html").read_bytes()
    (unbroken / "report.html").unlink()
    run("report", str(unbroken))
    assert (unbroken / "report.html").read_bytes() == before


def test_an_unfinished_run_has_no_report(tmp_path: Path, unbroken: Path) -> None:
    (tmp_path / "config.toml").write_bytes((unbroken / "config.toml").read_bytes())
    with pytest.raises(UserError, match="has not ended"):
        run("report", str(tmp_path))


def test_an_incomplete_table_is_refused_or_searched_without_what_it_lacks(
    boxes: None, tmp_path: Path, micro_table: Path, micro_supernet: Path
) -> None:
    """The largest decoders do not run: a third of all networks has one."""
    lut = tables.load(micro_table)
    last = [unit.key for unit in lut.space.units if unit.kind == "decoder" and unit.channels_32 == 512]
    entries = {key: entry for key, entry in lut.table.entries.items() if key not in last}
    partial = tmp_path / "partial.json"
    tables.save(
        partial, lut.table.model_copy(update={"entries": entries, "unmeasured": dict.fromkeys(last, "too big")})
    )
    with pytest.raises(UserError, match=r"cannot run .* units, such as 'decoder.*--exclude-unmeasured"):
        run(*arguments(partial, micro_supernet, tmp_path / "refused"))
    run(*arguments(partial, micro_supernet, tmp_path / "run", "--exclude-unmeasured"))
    archive = Archive(tmp_path / "run" / "archive.jsonl", lut.space)
    X = np.array([network.encoding for network in archive.networks])
    assert len(X) == 8 + 2 * 4
    assert tables.load(partial).runs(X).all()


def test_the_device_corrects_the_table_as_the_search_goes(
    boxes: None, tmp_path: Path, micro_table: Path, micro_supernet: Path
) -> None:
    """A made-up table, far too slow, on this very processor; then the same, cut short and resumed."""
    folder = tmp_path / "run"
    run(*arguments(micro_table, micro_supernet, folder, "--device", "cpu"))
    measured = [json.loads(line) for line in (folder / "lut.corrected.networks.jsonl").read_text().splitlines()]
    archive = Archive(folder / "archive.jsonl", tables.load(micro_table).space)
    later = [list(network.encoding) for network in archive.networks if network.generation > 0]
    assert sorted(one["encoding"] for one in measured) == sorted(later)
    corrected, pareto = table_of(folder), json.loads((folder / "pareto.json").read_text())
    assert corrected.table.method.prior == tables.load(micro_table).sha256
    assert pareto["lut_sha256"] == corrected.sha256
    assert all(row["measured_ms"] > 0 for row in pareto["networks"])
    for row in pareto["networks"]:
        assert row["latency_ms"] == pytest.approx(corrected.predict(row["encoding"])[0], abs=1e-6)
    X = [one["encoding"] for one in measured]
    real_ms = np.array([one["measured_ms"] for one in measured])
    before, after = (np.abs(lut.predict(X) / real_ms - 1).mean() for lut in (tables.load(micro_table), corrected))
    assert after < 0.5 * before

    kept = (folder / "archive.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "archive.jsonl").write_bytes(b"".join(kept[:14]))
    run(*arguments(micro_table, micro_supernet, folder, "--device", "cpu", "--resume"))
    assert (folder / "archive.jsonl").read_bytes().splitlines()[:12] == [line.rstrip() for line in kept[:12]]
    assert len(Archive(folder / "archive.jsonl", corrected.space)) == 16
