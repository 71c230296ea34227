"""A whole run on the made-up landscape; and a process that forks such runs, so that a test can kill many."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from made_up import SPACE, Scorer, latency_ms

import search.run
from mosegnet.common.console import run_command
from mosegnet.common.files import write_json
from search.archive import Archive
from search.evolution.pareto import non_dominated
from search.lock import locked
from search.loop import Search
from search.run import RunConfig, evaluate_all
from search.workers import open_pool

TABLE = SimpleNamespace(space=SPACE, complete=True, predict=latency_ms)


def configuration(**changed: Any) -> RunConfig:
    settings: dict[str, Any] = {"initial": 16, "generations": 6, "infill": 6, "surrogate": "ridge", "lag": 0, "seed": 3}
    settings |= {"inner_generations": 10, "population": 20}
    rest = {"lut_sha256": "", "supernet_sha256": "", "data": "", "classes": [], "training": {}}
    return RunConfig(**(rest | settings | changed))


def run(folder: Path | str, scorer: Scorer | None = None, *, lag: int = 0, **pool: Any) -> Archive:
    """Evaluate everything and write the front, as `search run` does."""
    search.run.Search = partial(Search, inner_generations=10, population=20)  # type: ignore[misc, assignment]
    folder, scorer = Path(folder), scorer or Scorer()
    with locked(folder), closing(open_pool(scorer.score, scorer, **pool)) as workers:
        archive = evaluate_all(folder, configuration(lag=lag), TABLE, workers)  # type: ignore[arg-type]
        scored = [network for network in archive.networks if network.miou is not None]
        rows = non_dominated([network.miou for network in scored], [network.latency_ms for network in scored])
        front = [{"id": scored[k].id, "encoding": scored[k].encoding, "miou": scored[k].miou} for k in rows]
        write_json(folder / "pareto.json", front)
    return archive


def as_process(folder: str, slow_s: float, **more: Any) -> None:
    """`run` as the command does it: errors as one line and an exit status."""
    command = SimpleNamespace(main=lambda **_: run(folder, Scorer(slow_s), **more) and 0)
    run_command(command)  # type: ignore[arg-type]


def fork_runs() -> None:
    """A line of JSON on the standard input is the arguments of a run: the answers are its process id and its end."""
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            try:
                as_process(**json.loads(line))
            except SystemExit as end:
                os._exit(int(end.code or 0))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
