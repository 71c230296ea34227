"""The tables of the page as rows of text; the template only lays them out."""

from __future__ import annotations

from typing import Any

from search.report.data import ReportData, indistinct
from search.report.figures import difference_percent
from search.report.pairs import extra_cells
from search.report.text import (
    ABSENT,
    counted,
    digit_name,
    encoding,
    fixed,
    percent,
    significant,
    size,
    tau,
    with_interval,
)

Row = dict[str, Any]


def key_numbers(data: ReportData) -> list[tuple[str, str]]:
    """(number, what it is) for the top of the page."""
    failed = len(data.archive) - len(data.scored)
    evaluated = f"networks evaluated{f', {failed} of them failed' if failed else ''}"
    numbers = [(f"{len(data.archive):,}", evaluated), (f"{len(data.pareto):,}", "on the front")]
    if data.pareto:
        mious = [record["miou"] for record in data.pareto]
        latencies = [record["latency_ms"] for record in data.pareto]
        numbers.append((f"{_range(percent(min(mious)), percent(max(mious)))} %", "mIoU along the front"))
        span = _range(significant(min(latencies)), significant(max(latencies)))
        numbers.append((f"{span} ms", f"predicted latency{' (simulated)' if data.simulated else ''}"))
    return numbers


def front_rows(data: ReportData) -> list[Row]:
    """The Pareto networks, one row each, by rising latency."""
    letters, tied = data.chosen, indistinct(data.front)
    return [
        {
            "letter": letters.get(r["id"], ""),
            "id": r["id"],
            "input": size(r["input_hw"]),
            "miou": percent(r["miou"], 2),
            "predicted": with_interval(r["latency_ms"], r["ci95_ms"]),
            "tied": k in tied,
            "measured": with_interval(r["measured_ms"], r["measured_ci95_ms"]),
            "difference": ABSENT if r["measured_ms"] is None else fixed(difference_percent(r), 1, sign=True),
            "flops": significant(r["flops"] / 1e9),
            "params": significant(r["params"] / 1e6),
            "more": extra_cells(data, r),
            "chosen": ", ".join(r["chosen"]) or ABSENT,
            "model": r["model"] or ABSENT,
            "encoding": encoding(r["encoding"]),
            "encoding_json": "[" + ",".join(map(str, r["encoding"])) + "]",
        }
        for k, r in enumerate(data.front)
    ]


def failures(data: ReportData) -> list[Row]:
    """The networks that could not be scored, and why."""
    failed = [record for record in data.archive if record["miou"] is None]
    return [{"id": r["id"], "generation": r["generation"], "error": r.get("error") or "no reason kept"} for r in failed]


def generation_rows(data: ReportData) -> list[list[str]]:
    """Generation, evaluated, hypervolume, tau, seconds."""
    return [
        [
            str(r["generation"]),
            f"{r['evaluated']:,}",
            significant(r["hypervolume"], 5),
            tau(r["surrogate_tau"]),
            fixed(r["seconds"], 1),
        ]
        for r in data.generations
    ]


def landscape_rows(record: Row) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: each figure across the scales and within one, side by side."""
    within = record.get("within_scale")
    heads = ["", "across scales"]
    if within is not None:
        heads.append(f"within {size(within['scale'])}")
    columns = [record] if within is None else [record, within]
    rows = [[name, *(show(column) for column in columns)] for name, show in _LANDSCAPE.items()]
    return heads, rows


def validation_rows(record: Row) -> list[list[str]]:
    """One row for each predictor: the table, FLOPs, FLOPs + params."""
    predictors = {"this table": record, "FLOPs": record.get("flops"), "FLOPs + params": record.get("flops_params")}
    unknown = ["not recorded", *[""] * (len(_SCORES) - 1)]
    return [
        [name, *([show(scores) for show in _SCORES.values()] if scores else unknown)]
        for name, scores in predictors.items()
    ]


def validation_heads() -> list[str]:
    """The heads of `validation_rows`."""
    return ["predictor", *_SCORES]


def validation_notes(record: Row) -> list[str]:
    """What no column holds: the noise of the labels, and what it leaves to a perfect predictor."""
    noise, ceiling = fixed(record["label_noise_percent"], 2), tau3(record["tau_ceiling"])
    notes = [
        f"The measurements themselves carry {noise} % of noise; under it a perfect predictor would score tau {ceiling}."
    ]
    if record.get("coverage_percent") is not None:
        inside = fixed(record["coverage_percent"], 0)
        notes.append(f"{inside} % of the networks lie inside the table’s 95 % prediction intervals.")
    return notes


def tau3(value: float | None) -> str:
    """A latency table's tau, which is near 1 and needs the third decimal."""
    return fixed(value, 3)


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} – {high}"


def _digit(record: Row) -> str:
    if record.get("strongest_digit") is None:
        return ABSENT
    return f"{digit_name(record['strongest_digit'])}, {percent(record['strongest_digit_share'], 0)} %"


_LANDSCAPE = {
    "random networks": lambda r: counted(r["networks"], "network"),
    "mIoU, least · median · most (%)": lambda r: " · ".join(
        percent(r[name]) for name in ("miou_min", "miou_median", "miou_max")
    ),
    "spread (points of mIoU)": lambda r: percent(r["miou_max"] - r["miou_min"]),
    "tau, first half of the images against second": lambda r: tau(r["tau_halves"]),
    "tau, odd images against even": lambda r: tau(r["tau_odd_even"]),
    "tau of FLOPs with mIoU": lambda r: tau(r["tau_flops"]),
    "strongest digit, share of the variance": _digit,
    "tau of the halves without that digit": lambda r: tau(r["tau_halves_without_strongest"]),
}

_SCORES = {
    "Kendall’s tau": lambda s: tau3(s["kendall_tau"]),
    "tau within a scale": lambda s: tau3(s.get("kendall_tau_within_scale")),
    "Pearson’s r": lambda s: fixed(s["pearson_r"], 4),
    "MAPE (%)": lambda s: fixed(s["mape_percent"], 2),
    "bias (%)": lambda s: fixed(s["bias_percent"], 2, sign=True),
    "within ±5 % (%)": lambda s: fixed(s["within_5_percent"], 0),
    "within ±10 % (%)": lambda s: fixed(s["within_10_percent"], 0),
}
