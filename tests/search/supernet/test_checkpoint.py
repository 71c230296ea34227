"""Checkpoints: whole or the previous one, whatever stops the writing; of this training or refused by name."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from search.supernet import checkpoint, recipes
from search.supernet.checkpoint import parse_checkpoint, read_checkpoint_bytes, write_checkpoint
from search.supernet.train import Budget, Trainer

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(7)}


def read(path: Path):
    return parse_checkpoint(read_checkpoint_bytes(path), path)


def trainer(space, dataset, seed: int = 0, **changes) -> Trainer:
    return Trainer(space, dataset, recipes.get("tiny", **changes), Budget(steps=2), seed)


def test_round_trip(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c", TENSORS, {"steps": 3})
    tensors, values = read(tmp_path / "c")
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())
    assert values["steps"] == 3


def test_nothing_is_pickled(tmp_path: Path, micro_space, micro_dataset) -> None:
    own = trainer(micro_space, micro_dataset, average=0.9)
    own.step()
    own.checkpoint(tmp_path / "c")
    tensors = safetensors.torch.load_file(tmp_path / "c")
    assert {name.split("/")[0] for name in tensors} == {
        "module",
        "average",
        "optimiser:exp_avg",
        "optimiser:exp_avg_sq",
        "optimiser:step",
    }


KILLED = """
import os, signal, sys, torch
from mosegnet.common import files
from search.supernet.checkpoint import write_checkpoint
write_checkpoint(sys.argv[1], {"a": torch.zeros(5)}, {"steps": 1})
files.os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
write_checkpoint(sys.argv[1], {"a": torch.ones(5)}, {"steps": 2})
"""


def test_killed_while_writing_leaves_the_previous_one(tmp_path: Path) -> None:
    path = tmp_path / "c"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2  # the previous one, and what was begun
    assert read(path)[1]["steps"] == 1
    write_checkpoint(path, TENSORS, {"steps": 3})
    assert [file.name for file in tmp_path.iterdir()] == ["c"]  # what was begun is gone


def test_a_full_disk_is_one_line_and_leaves_the_previous_one(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "c"
    write_checkpoint(path, TENSORS, {"steps": 1})

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mosegnet.common.files.os.fsync", full)
    with pytest.raises(UserError, match="the disk is full"):
        write_checkpoint(path, TENSORS, {"steps": 2})
    assert read(path)[1]["steps"] == 1


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_damage_is_said(tmp_path: Path, micro_space, micro_dataset, damage: bytes | None) -> None:
    path = tmp_path / "c"
    own = trainer(micro_space, micro_dataset)
    own.checkpoint(path)
    path.write_bytes(path.read_bytes()[:1000] if damage is None else damage)
    with pytest.raises(UserError, match="damaged"):
        own.restore(path)


def test_another_version_and_another_program(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "c"
    monkeypatch.setattr(checkpoint, "SCHEMA_VERSION", 3)
    write_checkpoint(path, TENSORS, {})
    monkeypatch.undo()
    with pytest.raises(UserError, match="has version 3, this program writes 2"):
        read(path)
    path.write_bytes(safetensors.torch.save(TENSORS, {"mosegnet": json.dumps({"schema": "mosegnet-supernet"})}))
    with pytest.raises(UserError, match="not one of a training"):
        read(path)
    with pytest.raises(UserError, match="there is no checkpoint"):
        read(tmp_path / "none")


def test_another_training_is_refused_by_name(tmp_path: Path, micro_space, micro_dataset) -> None:
    path = tmp_path / "c"
    trainer(micro_space, micro_dataset).checkpoint(path)
    with pytest.raises(UserError, match="has seed 0, this training 1"):
        trainer(micro_space, micro_dataset, seed=1).restore(path)
    with pytest.raises(UserError, match="has batch 8, this training 4"):
        trainer(micro_space, micro_dataset, batch=4).restore(path)
    other = spaces.load(micro_space.to_dict() | {"name": "other", "scales": [[32, 64], [64, 96]]})
    with pytest.raises(UserError, match="has space 'micro', this training 'other'"):
        trainer(other, micro_dataset).restore(path)
