"""What a run found: the front with its costs and intervals, exported, measured again, and told in a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mosegnet.common.console import progress_bar, warn
from mosegnet.common.files import write_json
from mosegnet.cost import costs
from search.archive import Archive, Evaluated
from search.datasets.base import Dataset
from search.evaluate import Evaluator
from search.evolution.pareto import non_dominated_by
from search.evolution.tradeoff import choose
from search.export import export_onnx
from search.goals import Quantity
from search.preferences import indistinct
from search.remeasure import measure
from search.wanted import Wanted

PARETO_SCHEMA, PARETO_VERSION = "mosegnet-pareto", 1
CHOSEN = 1  # networks pointed out at least beside the ends of the front: its best trade-off

Row = dict[str, Any]


def network_rows(networks: Sequence[Evaluated], own: Wanted) -> list[Row]:
    """Evaluated networks with what the tables and the cost model say of them, as JSON data.

    `latency_ms` is by the first table. What is an objective and has no column of its own, such as another table's
    latency, stands in `costs` under its name; without such, there is no `costs`.
    """
    if not networks:
        return []
    X = np.array([network.encoding for network in networks])
    cost, (latency_ms, ci95_ms) = costs(own.lut.space, X), own.lut.predict_interval(X)
    more = {quantity.name: quantity(X) for quantity in more_costs(own)}
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
            **({"costs": {name: round(float(values[k]), 6) for name, values in more.items()}} if more else {}),
            **({"error": network.failure} if network.failure else {}),
        }
        for k, network in enumerate(networks)
    ]


def more_costs(own: Wanted) -> list[Quantity]:
    """The objectives that have no column of their own in every result."""
    columns = {own.catalogue.quantity(name).name for name in ("latency", "flops", "params")}
    return [cost for cost in own.goals.costs if cost.name not in columns]


def front_of(networks: Sequence[Evaluated], own: Wanted) -> list[Evaluated]:
    """The networks inside the constraints that no other beats, by rising first cost."""
    scored = [network for network in networks if network.miou is not None]
    if not scored:
        return []
    # not as archived: the table may have been corrected since
    X, miou = np.array([network.encoding for network in scored]), np.array([network.miou for network in scored])
    wanted = (miou >= own.goals.least_miou) & (own.goals.violation(X) <= 0)
    return [scored[row] for row in non_dominated_by(np.where(wanted, miou, np.nan), own.goals.costs_of(X))]


def write_pareto(folder: Path, archive: Archive, own: Wanted, evaluator: Evaluator, dataset: Dataset) -> list[Row]:
    """Export the front of everything evaluated as ONNX and write `pareto.json`; nothing is measured yet.

    The same archive gives the same file, byte for byte.
    """
    front = front_of(archive.networks, own)
    if not front and archive.networks:
        words = " and ".join(own.require) or "a score"
        warn(f"no network of the {len(archive)} evaluated has {words}: the front is empty")
    rows, lut = network_rows(front, own), own.lut
    _say_why(rows, own)
    _say_ties(rows)
    with progress_bar("exporting the front", len(rows)) as bar:
        for row in rows:
            row["model"] = _export(folder, row, evaluator, dataset)
            row["input_hw"] = list(lut.space.scales[row["encoding"][0]])
            row["breakdown"] = [[name, round(ms, 6)] for name, ms in lut.breakdown(row["encoding"])]
            row |= {"measured_ms": None, "measured_ci95_ms": None}
            bar.advance(1, row["id"])
    write_front(folder, rows, own)
    return rows


def measure_front(folder: Path, rows: list[Row], own: Wanted, device: str) -> None:
    """Time the exported front on the device, interleaved, and write the figures into `pareto.json`."""
    found = measure([folder / row["model"] for row in rows], device, own.lut.device.threads)
    for row, measured in zip(rows, found, strict=True):
        row |= {"measured_ms": round(measured.latency_ms, 6), "measured_ci95_ms": round(measured.ci95_ms, 6)}
    write_front(folder, rows, own)


def write_front(folder: Path, rows: list[Row], own: Wanted) -> None:
    """Write `pareto.json`."""
    lut = own.lut
    write_json(
        folder / "pareto.json",
        {
            "schema": PARETO_SCHEMA,
            "schema_version": PARETO_VERSION,
            "device": lut.device.name,
            "simulated": lut.device.simulated,
            "lut_sha256": lut.sha256,
            "objectives": ["miou", *own.goals.names],
            "require": list(own.require),
            "networks": rows,
        },
    )


def _say_why(rows: list[Row], own: Wanted) -> None:
    """Reasons beside the networks to look at first: the end of the front in every objective, and its trade-offs."""
    if not rows:
        return
    miou, F = np.array([row["miou"] for row in rows]), own.goals.costs_of(np.array([row["encoding"] for row in rows]))
    ends = {f"least {cost.name}": int(np.lexsort((-miou, F[:, k]))[0]) for k, cost in enumerate(own.goals.costs)}
    if own.usual:
        ends = {"fastest": ends["least latency"]}
    ends["most accurate"] = int(np.lexsort((F[:, 0], -miou))[0])
    inner = set(ends.values())
    chosen = choose(miou, F, at_least=min(len(inner) + CHOSEN, len(rows)))
    for k, row in enumerate(rows):
        reasons = ["trade-off"] if k in chosen and k not in inner else []
        row["chosen"] = reasons + [words for words, end in ends.items() if end == k]


def _say_ties(rows: list[Row]) -> None:
    """Beside each network, the ids of the others that the first table's device cannot tell from it in latency."""
    latency_ms, half_ms = (np.array([row[name] for row in rows]) for name in ("latency_ms", "ci95_ms"))
    for row, ties in zip(rows, indistinct(latency_ms, half_ms), strict=True):
        row["indistinct"] = [rows[k]["id"] for k in ties]


def _export(folder: Path, row: Row, evaluator: Evaluator, dataset: Dataset) -> str:
    name = f"models/{row['id']}.onnx"
    network = evaluator.prepare(row["encoding"])
    images = dataset.to_input(dataset.split("search").images[:2], network.architecture.input_hw)
    export_onnx(network, folder / name, images)
    return name
