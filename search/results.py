"""What a run found: the front with its costs and intervals, exported, measured again, and told in a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mosegnet.common.console import progress_bar
from mosegnet.common.files import write_json
from mosegnet.cost import costs
from profiler.lut import Lut
from search.archive import Archive, Evaluated
from search.datasets.base import Dataset
from search.evaluate import Evaluator
from search.evolution.pareto import non_dominated
from search.evolution.tradeoff import choose
from search.export import export_onnx
from search.remeasure import measure

PARETO_SCHEMA, PARETO_VERSION = "mosegnet-pareto", 1
CHOSEN = 3  # networks pointed out at least: the ends of the front and its best trade-off

Row = dict[str, Any]


def network_rows(networks: Sequence[Evaluated], lut: Lut) -> list[Row]:
    """Evaluated networks with what the table and the cost model say of them, as JSON data."""
    if not networks:
        return []
    X = np.array([network.encoding for network in networks])
    cost, (latency_ms, ci95_ms) = costs(lut.space, X), lut.predict_interval(X)
    return [
        {
            "id": f"n{network.id:04d}",
            "generation": network.generation,
            "encoding": list(network.encoding),
            "miou": network.miou,
            "latency_ms": round(float(latency_ms[k]), 6),
            "ci95_ms": round(float(ci95_ms[k]), 6),
            "flops": int(cost.flops[k]),
            "params": int(cost.params[k]),
            **({"error": network.failure} if network.failure else {}),
        }
        for k, network in enumerate(networks)
    ]


def write_pareto(folder: Path, archive: Archive, lut: Lut, evaluator: Evaluator, dataset: Dataset) -> list[Row]:
    """Export the front of everything evaluated as ONNX and write `pareto.json`; nothing is measured yet.

    The same archive gives the same file, byte for byte.
    """
    scored = [network for network in archive.networks if network.miou is not None]
    miou = [float(network.miou or 0.0) for network in scored]
    # not as archived: the table may have been corrected since
    latency_ms = lut.predict([network.encoding for network in scored]) if scored else np.zeros(0)
    front = [scored[row] for row in non_dominated(miou, latency_ms)]
    rows = network_rows(front, lut)
    _say_why(rows)
    with progress_bar("exporting the front", len(rows)) as bar:
        for row in rows:
            row["model"] = _export(folder, row, evaluator, dataset)
            row["input_hw"] = list(lut.space.scales[row["encoding"][0]])
            row["breakdown"] = [[name, round(ms, 6)] for name, ms in lut.breakdown(row["encoding"])]
            row |= {"measured_ms": None, "measured_ci95_ms": None}
            bar.advance(1, row["id"])
    _write(folder, lut, rows)
    return rows


def measure_front(folder: Path, rows: list[Row], lut: Lut, device: str) -> None:
    """Time the exported front on the device, interleaved, and write the figures into `pareto.json`."""
    found = measure([folder / row["model"] for row in rows], device, lut.device.threads)
    for row, measured in zip(rows, found, strict=True):
        row |= {"measured_ms": round(measured.latency_ms, 6), "measured_ci95_ms": round(measured.ci95_ms, 6)}
    _write(folder, lut, rows)


def _write(folder: Path, lut: Lut, rows: list[Row]) -> None:
    write_json(
        folder / "pareto.json",
        {
            "schema": PARETO_SCHEMA,
            "schema_version": PARETO_VERSION,
            "device": lut.device.name,
            "simulated": lut.device.simulated,
            "lut_sha256": lut.sha256,
            "networks": rows,
        },
    )


def _say_why(rows: list[Row]) -> None:
    """Reasons beside the networks to look at first; a front comes by rising latency and so by rising accuracy."""
    chosen = choose([row["miou"] for row in rows], [row["latency_ms"] for row in rows], at_least=min(CHOSEN, len(rows)))
    for k, row in enumerate(rows):
        reasons = ["trade-off"] if k in chosen and 0 < k < len(rows) - 1 else []
        reasons += ["fastest"] if k == 0 else []
        reasons += ["most accurate"] if k == len(rows) - 1 else []
        row["chosen"] = reasons


def _export(folder: Path, row: Row, evaluator: Evaluator, dataset: Dataset) -> str:
    name = f"models/{row['id']}.onnx"
    network = evaluator.prepare(row["encoding"])
    images = dataset.to_input(dataset.split("search").images[:2], network.architecture.input_hw)
    export_onnx(network, folder / name, images)
    return name
