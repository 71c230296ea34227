"""Does it matter by which device's table a network is chosen? The paper's Table VIII, on devices of one's own.

    python benchmarks/chosen_by.py runs/demo luts/atlas-emulator.json --device atlas-emulator

For several levels of mIoU: the fastest network that reaches the level, by the device's own table, by the table of the
run (another device's), and by FLOPs. All three ask the same surrogate, fitted to the run's archive, so their accuracy
is equal by prediction; then each network is scored by the run's supernet and timed whole on the device. On a device
that is simulated this compares ways to choose, not devices: it says so.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mosegnet.cost import costs
from mosegnet.digits import FloatArray, IntArray
from profiler import devices, lut
from profiler.whole import networks_on_device
from search import metrics, surrogates
from search.archive import Archive
from search.datasets import load as load_data
from search.evaluate import Evaluator
from search.evolution.nsga2 import candidates
from search.evolution.pareto import non_dominated
from search.evolution.problem import Problem
from search.supernet import load as load_supernet

OWN = "own table"
Cost = Callable[[IntArray], FloatArray]


@dataclass(frozen=True, slots=True)
class Chosen:
    """One network, and what it turned out to be on the device; `level` is the mIoU that it had to reach."""

    level: float
    by: str
    encoding: list[int]
    miou: float
    measured_ms: float


def main() -> None:
    """Print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="a run's folder: its archive, supernet and other device's table")
    parser.add_argument("table", type=Path, help="the device's own table")
    parser.add_argument("--device", required=True)
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--levels", type=int, default=8)
    arguments = parser.parse_args()
    own, other = lut.load(arguments.table), lut.load(arguments.run / "lut.json")
    by: dict[str, Cost] = {
        OWN: own.predict,
        f"table of {other.device.name}": other.predict,
        "FLOPs": lambda X: costs(own.space, X).flops.astype(np.float64),
    }
    X, miou = Archive(arguments.run / "archive.jsonl", own.space).arrays()
    known = surrogates.create("gp", own.space.cardinalities, 0).fit(X[~np.isnan(miou)], miou[~np.isnan(miou)])
    fronts = {name: front(own, known, cost, X) for name, cost in by.items()}
    least = max(predicted.min() for _, predicted in fronts.values())
    most = min(predicted.max() for _, predicted in fronts.values())
    picks = [
        (level, name, found[np.argmax(predicted >= level)])  # fronts rise in cost and accuracy alike
        for level in np.linspace(least, most, arguments.levels)
        for name, (found, predicted) in fronts.items()
    ]
    chosen = np.unique(np.stack([x for _, _, x in picks]), axis=0)
    measured = networks_on_device(own, devices.find(arguments.device), chosen, 0, "timing the chosen networks")
    dataset = load_data(arguments.data)
    for split in ("supernet", "search"):
        dataset.split(split)  # once, before the evaluator's threads all ask for it
    evaluator = Evaluator(load_supernet(arguments.run / "supernet.safetensors", own.space), dataset)
    ms = {x.tobytes(): found.latency_ms for x, found in zip(chosen, measured, strict=True)}
    score = {
        x.tobytes(): float(metrics.miou(confusions.sum(0)))
        for x, confusions in zip(chosen, evaluator.confusions_of_all(chosen), strict=True)
    }
    rows = [
        Chosen(round(float(level), 4), name, x.tolist(), round(score[x.tobytes()], 4), round(ms[x.tobytes()], 4))
        for level, name, x in picks
    ]
    print(
        json.dumps(
            {"device": own.device.name, "simulated": own.device.simulated, "summary": summary(rows, list(by))}
            | {"networks": [asdict(row) for row in rows]},
            indent=1,
        )
    )


def front(own: lut.Lut, known: surrogates.Surrogate, cost: Cost, start: IntArray) -> tuple[IntArray, FloatArray]:
    """The networks that trade predicted accuracy against a cost best, by rising cost, and their accuracy."""
    problem = Problem(own.space, lambda X: np.stack([-known.predict(X), cost(X)], axis=1))
    found = candidates(problem, population=200, generations=500, start=start, rng=np.random.default_rng(0))
    rows = non_dominated(-found.objectives[:, 0], found.objectives[:, 1])
    return found.encodings[rows], -found.objectives[rows, 0]


def summary(rows: list[Chosen], names: list[str]) -> dict[str, dict[str, float]]:
    """Beside the choice by the device's own table, level by level: how much slower, and how much more accurate."""
    of = {name: [row for row in rows if row.by == name] for name in names}
    found = {}
    for name in names:
        slower = [row.measured_ms / best.measured_ms - 1 for row, best in zip(of[name], of[OWN], strict=True)]
        better = [row.miou - best.miou for row, best in zip(of[name], of[OWN], strict=True)]
        found[name] = {
            "slower_percent": round(100 * float(np.mean(slower)), 2),
            "slower_percent_at_most": round(100 * max(slower), 2),
            "miou_more_points": round(100 * float(np.mean(better)), 2),
        }
    return found


if __name__ == "__main__":
    main()
