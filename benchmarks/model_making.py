"""Models of units made directly beside torch's exporters, processor time of one model each, in one run.

python benchmarks/model_making.py
"""

from __future__ import annotations

import contextlib
import io
import json
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch

from mosegnet import space as spaces
from mosegnet.modules import unit_forward, unit_module
from mosegnet.onnx_graph import OPSET, stub_model, unit_model
from mosegnet.unit import Unit

UNITS = 1000
EXPORTED = {"torch.onnx.export, legacy": 30, "torch.onnx.export, dynamo": 8}  # slow: a sample of the same units


def main() -> None:
    """Time each maker over the same units, in turns, and print JSON."""
    space = spaces.load("paper")
    rng = np.random.default_rng(0)
    units = [space.units[row] for row in rng.integers(len(space.units), size=UNITS)]
    seconds = {
        "this, alone": _each_s(unit_model, units),
        "this, in stub context": _each_s(stub_model, units),
    }
    for name, count in EXPORTED.items():
        try:
            seconds[name] = _each_s(_exporter("dynamo" in name), units[:count])
        except Exception as error:  # the exporter's own dependencies may be absent
            print(f"{name}: {type(error).__name__}: {error}")
    own = seconds["this, alone"]
    result = {
        "units": UNITS,
        "ms_a_model": {name: round(1e3 * s, 3) for name, s in seconds.items()},
        "times_this": {name: round(s / own, 1) for name, s in seconds.items()},
    }
    print(json.dumps(result, indent=1))


def _each_s(make: Callable[[Unit], object], units: list[Unit]) -> float:
    make(units[0])
    started = time.process_time()
    for unit in units:
        make(unit)
    return (time.process_time() - started) / len(units)


def _exporter(dynamo: bool) -> Callable[[Unit], object]:
    torch.set_num_threads(1)

    class Alone(torch.nn.Module):
        """A unit's module, which otherwise is told what part of it to run."""

        def __init__(self, unit: Unit) -> None:
            super().__init__()
            self.module, self.unit = unit_module(unit), unit

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return unit_forward(self.module, self.unit, list(inputs))

    def export(unit: Unit) -> bytes:
        module = Alone(unit).eval()
        inputs = tuple(torch.zeros(1, *shape) for shape in unit.input_shapes)
        buffer = io.BytesIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            opset = 18 if dynamo else OPSET
            torch.onnx.export(module, inputs, buffer, opset_version=opset, dynamo=dynamo)
        return buffer.getvalue()

    return export


if __name__ == "__main__":
    main()
