"""Two emulated boards beside one: the same models measured, seconds from the first to the last. SIMULATED.

    python benchmarks/boards.py

The stand-in sleeps while the modelled device computes, so that two fit beside each other on two cores.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np

from mosegnet import space as spaces
from mosegnet.common.journal import Journal
from profiler.convert import converter_of
from profiler.devices import find
from profiler.link import Link, Rule
from profiler.plan import network_job, reference_job
from profiler.sampling import spread
from profiler.session import Session

NETWORKS = 48


def main() -> None:
    """Measure with one board, then with two, and print JSON."""
    seconds = {boards: _seconds(boards) for boards in (1, 2)}
    result = {"simulated": True, "networks": NETWORKS, "seconds": seconds, "speed_up": seconds[1] / seconds[2]}
    print(json.dumps(result, indent=1))


def _seconds(boards: int) -> float:
    device, space = find("atlas-emulator"), spaces.load("tiny")
    rng = np.random.default_rng(0)
    jobs = [network_job(space, x, "calibration") for x in spread(space, NETWORKS, rng)]
    converter = converter_of(device)
    with converter.models([*jobs, reference_job(space)]) as models:
        list(models)  # into the cache: conversion is not what is timed here
    links = [Link(device) for _ in range(boards)]
    for link in links:
        link.hello()
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.jsonl")
        started = time.monotonic()
        Session(jobs, reference_job(space), links, journal, [], Rule(), 0, converter=converter).run(
            f"{boards} board(s)"
        )
        seconds = time.monotonic() - started
        journal.close()
    for link in links:
        link.close()
    return round(seconds, 2)


if __name__ == "__main__":
    main()
