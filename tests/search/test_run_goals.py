"""Whole runs with several tables, requirements, networks to begin with, and limits on what may be spent."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from made_up import SPACE, Scorer, accuracy, latency_ms
from made_up_run import TABLE, configuration
from test_run import arguments, prepare, results, run

from mosegnet.common.errors import UserError
from mosegnet.cost import costs
from profiler import lut as luts
from search.archive import Archive
from search.run import evaluate_all
from search.stopping import Clock, Settling
from search.wanted import wanted
from search.warm_start import FirstNetworks
from search.workers import open_pool


@pytest.fixture(scope="module")
def patched(micro_dataset):
    with pytest.MonkeyPatch.context() as patch:
        prepare(patch, micro_dataset)
        yield


@pytest.fixture(scope="module")
def slow_table(micro_table: Path, tmp_path_factory) -> Path:
    """The same device, its decoders three times as slow."""
    table = luts.load(micro_table).table
    entries = {
        key: entry.model_copy(update={"latency_ms": entry.latency_ms * (3 if key.startswith("decoder") else 1)})
        for key, entry in table.entries.items()
    }
    path = tmp_path_factory.mktemp("slow") / "slow.json"
    luts.save(path, table.model_copy(update={"entries": entries}))
    return path


WISHES = ("--require", "flops<=60%", "--require", "latency:slow>=0.6ms")


@pytest.fixture(scope="module")
def two_tables(patched, tmp_path_factory, micro_table: Path, slow_table: Path, micro_supernet: Path) -> Path:
    folder = tmp_path_factory.mktemp("goals") / "two"
    run(*arguments(micro_table, micro_supernet, folder, "--lut", str(slow_table), *WISHES))
    return folder


def test_two_tables_and_requirements(two_tables: Path, micro_space) -> None:
    own = wanted(two_tables)
    assert own.goals.names == ("latency:lut", "latency:slow")
    archive = Archive(two_tables / "archive.jsonl", micro_space, read_only=True)
    X = np.array([network.encoding for network in archive.networks])
    assert len(X) == 16
    assert (costs(micro_space, X).flops <= 0.6 * costs(micro_space, micro_space.largest()).flops).all()
    pareto = json.loads((two_tables / "pareto.json").read_text())
    assert pareto["objectives"] == ["miou", "latency:lut", "latency:slow"]
    assert pareto["require"] == ["flops<=60%", "latency:slow>=0.6ms"]
    rows = pareto["networks"]
    for row in rows:
        x = row["encoding"]
        assert row["costs"] == {"latency:slow": pytest.approx(own.tables[1].lut.predict(x)[0], abs=1e-6)}
        assert row["latency_ms"] == pytest.approx(own.lut.predict(x)[0], abs=1e-6)
        for other in rows:
            apart = abs(row["latency_ms"] - other["latency_ms"]) > row["ci95_ms"] + other["ci95_ms"]
            assert row is other or (other["id"] in row["indistinct"]) is not apart
    reasons = {reason for row in rows for reason in row["chosen"]}
    assert {"least latency:lut", "least latency:slow", "most accurate"} <= reasons
    page = (two_tables / "report.html").read_text()
    assert 'data-figure="pair-1-2"' in page
    assert "latency on slow" in page
    assert "flops&lt;=60%" in page


def test_a_run_of_two_tables_resumes_as_unbroken(
    patched, tmp_path: Path, two_tables: Path, micro_table: Path, slow_table: Path, micro_supernet: Path
) -> None:
    folder = tmp_path / "killed"
    shutil.copytree(two_tables, folder)
    kept = (two_tables / "archive.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "archive.jsonl").write_bytes(b"".join(kept[:11]))
    command = arguments(micro_table, micro_supernet, folder, "--lut", str(slow_table), *WISHES)
    run(*command, "--resume")
    assert results(folder) == results(two_tables)
    assert (folder / "pareto.json").read_bytes() == (two_tables / "pareto.json").read_bytes()
    for more in (("--require", "latency<=9s"), ("--objectives", "miou,flops"), ("--profile", "paper")):
        with pytest.raises(UserError, match="another configuration"):
            run(*command, *more, "--resume")
    with pytest.raises(UserError, match="did not begin with network"):
        run(*command, "--try", json.dumps([2] * 29), "--resume")


def test_picks_are_printed_and_marked(patched, tmp_path: Path, two_tables: Path, capsys) -> None:
    folder = tmp_path / "run"
    shutil.copytree(two_tables, folder)
    run("pick", str(folder), "best miou", "best latency:slow", "--json")

    def marked() -> dict[str, list[str]]:
        rows = json.loads((folder / "pareto.json").read_text())["networks"]
        return {
            row["id"]: picks for row in rows if (picks := [one for one in row["chosen"] if one.startswith("picked")])
        }

    best = max(json.loads((folder / "pareto.json").read_text())["networks"], key=lambda row: row["miou"])
    assert "picked: best miou" in marked()[best["id"]]
    assert sum(map(len, marked().values())) == 2
    run("pick", str(folder), "flops<=100%:best miou")
    assert marked() == {best["id"]: ["picked: flops<=100%:best miou"]}
    assert "picked: flops" in (folder / "report.html").read_text()
    with pytest.raises(UserError, match="no network of the front meets"):
        run("pick", str(folder), "latency<=1us:best miou")


def test_requirements_that_cannot_be_met_leave_no_folder(
    patched, tmp_path: Path, micro_table: Path, micro_supernet: Path
) -> None:
    folder = tmp_path / "none"
    for words, said in (
        ("latency<=1us", r"no network was found that meets latency<=1us: the nearest has latency .* ms, .* outside"),
        ("latency<1ms", "needs <= or >="),
        ("latency:tpu<=1ms", "no table is called 'tpu'"),
    ):
        with pytest.raises(UserError, match=said):
            run(*arguments(micro_table, micro_supernet, folder, "--require", words))
        assert not folder.exists()


def test_an_accuracy_that_nothing_has_leaves_an_empty_front(
    patched, tmp_path: Path, micro_table: Path, micro_supernet: Path
) -> None:
    folder = tmp_path / "run"
    run(*arguments(micro_table, micro_supernet, folder, "--require", "miou>=0.99"))
    assert json.loads((folder / "pareto.json").read_text())["networks"] == []
    assert len(results(folder)) == 16
    with pytest.raises(UserError, match="the front is empty"):
        run("pick", str(folder), "knee")


def test_a_warm_start_takes_accuracies_over_or_evaluates_again(
    patched, tmp_path: Path, two_tables: Path, micro_table: Path, micro_supernet: Path, micro_space
) -> None:
    old = {tuple(line["encoding"]): line["miou"] for line in results(two_tables)}
    x = micro_space.largest().tolist()
    folder = tmp_path / "alike"
    command = [word for word in arguments(micro_table, micro_supernet, folder) if word not in ("--generations", "2")]
    run(*command, "--warm-start", str(two_tables), "--try", json.dumps(x), "--budget", "5")
    lines = results(folder)
    assert len(lines) == 16 + 5
    assert {tuple(line["encoding"]): line["miou"] for line in lines[:16]} == old
    assert all(line["worker"] == "taken over" for line in lines[:16])
    assert all(line["worker"] != "taken over" for line in lines[16:])
    assert lines[16]["encoding"] == x
    kept = (folder / "archive.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "archive.jsonl").write_bytes(b"".join(kept[:7]))
    run(*command, "--budget", "5", "--resume")  # needs the other run no more
    assert results(folder) == lines

    other, again = tmp_path / "other", tmp_path / "again"
    shutil.copytree(two_tables, other)
    text = (other / "config.toml").read_text()
    (other / "config.toml").write_text(text.replace('supernet_sha256 = "', 'supernet_sha256 = "0'))
    run(*arguments(micro_table, micro_supernet, again, "--warm-start", str(other), "--infill", "2"))
    lines = results(again)
    assert len(lines) == 8 + 2 * 2
    assert [tuple(line["encoding"]) in old for line in lines[:4]] == [True] * 4  # half of the sample
    assert all(line["worker"] != "taken over" for line in lines)
    with pytest.raises(UserError, match="holds no run"):
        run(*arguments(micro_table, micro_supernet, tmp_path / "x", "--warm-start", str(tmp_path)))


# --- how much is spent, on the made-up landscape ----------------------------------------------------------------


def spend(folder: Path, clock: Clock | None = None, first: FirstNetworks | None = None, **changed) -> Archive:
    scorer = Scorer()
    folder.mkdir(exist_ok=True)
    with closing(open_pool(scorer.score, scorer)) as pool:
        return evaluate_all(folder, configuration(**changed), TABLE, pool, first=first, clock=clock)  # type: ignore[arg-type]


def test_a_budget_is_spent_to_the_network(tmp_path: Path) -> None:
    assert len(spend(tmp_path, budget=23)) == 23


def test_time_ends_a_run_and_changes_nothing_else(tmp_path: Path) -> None:
    now_s = iter(range(10_000))
    unbroken = spend(tmp_path / "unbroken")
    counts = []
    for _ in range(200):
        archive = spend(tmp_path / "timed", Clock(0.1, lambda: float(next(now_s))))
        counts.append(len(archive))
        if len(archive) == len(unbroken):
            break
    assert len(counts) > 3
    assert counts == sorted(counts)
    assert archive.arrays()[0].tolist() == unbroken.arrays()[0].tolist()


@pytest.mark.parametrize("lag", [0, 6])
def test_a_settled_hypervolume_ends_a_run_in_the_same_place_however_often_it_was_killed(
    tmp_path: Path, lag: int
) -> None:
    rule = {"settle_generations": 2, "settle_share": 0.02, "generations": 30, "lag": lag}
    unbroken = spend(tmp_path / "unbroken", **rule)
    assert 16 + 2 * 6 <= len(unbroken) < 16 + 30 * 6
    lines = (tmp_path / "unbroken" / "archive.jsonl").read_bytes().splitlines(keepends=True)
    for kept in (9, len(lines) - 7, len(lines)):
        folder = tmp_path / f"killed{kept}"
        folder.mkdir()
        (folder / "archive.jsonl").write_bytes(b"".join(lines[:kept]))
        assert spend(folder, **rule).arrays()[0].tolist() == unbroken.arrays()[0].tolist()


def test_the_rule_of_settling() -> None:
    rule = Settling(generations=2, share=0.01)
    volumes = [0.0, 0.0, 0.0, 1.0, 1.5, 1.509, 1.51]
    assert [rule.settled(k, volumes.__getitem__) for k in range(-1, 7)] == [False] * 7 + [True]
    assert not Settling(0, 0.5).settled(6, volumes.__getitem__)


def test_networks_taken_over_are_not_evaluated_and_resume(tmp_path: Path) -> None:
    X = SPACE.sample(20, np.random.default_rng(5))
    miou = np.array([accuracy(x) for x in X])
    miou[15:] = np.nan
    first = FirstNetworks(X, miou)
    whole = spend(tmp_path / "whole", first=first, initial=20, generations=2)
    assert [one.worker == "taken over" for one in whole.networks] == [True] * 15 + [False] * 17
    assert [one.latency_ms for one in whole.networks] == latency_ms([one.encoding for one in whole.networks]).tolist()
    lines = (tmp_path / "whole" / "archive.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "archive.jsonl").write_bytes(b"".join(lines[:7]))
    cut = spend(tmp_path / "cut", first=first, initial=20, generations=2)
    assert cut.arrays()[0].tolist() == whole.arrays()[0].tolist()
