"""How well conversions hide behind measuring: makespan of both at once over the longer of the two alone.

Run alone: `python benchmarks/conversion_overlap.py`; some 20 seconds. The conversions are real processes of a made-up
`atc` that sleeps, the device is made up and sleeps too; both by the same uneven times in all runs. Without a cache, of
which a second run would profit. The target is 1.15 in each case.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mosegnet.onnx_graph import context_model
from profiler.convert import AtcConverter, AtcOptions, Failure, LocalRunner, ModelCache

UNITS = 20
CONVERSION_S = 0.4
PARALLEL = 2
MEASURING_S = {"conversion is longer": 0.1, "both alike": 0.22, "measuring is longer": 0.3}
SPREAD = (0.5, 1.5)  # of the mean
TARGET = 1.15

ATC = """
import struct, sys, time
options = dict(arg[2:].split("=", 1) for arg in sys.argv[1:])
print("ATC start working now, please wait for a moment.")
time.sleep(float(open(options["model"], "rb").read().rpartition(b"sleep=")[2].split(b";")[0]))
with open(options["output"] + ".om", "wb") as file:
    file.write(struct.pack("<4sI68xI176x", b"IMOD", 256, 1) + b"m")
print("ATC run success, welcome to the next use.")
"""


@dataclass(frozen=True)
class Unit:
    """A model that takes `conversion_s` to convert."""

    key: str
    conversion_s: float

    def make(self) -> bytes:
        """The model, with the time in a field that ONNX leaves to its users (6: doc_string)."""
        note = f"sleep={self.conversion_s:.4f};".encode()
        return context_model((8, 4, 4)) + b"\x32" + bytes([len(note)]) + note


def main() -> None:
    """Print one JSON object: seconds of each stage, and the ratio, for each case."""
    rng = np.random.default_rng(0)
    uneven = rng.uniform(*SPREAD, (2, UNITS))
    uneven /= uneven.mean(axis=1, keepdims=True)
    units = [Unit(f"unit {number}", CONVERSION_S * factor) for number, factor in enumerate(uneven[0])]
    converting_s, _ = makespan_s(units, np.zeros(UNITS))
    cases = {}
    for name, mean_s in MEASURING_S.items():
        measuring_s = mean_s * uneven[1]
        both_s, waited_s = makespan_s(units, measuring_s)
        longer_s = max(converting_s, measuring_s.sum())
        cases[name] = {
            "measuring_s": round(measuring_s.sum(), 2),
            "both_s": round(both_s, 2),
            "device_waited_s": round(waited_s, 2),
            "one_after_the_other": round((converting_s + measuring_s.sum()) / longer_s, 3),
            "ratio": round(both_s / longer_s, 3),
        }
    ok = all(case["ratio"] <= TARGET for case in cases.values())
    print(json.dumps({"converting_s": round(converting_s, 2), "target": TARGET, "met": ok, "cases": cases}, indent=1))


def makespan_s(units: list[Unit], measuring_s: np.ndarray) -> tuple[float, float]:
    """Seconds to convert and measure all units, and those of them in which the device waited."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "atc.py").write_text(ATC)
        options = AtcOptions(
            soc="Ascend310", command=(sys.executable, "-S", str(folder / "atc.py")), cann="6.0.1", memory_bytes=10**8
        )
        converter = AtcConverter(options, LocalRunner(folder / "work"), ModelCache(folder / "om"), parallel=PARALLEL)
        started_s = time.monotonic()
        with converter.models(units) as models:
            for (_, model), busy_s in zip(models, measuring_s, strict=True):
                assert not isinstance(model, Failure), model.message
                time.sleep(busy_s)
        return time.monotonic() - started_s, converter.statistics.waited_s


if __name__ == "__main__":
    main()
