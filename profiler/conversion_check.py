"""Does a converted unit still compute what its ONNX graph says: a wrong conversion must not be timed as a right one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from device_agents.faults import Fault
from mosegnet.common.errors import DeviceError
from mosegnet.digits import FloatArray
from mosegnet.onnx_graph import unit_model
from mosegnet.space import Space
from mosegnet.unit import Unit
from profiler.convert import Converter, Failure
from profiler.link import Link
from profiler.plan import Job

TOLERANCE = 0.02  # of the largest output: half precision, summed over thousands of products


def check_conversions(space: Space, link: Link, converter: Converter) -> list[str]:
    """Compare one small unit of each kind with ONNX Runtime on the same input; the keys of those compared.

    A unit that cannot be converted or run says so when it is measured.

    Raises:
        DeviceError: the device's outputs are not those of the graph.
    """
    units = _one_of_each_kind(space)
    jobs = [Job(unit.key, "unit", lambda unit=unit: unit_model(unit)) for unit in units]  # type: ignore[misc]
    compared = []
    with converter.models(jobs) as models:
        for unit, (job, model) in zip(units, models, strict=True):
            if isinstance(model, Failure):
                continue
            inputs = _inputs(unit)
            found = link.infer(model, {name: array.ravel().tolist() for name, array in inputs.items()}, job.key)
            if isinstance(found, Fault):
                continue
            _compare(job.key, list(found.values()), _expected(unit, inputs))
            compared.append(job.key)
    return compared


def _one_of_each_kind(space: Space) -> list[Unit]:
    kinds: dict[str, Unit] = {}
    for unit in space.units:  # the smallest input scale comes first
        kinds.setdefault(unit.kind, unit)
    return list(kinds.values())


def _inputs(unit: Unit) -> dict[str, FloatArray]:
    rng = np.random.default_rng(0)
    return {f"x{k}": rng.uniform(0.5, 1.5, (1, *shape)).astype(np.float32) for k, shape in enumerate(unit.input_shapes)}


def _expected(unit: Unit, inputs: dict[str, FloatArray]) -> FloatArray:
    import onnxruntime  # a second to load, and only for devices that convert

    session = onnxruntime.InferenceSession(unit_model(unit), providers=["CPUExecutionProvider"])
    output: FloatArray = session.run(None, inputs)[0]
    return output.ravel()


def _compare(key: str, outputs: Sequence[Sequence[float]], expected: FloatArray) -> None:
    found = np.array(outputs[0] if outputs else [])
    if found.shape != expected.shape:
        raise DeviceError(f"{key}: the device returns {found.size} values, the graph {expected.size}")
    off = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not off <= TOLERANCE:
        raise DeviceError(
            f"{key}: the converted unit's outputs are off by {100 * off:.1f} % of the largest: its conversion is "
            "wrong, and nothing was measured; try another version of CANN or other options"
        )
