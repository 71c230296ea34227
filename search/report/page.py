"""The page: figures and tables set into one HTML file that loads nothing."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs
from scipy.stats import kendalltau

from mosegnet.common.files import write_atomic
from search.report import figures, pairs, tables, verdicts
from search.report.data import ReportData
from search.report.text import counted, fixed, significant, size, tau


def write_report(data: ReportData, path: Path | str) -> None:
    """Write the report of a run to `path` as one HTML file, atomically; the same data give the same bytes.

    Raises:
        UserError: the file cannot be written.
    """
    write_atomic(path, render(data))


def render(data: ReportData) -> str:
    """The page as text: about 5 MB, most of it Plotly's script."""
    drawn = pairs.pairs(data)
    template = _environment().get_template("template.html")
    return template.render(
        data=data,
        scales=[size(scale) for scale in data.scales],
        classes=f"{len(data.classes)} classes",
        numbers=tables.key_numbers(data),
        front=tables.front_rows(data),
        failures=tables.failures(data),
        generations=tables.generation_rows(data),
        landscape=_landscape(data),
        validation=_validation(data),
        agreement=_agreement(data),
        units_note=_units_note(data),
        pairs=[(name, title) for name, (title, _) in drawn.items()],
        more_heads=pairs.extra_heads(data),
        figures={
            name: _plain(figure)
            for name, figure in {**_figures(data), **{name: own for name, (_, own) in drawn.items()}}.items()
        },
        plotly_js=get_plotlyjs(),
    )


@cache
def _environment() -> Environment:
    loader = PackageLoader("search.report", package_path="")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _figures(data: ReportData) -> dict[str, Any]:
    """The figures that the data allow, by the name that the template asks for."""
    drawn = {}
    if data.scored or data.pareto:
        drawn["front"] = figures.front(data)
    if data.generations:
        drawn["hypervolume"] = figures.hypervolume(data)
    if any(record["surrogate_tau"] is not None for record in data.generations):
        drawn["tau"] = figures.surrogate_tau(data)
    if data.remeasured:
        drawn["agreement"], drawn["differences"] = figures.agreement(data), figures.differences(data)
    if any(record["chosen"] and record["breakdown"] for record in data.pareto):
        drawn["units"] = figures.units(data)
    return drawn


def _plain(figure: Any) -> dict[str, Any]:
    """A figure as JSON data for Plotly's script."""
    described = figure.to_plotly_json()
    return {"data": described["data"], "layout": described["layout"]}


def _landscape(data: ReportData) -> dict[str, Any] | None:
    if data.landscape is None:
        return None
    heads, rows = tables.landscape_rows(data.landscape)
    return {"sentences": verdicts.landscape(data.landscape), "heads": heads, "rows": rows}


def _validation(data: ReportData) -> dict[str, Any] | None:
    if data.validation is None:
        return None
    return {
        "sentence": verdicts.validation(data.validation),
        "heads": tables.validation_heads(),
        "rows": tables.validation_rows(data.validation),
        "notes": tables.validation_notes(data.validation),
    }


def _agreement(data: ReportData) -> str | None:
    """The prediction's errors on the networks that were measured again, in one sentence."""
    records = data.remeasured
    if not records:
        return None
    errors = [figures.difference_percent(record) for record in records]
    rank = math.nan
    if len(records) > 1:
        rank = float(kendalltau([r["latency_ms"] for r in records], [r["measured_ms"] for r in records]).statistic)
    order = f"Kendall’s tau {tau(rank)}" if math.isfinite(rank) else "too few to rank (no Kendall’s tau)"
    mape, bias = sum(map(abs, errors)) / len(errors), sum(errors) / len(errors)
    return (
        f"{counted(len(records), 'network')} measured again as a whole: MAPE {fixed(mape, 2)} %, "
        f"bias {fixed(bias, 2, sign=True)} %, {order}."
    )


def _units_note(data: ReportData) -> str:
    """Whether the bars add up to the prediction: said, not assumed."""
    records = [record for record in data.pareto if record["chosen"] and record["breakdown"]]
    sums_ms = [sum(ms for _, ms in record["breakdown"]) for record in records]
    worst = max((abs(s / r["latency_ms"] - 1) for s, r in zip(sums_ms, records, strict=True)), default=0.0)
    if worst <= 0.005:
        below = any(ms < 0 for record in records for _, ms in record["breakdown"])
        back = " A constant below zero runs back over the end of its bar." if below else ""
        return f"The pieces of a bar add up to the predicted latency.{back}"
    return f"The pieces do not add up to the predicted latency: they miss it by up to {significant(100 * worst, 2)} %."
