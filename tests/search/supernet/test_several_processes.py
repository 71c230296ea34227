"""Two processes train what one does: the same losses and weights, also when both were stopped and went on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

SCRIPT = Path(__file__).with_name("several_processes.py")
ROOT = Path(__file__).parents[3]


def run(out: Path, processes: int, first: int = 0, last: int = 4, accumulate: int = 1) -> dict[str, Any]:
    out.mkdir(exist_ok=True)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), str(SCRIPT), str(out), str(first), str(last)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, str(accumulate)], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((out / "result.json").read_text())


def weights(out: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(out / "supernet.safetensors")


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("together")
    return out, run(out, processes=2)


def test_two_processes_are_one(tmp_path: Path, together) -> None:
    _, found = together
    alone = run(tmp_path, processes=1)
    for ours, theirs in zip(found["losses"], alone["losses"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-2)  # AdamW's first steps go by the sign of gradients near 0
    assert found["losses"][0] == pytest.approx(alone["losses"][0], rel=1e-5)  # nothing has drifted apart yet
    assert found["scores"].keys() == alone["scores"].keys()


def test_both_stopped_and_resumed_is_unbroken(tmp_path: Path, together) -> None:
    out, found = together
    run(tmp_path, processes=2, last=2)
    resumed = run(tmp_path, processes=2, first=2)
    assert resumed["losses"] == found["losses"][2:]
    unbroken, again = weights(out), weights(tmp_path)
    assert all(torch.equal(unbroken[name], again[name]) for name in unbroken)
