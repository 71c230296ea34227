"""How fast a table answers: `Lut.predict` in batches and singly, beside a dictionary loop, all in one run.

Run alone: `python benchmarks/lookup.py [luts/cpu.json]`; without a table one with made-up latencies is used, since
speed does not depend on the values.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np

from mosegnet import space as spaces
from mosegnet.digits import IntArray
from profiler.lut import Lut, load
from profiler.schema import Calibration, DeviceRecord, Entry, MethodRecord, Table

REPEATS = 7
BATCHES = (100, 1_000, 10_000, 100_000)
SINGLES = 2_000


def main() -> None:
    """Print one JSON object: encodings a second, and ratios to the dictionary loop."""
    lut = load(sys.argv[1]) if len(sys.argv) > 1 else made_up()
    rng = np.random.default_rng(0)
    rates = {}
    for n in BATCHES:
        X = lut.space.sample(n, rng)
        rates[f"batch_{n}"] = n / best_s(lambda X=X: lut.predict(X))
    X = lut.space.sample(SINGLES, rng)
    rates["single"] = SINGLES / best_s(lambda: [lut.predict(x) for x in X])
    loop = dictionary_loop(lut, X)
    rates["dictionary_loop"] = SINGLES / best_s(loop)
    np.testing.assert_allclose(loop(), lut.predict(X), rtol=1e-9)  # they answer alike
    result = {
        "encodings_per_s": {name: round(rate) for name, rate in rates.items()},
        "times_dictionary_loop": {name: round(rate / rates["dictionary_loop"], 2) for name, rate in rates.items()},
    }
    print(json.dumps(result, indent=1))


def dictionary_loop(lut: Lut, X: IntArray) -> Callable[[], list[float]]:
    """The usual look-up: one dictionary access a unit, by its key. The networks are decoded beforehand, for free."""
    table = {key: entry.latency_ms for key, entry in lut.table.entries.items()}
    networks = [(int(x[0]), [unit.key for unit in lut.space.decode(x).units]) for x in X]
    constant_ms = lut.calibration.constant_ms

    def loop() -> list[float]:
        return [constant_ms[scale] + sum(table[key] for key in keys) for scale, keys in networks]

    return loop


def best_s(work: Callable[[], object]) -> float:
    """Least processor time of several repeats: the load of others only ever adds."""
    times_s = []
    for _ in range(REPEATS):
        started = time.thread_time()
        work()
        times_s.append(time.thread_time() - started)
    return min(times_s)


def made_up() -> Lut:
    """A table of `tiny` with latencies drawn at random."""
    space, rng = spaces.load("tiny"), np.random.default_rng(1)
    scales = len(space.scales)
    entries = {
        unit.key: Entry(latency_ms=float(rng.uniform(0.1, 1)), ci95_ms=0.01, samples=5, converged=True)
        for unit in space.units
    }
    device = DeviceRecord(
        name="made-up", kind="none", chip="", system="", runtime="none", runtime_version="0", runtime_options={},
        precision="fp32", batch=1, agent_version="0", simulated=True,
    )  # fmt: skip
    method = MethodRecord(
        name="made-up", plan={}, seed=1, clock="none", statistic="none", target_percent=1, floor=5, cap=5, limit_s=1,
        reference="none", reference_ms=1, drift_percent=0, visits=0, device_time_s=0, restarts=0, started="-",
        finished="-", tool_version="0",
    )  # fmt: skip
    calibration = Calibration(constant_ms=[0.1] * scales, noise_percent=1, interval_percent=[2] * scales, networks=[])
    return Lut(Table(device=device, space=space.to_dict(), method=method, entries=entries, calibration=calibration))


if __name__ == "__main__":
    main()
