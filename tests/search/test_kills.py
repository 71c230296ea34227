"""SIGKILL at random moments, ten times in one run here, less often on a Ray cluster: the same front as unbroken."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_up_run import run

from mosegnet.common.errors import UserError

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)])}
SLOW_S = 0.01
CLUSTER_KILLS = 2  # a start takes seconds there


class Forks:
    """Runs in processes that begin at once, since they are forks of one that has imported everything."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", "import made_up_run; made_up_run.fork_runs()"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, env=ENVIRONMENT, **pipes)

    def start(self, folder: Path, **arguments: Any) -> int:
        """Begin a run; its process id."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"folder": str(folder), "slow_s": SLOW_S, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def end(self) -> int:
        """Wait for it; its exit status, negative for a signal."""
        return self._read()

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> int:
        assert self._process.stdout
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    own = Forks()
    yield own
    own.close()


def kill_often(forks: Forks, folder: Path, times: int, lines: int, **arguments: Any) -> None:
    """Kill a run `times` times, each time after up to `lines` results more and a moment, then let it end."""
    chance, archive = random.Random(5), folder / "archive.jsonl"
    for _ in range(times):
        wanted = (archive.read_bytes().count(b"\n") if archive.exists() else 0) + chance.randint(1, lines)
        pid = forks.start(folder, **arguments)
        while not archive.exists() or archive.read_bytes().count(b"\n") < wanted:
            time.sleep(0.003)
        time.sleep(chance.uniform(0, 3 * SLOW_S))
        os.kill(pid, signal.SIGKILL)
        assert forks.end() == -signal.SIGKILL
    forks.start(folder, **arguments)
    assert forks.end() == 0


@pytest.mark.parametrize("settings", [{"lag": 0, "threads": 3}, {"lag": 6, "workers": 2}], ids=["threads", "processes"])
def test_killed_ten_times(tmp_path: Path, forks: Forks, settings: dict[str, int]) -> None:
    kill_often(forks, tmp_path / "run", 10, 4, **settings)
    run(tmp_path / "unbroken", lag=settings["lag"])
    assert (tmp_path / "run" / "pareto.json").read_bytes() == (tmp_path / "unbroken" / "pareto.json").read_bytes()


def test_a_killed_search_leaves_no_worker_behind(tmp_path: Path, forks: Forks) -> None:
    pid = forks.start(tmp_path / "run", workers=2)
    archive = tmp_path / "run" / "archive.jsonl"
    while not archive.exists() or archive.read_bytes().count(b"\n") < 2:
        time.sleep(0.003)
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    assert len(children) >= 2
    os.kill(pid, signal.SIGKILL)
    assert forks.end() == -signal.SIGKILL
    end = time.monotonic() + 30
    while any(running(child) for child in children) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(running(child) for child in children)


def running(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_second_process_on_the_folder_is_refused(tmp_path: Path, forks: Forks) -> None:
    pid = forks.start(tmp_path / "run", slow_s=0.2)
    lock = tmp_path / "run" / "run.lock"
    while not lock.exists() or not lock.read_text().endswith("\n"):
        time.sleep(0.003)
    with pytest.raises(UserError, match=f"process {pid} on .* is working on"):
        run(tmp_path / "run")
    os.kill(pid, signal.SIGKILL)
    assert forks.end() == -signal.SIGKILL
    run(tmp_path / "run")  # the dead hold nothing


# --- Ray --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes on this host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        from ray.cluster_utils import Cluster

        own = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        own.add_node(num_cpus=1)
        yield own.address
        own.shutdown()


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_killed_on_a_cluster_of_two_nodes(tmp_path: Path, cluster: str) -> None:
    forks = Forks()
    kill_often(forks, tmp_path / "run", CLUSTER_KILLS, 36 // CLUSTER_KILLS, lag=6, cluster=cluster)
    forks.close()
    run(tmp_path / "unbroken", lag=6)
    assert (tmp_path / "run" / "pareto.json").read_bytes() == (tmp_path / "unbroken" / "pareto.json").read_bytes()
    lines = [json.loads(line) for line in (tmp_path / "run" / "archive.jsonl").read_text().splitlines()]
    assert {line["worker"].rsplit("-", 1)[1] for line in lines} == {"0", "1"}
