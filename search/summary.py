"""A run's folder read back: what its report and its table on the terminal are made of."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from mosegnet.common.errors import UserError
from mosegnet.common.files import read_json
from mosegnet.common.journal import read_journal
from profiler import lut as tables
from profiler.lut import Lut
from search.archive import Archive
from search.report import Axis, ReportData, Title
from search.results import network_rows
from search.wanted import Wanted, config_of, wanted

_COLUMNS = {"latency": "latency_ms", "flops": "flops", "params": "params"}  # that every network has
_TITLES = {
    "latency": Title("latency", "ms", 1.0),
    "energy": Title("energy", "mJ", 1.0),
    "flops": Title("multiply-adds", "G", 1e9),
    "params": Title("parameters", "M", 1e6),
    "memory": Title("activations written", "MB", 1e6),
}
_SAID = (
    "objectives",
    "require",
    "seed",
    "initial",
    "generations",
    "budget",
    "infill",
    "surrogate",
    "criterion",
    "inner",
)
_PACKAGES = ("mosegnas-hil", "torch", "onnxruntime", "pymoo", "numpy")


def report_data(folder: Path) -> ReportData:
    """Everything that the report of a finished run shows.

    Raises:
        UserError: the folder holds no run, or one whose search has not ended.
    """
    pareto = front_rows(folder)
    config, own = config_of(folder), wanted(folder)
    lut = own.lut
    archive = Archive(folder / "archive.jsonl", lut.space)
    landscape = folder / "landscape.json"
    validation = tables.load(folder / "lut.json").table.validation  # of the table that the run began with
    return ReportData(
        name=folder.name,
        simulated=lut.device.simulated,
        device=lut.device.name,
        dataset=config["data"],
        classes=list(config["classes"]),
        scales=[list(scale) for scale in lut.space.scales],
        archive=network_rows(archive.networks, own),
        generations=read_journal(folder / "generations.jsonl"),
        pareto=pareto,
        landscape=read_json(landscape, "landscape") if landscape.exists() else None,
        validation=validation.model_dump(exclude={"measured"}) if validation else None,
        provenance=_provenance(lut, config),
        axes=_axes(own),
        require=own.require,
    )


def _axes(own: Wanted) -> list[Axis]:
    """The costs of a run in the order of its objectives."""
    columns = {own.catalogue.quantity(name).name: field for name, field in _COLUMNS.items()}
    return [Axis(cost.name, _TITLES[cost.name.partition(":")[0]], columns.get(cost.name)) for cost in own.goals.costs]


def front_table(folder: Path) -> Table:
    """The Pareto networks as a table for the terminal."""
    rows, own = front_rows(folder), wanted(folder)
    more = [axis for axis in _axes(own) if axis.column is None]
    table = Table(
        title=f"{folder}: {len(rows)} Pareto-optimal networks",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    names = [f"{axis.name} {axis.title.unit}".strip() for axis in more]
    for column in ("id", "input", "mIoU", "predicted ms", "measured ms", "GMAC", "params", *names, "why"):
        table.add_column(column, justify="left" if column in ("id", "why") else "right", no_wrap=column != "why")
    tied = {k for k in range(len(rows) - 1) if rows[k + 1]["id"] in rows[k].get("indistinct", ())}
    for k, row in enumerate(rows):
        measured = row["measured_ms"]
        table.add_row(
            row["id"],
            "x".join(map(str, row["input_hw"])),
            f"{row['miou']:.3f}",
            f"{row['latency_ms']:.2f} ±{row['ci95_ms']:.2f} {'≈' if k in tied else ' '}",
            "–" if measured is None else f"{measured:.2f} ±{row['measured_ci95_ms']:.2f}",
            f"{row['flops'] / 1e9:.3f}",
            f"{row['params'] / 1e6:.2f}M",
            *(f"{row['costs'][axis.name] / axis.title.scale:.3g}" for axis in more),
            ", ".join(row["chosen"]),
        )
    table.caption = "± is half of a 95 % interval; GMAC: thousand million multiply-adds"
    if tied:
        table.caption += "; ≈: the table cannot tell its latency from the next"
    if own.require:
        table.caption += f"; required: {', '.join(own.require)}"
    return table


def front_rows(folder: Path) -> list[dict[str, Any]]:
    """The networks of a finished run's `pareto.json`.

    Raises:
        UserError: the folder holds no run, or one whose search has not ended.
    """
    config_of(folder)
    if not (folder / "pareto.json").exists():
        raise UserError(f"the run in {folder} has not ended: `search run --out {folder} --resume …` goes on with it")
    networks: list[dict[str, Any]] = read_json(folder / "pareto.json", "front")["networks"]
    return networks


def _provenance(lut: Lut, config: dict[str, Any]) -> dict[str, dict[str, str]]:
    device, method = lut.device, lut.table.method
    return {
        "Device": {
            "name": device.name + (" (simulated)" if device.simulated else ""),
            "chip": device.chip,
            "system": device.system,
            "runtime": f"{device.runtime} {device.runtime_version}",
            "precision, batch": f"{device.precision}, {device.batch}",
            "threads, cores": f"{device.threads}, {device.cores}",
        },
        "Table": {
            "SHA-256": lut.sha256,
            "method": f"{method.name}: {method.statistic}",
            "clock": method.clock,
            "measured": ", ".join(f"{count} {role}" for role, count in method.plan.items()),
            "device time": f"{method.device_time_s:.0f} s",
            "from, to": f"{method.started}, {method.finished}",
        },
        "Supernet and data": {
            "SHA-256 of the weights": config["supernet_sha256"],
            "data": config["data"],
            **{key: _words(value) for key, value in config.get("training", {}).items()},
        },
        "Search": {key: _words(config[key]) for key in _SAID if config.get(key)},
        "Host of the search": {
            "system": platform.platform(),
            "Python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
    }


def _words(value: Any) -> str:
    """A list is told item by item, a record by its name."""
    if isinstance(value, dict):
        return str(value.get("name", value))
    return ", ".join(map(_words, value)) if isinstance(value, list) else str(value)
