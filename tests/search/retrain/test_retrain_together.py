"""Two processes re-train what one does, and go on from where both were stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from search.network_file import load_network
from search.retrain.training import trainer_of
from search.supernet.ranks import Ranks

SCRIPT = Path(__file__).with_name("retrain_together.py")
ROOT = Path(__file__).parents[3]


def run(out: Path, processes: int, stop_at: int = 4) -> Path:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), str(SCRIPT), str(out), str(stop_at)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def test_two_processes_are_one_and_resume(tmp_path: Path) -> None:
    _, _, own = load_network(run(tmp_path / "alone", 1))
    together, _, meta = load_network(run(tmp_path / "together", 2))
    assert own.training["loss_network"] == pytest.approx(meta.training["loss_network"], rel=2e-3)
    assert meta.training["teacher"].startswith("supernet ")
    run(tmp_path / "stopped", 2, stop_at=2)
    resumed, _, _ = load_network(run(tmp_path / "stopped", 2))
    states = [network.state_dict() for network in (together, resumed)]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_a_batch_a_card_grows_with_the_cards(micro_space, micro_dataset, monkeypatch) -> None:
    from search.retrain import schedules
    from search.retrain.training import Job
    from search.supernet import train
    from search.supernet.train import Budget

    monkeypatch.setattr(train, "synchronise", lambda module: None)
    job = Job(
        "micro", micro_space.decode(micro_space.smallest(2)), micro_space.full_hw, micro_dataset,
        schedules.get("retrain-cityscapes"), Budget(steps=4), 0,
    )  # fmt: skip
    assert [trainer_of(job, Ranks(0, world)).recipe.batch for world in (1, 2, 4)] == [8, 16, 32]
