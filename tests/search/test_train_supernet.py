"""`search train-supernet` as a person types it: from nothing, stopped and resumed, from other weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from click.testing import CliRunner, Result

import search.datasets
from mosegnet.common.errors import UserError
from mosegnet.common.journal import read_journal
from search.cli import cli
from search.supernet import load, loop


@pytest.fixture(autouse=True)
def boxes(monkeypatch, micro_dataset) -> None:
    """Every data set is the one of boxes."""
    monkeypatch.setattr(search.datasets, "load", lambda spec: micro_dataset)


@pytest.fixture
def space_file(tmp_path: Path, micro_space) -> Path:
    path = tmp_path / "space.json"
    path.write_text(json.dumps(micro_space.to_dict()))
    return path


def run(space: Path, out: Path, *more: str) -> Result:
    arguments = ["train-supernet", "--space", str(space), "--data", "boxes", "--out", str(out), "--batch", "4", *more]
    return CliRunner().invoke(cli, arguments)


def test_killed_and_resumed(tmp_path: Path, space_file: Path, monkeypatch) -> None:
    whole, out = tmp_path / "whole.safetensors", tmp_path / "out.safetensors"
    assert run(space_file, whole, "--steps", "3", "--validations", "1").exit_code == 0
    assert not whole.with_name("whole.safetensors.checkpoint").exists()
    assert read_journal(tmp_path / "whole.log.jsonl")[-1]["event"] == "finished"

    described = loop.describe

    def killed(trainer) -> dict[str, object]:
        if trainer.place.steps == 2:
            raise KeyboardInterrupt
        return described(trainer)

    with monkeypatch.context() as patch:
        patch.setattr("search.commands.supernet._CHECKPOINT_EVERY_S", 0.0)
        patch.setattr(loop, "describe", killed)
        assert run(space_file, out, "--steps", "3", "--validations", "1").exit_code != 0
    assert not out.exists()
    assert run(space_file, out, "--steps", "3", "--validations", "1", "--resume").exit_code == 0
    ours, theirs = (safetensors.torch.load_file(path) for path in (out, whole))
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    before = out.read_bytes()
    assert run(space_file, out, "--steps", "3", "--resume").exit_code == 0  # finished: nothing to train
    assert out.read_bytes() == before


def test_from_another_supernet_with_options(tmp_path: Path, space_file: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    assert run(space_file, first, "--steps", "1").exit_code == 0
    options = ["--accumulate", "2", "--checkpointing", "--no-sandwich", "--no-distil", "--random-networks", "2"]
    done = run(space_file, second, "--epochs", "1", "--from", str(first), "--recipe", "tiny-progressive", *options)
    assert done.exit_code == 0, done.output
    training = load(second).training
    assert training["steps"] == 3  # twelve images, four a step
    assert training["start"].startswith("supernet ")
    assert (training["recipe"], training["accumulate"], training["sandwich"]) == ("tiny-progressive", 2, False)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--steps", "1", "--epochs", "1"], "either --minutes or --steps or --epochs"),
        (["--steps", "1", "--recipe", "huge"], "unknown recipe 'huge'"),
        (["--steps", "1", "--device", "meta"], "runs on cpu or cuda"),
        (["--steps", "1", "--device", "cuda:99"], "there is no cuda device 99"),
        (["--steps", "1", "--from", "none"], "does not exist"),
        (["--steps", "1", "--backbone-weights", "none"], "do not exist"),
        (["--steps", "1", "--from", "a", "--backbone-weights", "b"], "not with both"),
        (["--steps", "1", "--accumulate", "3"], "take a --batch that 3 divides"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, space_file: Path, more: list[str], said: str) -> None:
    result = run(space_file, tmp_path / "out", *more)
    assert isinstance(result.exception, UserError), result.output
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)
