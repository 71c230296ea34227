import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from profiler_fixtures import RUN

from mosegnet.common.errors import UserError
from mosegnet.onnx_graph import context_model
from profiler.cli import cli
from profiler.lut import load


def invoke(*args, text=None):
    return CliRunner().invoke(cli, [str(arg) for arg in args], input=text, catch_exceptions=True)


def run(*args, text=None):
    """The command as a process, on the scripted device."""
    return subprocess.run([*RUN, *map(str, args)], input=text, capture_output=True, text=True, check=False)


COMMANDS = "devices doctor build-lut validate correct predict show compare plot measure export import"


@pytest.mark.parametrize("command", COMMANDS.split())
def test_every_help_shows_an_example(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert f"profiler {command}" in result.output.split("Example:")[1]


def test_predict_reads_encodings_and_prints_json(table_file, space):
    X = space.sample(12, np.random.default_rng(0))
    lines = "".join(json.dumps(x.tolist()) + "\n" for x in X)
    result = invoke("predict", "--lut", table_file, "--json", text=lines + "\n")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    np.testing.assert_allclose([one["latency_ms"] for one in found], load(table_file).predict(X), rtol=1e-4)
    assert all(one["ci95_ms"] > 0 for one in found)
    in_words = invoke("predict", "--lut", table_file, text=lines)
    assert in_words.stdout.count(" ms ± ") == 12


def test_predict_reads_a_file(table_file, space, tmp_path):
    file = tmp_path / "encodings.jsonl"
    file.write_text(json.dumps({"encoding": space.smallest().tolist()}) + "\n")
    assert len(invoke("predict", "--lut", table_file, file, "--json").stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[0, 9]", "line 3: an encoding of this space has 29 digits"),
        ("not json", "line 3 is no encoding"),
        ("5", "line 3 is no encoding"),
        (json.dumps([0] * 28 + [7]), "digit 28 is 7"),
        (json.dumps([0.5] + [0] * 28), "line 3"),
        (json.dumps([None] * 29), "line 3"),
    ],
)
def test_predict_names_the_line_that_is_wrong(table_file, space, line, words):
    good = json.dumps(space.smallest().tolist())
    result = invoke("predict", "--lut", table_file, text=f"{good}\n\n{line}\n{good}\n")
    assert isinstance(result.exception, UserError)
    assert words in str(result.exception)
    assert "line 3" in str(result.exception)


def test_show_says_what_a_table_knows(table_file):
    result = invoke("show", table_file)
    for words in ("scripted", "thread_cpu", "entries", "held-out", "FLOPs", load(table_file).sha256):
        assert words in result.output


def test_measure_prints_what_the_search_reads(tmp_path):
    paths = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for path, channels in zip(paths, (8, 64), strict=True):
        path.write_bytes(context_model((channels, 32, 32)))
    result = run("measure", "--device", "cpu", *paths, paths[0], "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert [one["model"] for one in found] == [str(paths[0]), str(paths[1]), str(paths[0])]
    assert found[1]["latency_ms"] > found[0]["latency_ms"] == found[2]["latency_ms"]
    assert {"ci95_ms", "samples", "converged"} <= set(found[0])


def test_validate_prints_what_scripts_read(table_file):
    result = run("validate", "--lut", table_file, "--device", "cpu", "--networks", 8, "--seed", 1, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    keys = {"kendall_tau", "pearson_r", "mape_percent", "bias_percent", "within_5_percent", "within_10_percent"}
    assert keys | {"label_noise_percent", "tau_ceiling"} <= set(found)
    assert keys <= set(found["flops"])
    assert keys <= set(found["flops_params"])


def test_measuring_on_this_processor(tmp_path):
    """The real agent behind the real command."""
    path = tmp_path / "a.onnx"
    path.write_bytes(context_model((8, 32, 32)))
    command = [sys.executable, "-m", "profiler.cli", "measure", "--device", "cpu", str(path), "--json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert found[0]["latency_ms"] > 0
    assert found[0]["samples"] >= 5  # one visit's: on a busy machine those that did not settle give way


def test_doctor_looks_at_this_processor(monkeypatch):
    from profiler import doctor

    monkeypatch.setattr(doctor, "_PAUSE_S", 0.0)
    result = invoke("doctor", "--device", "cpu", "--seconds", 2)
    assert result.exit_code == 0, result.exception
    for words in ("onnxruntime", "in steps of", "repeats itself", "within reach", "wandered", "processor time"):
        assert words in result.output


def test_doctor_names_remedies():
    from profiler.doctor import _contention, _repeatability, _system

    before = {"load_1min": 3.0, "busy_ticks": 0, "total_ticks": 0, "steal_ticks": 0, "governors": ["powersave"]}
    after = {**before, "total_ticks": 100, "steal_ticks": 20, "temperature_c": 95.0, "memory_free_mb": 10}
    findings = [*_system(before, after), *_repeatability([1.0, 1.3, 0.7, 1.2] * 3)]
    assert all(not finding.good and finding.remedy for finding in findings)
    quiet = {"load_1min": 0.0, "busy_ticks": 0, "total_ticks": 0, "steal_ticks": 0, "governors": ["performance"]}
    assert all(
        finding.good for finding in [*_system(quiet, quiet), _contention(1.0), *_repeatability([1.0, 1.001] * 6)]
    )


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("build-lut", "--device", "tpu"), "unknown device 'tpu'"),
        (("build-lut", "--device", "cpu", "--space", "huge"), "unknown space 'huge'"),
        (("measure", "--device", "cpu", "none.onnx"), "none.onnx does not exist"),
        (("show", "none.json"), "does not exist"),
        (("build-lut", "--device", "cpu", "--threads", "0"), "threads"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(tmp_path, args, words):
    result = subprocess.run(
        [sys.executable, "-m", "profiler.cli", *args], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""


def test_a_device_that_fails_for_good_exits_3(tmp_path, monkeypatch):
    monkeypatch.setenv("FAULT", "die:1")
    path = tmp_path / "a.onnx"
    path.write_bytes(context_model((8, 4, 4)))
    result = run("measure", "--device", "cpu", path)
    assert result.returncode == 3
    assert "Traceback" not in result.stderr


def test_correct_moves_a_table_to_a_device_that_became_slower(table_file, space, tmp_path, monkeypatch):
    lut = load(table_file)
    X = space.sample(8, np.random.default_rng(3))
    lines = "".join(json.dumps(x.tolist()) + "\n" for x in X)
    monkeypatch.setenv("FASTER", "0.93")
    out = tmp_path / "today.json"
    result = run("correct", "--lut", table_file, "--device", "cpu", "--out", out, text=lines)
    assert result.returncode == 0, result.stderr
    assert "corrected by 8 networks" in result.stdout
    unseen = space.sample(50, np.random.default_rng(4))
    ratio = load(out).predict(unseen) / lut.predict(unseen)
    assert np.abs(ratio * 0.93 - 1).max() < 0.02
    assert load(out).table.method.prior == lut.sha256
    assert load(out).table.validation is None
    again = run("correct", "--lut", table_file, "--device", "cpu", "--out", out, text=lines)
    assert "measuring" not in again.stderr  # nothing is measured twice
    assert load(out).predict(unseen) == pytest.approx(lut.predict(unseen) * ratio)
