"""The commands that need no training, as a person types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner, Result

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from search.cli import cli


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, args)


@pytest.mark.parametrize("command", [[], *([name] for name in cli.commands)])
def test_every_help_has_an_example(command: list[str]) -> None:
    shown = run(*command, "--help")
    assert shown.exit_code == 0
    assert "Example:\n  " in shown.output


def test_samples_are_json_lists_that_repeat() -> None:
    first, again = run("sample", "-n", "5", "--seed", "3"), run("sample", "-n", "5", "--seed", "3")
    assert first.output == again.output
    X = [json.loads(line) for line in first.output.splitlines()]
    np.testing.assert_array_equal(X, spaces.load("tiny").canonical(X))


def test_space_says_its_counts(capsys) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "search.cli", "space", "--space", "paper"], capture_output=True, text=True, check=True
    )
    assert "3,688,372,195,443 distinct networks" in result.stdout
    assert "180 for each input scale" in result.stdout


def test_any_network_can_be_exported_without_a_run(tmp_path: Path) -> None:
    x = spaces.load("tiny").smallest().tolist()
    out = tmp_path / "net.onnx"
    assert run("export", "--encoding", json.dumps(x), "--space", "tiny", "--out", str(out)).exit_code == 0
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    logits = session.run(None, {"image": np.ones((1, 3, 96, 128), dtype=np.float32)})[0]
    assert logits.shape == (1, 11, 96, 128)


def test_a_supernets_sub_network_is_scored_and_exported(
    tmp_path: Path, micro_supernet: Path, micro_space, micro_dataset, monkeypatch
) -> None:
    monkeypatch.setattr("search.datasets.load", lambda spec: micro_dataset)
    scored = run("evaluate", "--supernet", str(micro_supernet), "--data", "boxes", "--largest", "--json")
    assert scored.exit_code == 0, scored.output
    assert 0 < json.loads(scored.output)["miou"] < 1
    out = tmp_path / "net.onnx"
    encoding = json.dumps(micro_space.smallest().tolist())
    done = run(
        "export", "--encoding", encoding, "--supernet", str(micro_supernet), "--data", "boxes", "--out", str(out)
    )
    assert done.exit_code == 0, done.output
    assert out.exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["sample", "--space", "huge"], "unknown space 'huge'"),
        (["export", "--encoding", "[1, 2]", "--out", "x.onnx"], "29 digits, not 2"),
        (["export", "--encoding", "hello", "--out", "x.onnx"], "takes a JSON list"),
        (["export", "--encoding", json.dumps([9] * 29), "--out", "x.onnx"], "digit 0 is 9"),
        (["train-supernet", "--data", "kitti", "--out", "x"], "unknown data set 'kitti'"),
        (["train-supernet", "--data", "camvid:none", "--out", "x"], "none"),
        (["train-supernet", "--data", "synthetic", "--out", "x", "--steps", "1", "--minutes", "1"], "either"),
        (["evaluate", "--supernet", "none", "--data", "synthetic"], "name one network"),
        (["evaluate", "--supernet", "none", "--data", "synthetic", "--largest"], "does not exist"),
    ],
)
def test_mistakes_are_one_line(args: list[str], said: str) -> None:
    result = run(*args)
    assert isinstance(result.exception, UserError)
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)
