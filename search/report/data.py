"""What a report is made of: plain JSON data of a run, checked before anything is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mosegnet.common.errors import UserError

Record = dict[str, Any]

_COSTS = ("latency_ms", "flops", "params")
_MEASURED = ("ci95_ms", "measured_ms", "measured_ci95_ms")
_TAUS = ("tau_halves", "tau_odd_even", "tau_flops", "tau_halves_without_strongest")
_LANDSCAPE = (*_TAUS, "strongest_digit", "strongest_digit_share")
_SCORES = ("kendall_tau", "pearson_r", "mape_percent", "bias_percent", "within_5_percent", "within_10_percent")
_MEND = "restore the run's files, or resume the run and report again"


@dataclass(frozen=True, slots=True)
class Title:
    """How a cost is called and in what it is counted; `scale` is what one of the unit is in the records' own."""

    text: str
    unit: str
    scale: float


@dataclass(frozen=True, slots=True)
class Axis:
    """A cost that the search kept small."""

    name: str  # as in the run's objectives
    title: Title
    column: str | None  # the field of a network that holds it; None: under its name in the field `costs`

    def of(self, record: Record) -> float:
        """The cost of a network, in the axis's unit."""
        value = record[self.column] if self.column is not None else record["costs"][self.name]
        return float(value) / self.title.scale

    @property
    def label(self) -> str:
        """For an axis or the head of a column: what and where, without the unit."""
        _, _, device = self.name.partition(":")
        return f"{self.title.text} on {device}" if device else self.title.text


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that a report shows; mIoU in 0..1, `flops` as multiply-adds, `ci95_ms` the half-width of an interval.

    Attributes:
        name: of the run.
        simulated: whether the latencies come from an emulator.
        device: the device's name, as in the table.
        dataset, classes: the data set's name and its classes' names.
        scales: input sizes [height, width] that digit 0 of an encoding picks from.
        archive: every evaluated network: id, generation, encoding, miou (None where it failed), latency_ms, ci95_ms,
            flops, params, and error where there was one.
        generations: generation, evaluated (networks evaluated so far, this generation's included), hypervolume (mIoU
            × ms), surrogate_tau (None without a surrogate), seconds.
        pareto: the front: id, encoding, input_hw, miou, latency_ms, ci95_ms, measured_ms and measured_ci95_ms (None
            where not measured again), flops, params, chosen (reasons; empty for most), model (a file or None) and
            breakdown, a list of [unit, ms].
        landscape: `search.landscape.survey`'s report, or None.
        validation: the table's own, or None.
        provenance: section -> key -> value, in the order to print.
        axes: the costs that were objectives, in order; empty for latency alone.
        require: the requirements, as a person wrote them.

    Raises:
        UserError: a field is missing or has the wrong kind of value; names the record and the field.
    """

    name: str
    simulated: bool
    device: str
    dataset: str
    classes: Sequence[str]
    scales: Sequence[Sequence[int]]
    archive: Sequence[Record]
    generations: Sequence[Record]
    pareto: Sequence[Record]
    landscape: Record | None
    validation: Record | None
    provenance: dict[str, dict[str, str]]
    axes: Sequence[Axis] = ()
    require: Sequence[str] = ()

    def __post_init__(self) -> None:
        for k, scale in enumerate(self.scales):
            if len(scale) != 2 or not all(isinstance(side, int) and side > 0 for side in scale):
                _refuse(f"input scale {k} must be [height, width], not {scale!r}")
        for record in self.archive:
            _check_network(record, "archive network", len(self.scales), optional=("miou", "ci95_ms"))
        for record in self.pareto:
            _check_network(record, "front network", len(self.scales), ("miou",), _MEASURED)
            _present(record, f"front network {record['id']!r}", ("input_hw", "chosen", "model", "breakdown"))
        for axis in self.axes:
            for record in [*self.archive, *self.pareto]:
                _check_cost(record, axis)
        _check_generations(self.generations)
        if self.landscape is not None:
            _check_landscape(self.landscape)
        if self.validation is not None:
            _check_validation(self.validation)

    @property
    def usual(self) -> bool:
        """Whether the objectives are accuracy and one latency, so that the front is a line in their plane."""
        return not self.axes or [axis.column for axis in self.axes] == ["latency_ms"]

    @property
    def front(self) -> list[Record]:
        """The Pareto networks by rising latency."""
        return sorted(self.pareto, key=lambda record: (record["latency_ms"], record["miou"]))

    @property
    def chosen(self) -> dict[Any, str]:
        """Id of every chosen network -> its letter in the figures, A the fastest."""
        ids = [record["id"] for record in self.front if record["chosen"]]
        return {network: _letters(k) for k, network in enumerate(ids)}

    @property
    def scored(self) -> list[Record]:
        """The archive's networks that have an mIoU."""
        return [record for record in self.archive if record["miou"] is not None]

    @property
    def remeasured(self) -> list[Record]:
        """The front's networks that were measured again as wholes, by rising predicted latency."""
        return [record for record in self.front if record["measured_ms"] is not None]


def indistinct(front: Sequence[Record]) -> set[int]:
    """Rows of a front by rising latency whose predicted interval overlaps with the next row's."""
    edges = [(r["latency_ms"] - (r["ci95_ms"] or 0.0), r["latency_ms"] + (r["ci95_ms"] or 0.0)) for r in front]
    return {k for k in range(len(edges) - 1) if edges[k][1] >= edges[k + 1][0]}


def _letters(k: int) -> str:
    """A … Z, AA, AB, …"""
    text = ""
    while k >= 0:
        k, rest = divmod(k, 26)
        text, k = chr(ord("A") + rest) + text, k - 1
    return text


def _check_network(
    record: Record, what: str, scales: int, required: Sequence[str] = (), optional: Sequence[str] = ()
) -> None:
    where = f"{what} {record.get('id')!r}"
    _present(record, where, ("id", "encoding"))
    _numbers(record, where, (*_COSTS, *required), optional)
    for name in ("latency_ms", "measured_ms"):
        if record.get(name) is not None and record[name] <= 0:
            _refuse(f"{where}: {name} is {record[name]}, which no network takes")
    encoding = record["encoding"]
    if not encoding or not all(isinstance(digit, int) for digit in encoding) or not 0 <= encoding[0] < scales:
        _refuse(f"{where} has an encoding that fits none of the {scales} input scales")


def _check_cost(record: Record, axis: Axis) -> None:
    if axis.column is None:
        _numbers(record.get("costs") or {}, f"network {record.get('id')!r}", (axis.name,))


def _check_generations(records: Sequence[Record]) -> None:
    for record in records:
        where = f"generation {record.get('generation')!r}"
        _numbers(record, where, ("generation", "evaluated", "hypervolume", "seconds"), ("surrogate_tau",))
    evaluated = [record["evaluated"] for record in records]
    if evaluated != sorted(evaluated):
        _refuse("the generations' `evaluated` must count all networks so far, so it cannot fall")


def _check_landscape(record: Record) -> None:
    within = record.get("within_scale")
    for name, one in {"the landscape": record, "the landscape within a scale": within}.items():
        if one is not None:
            _numbers(one, name, ("networks", "miou_min", "miou_median", "miou_max"), _LANDSCAPE)
    if within is not None:
        _present(within, "the landscape within a scale", ("scale",))


def _check_validation(record: Record) -> None:
    _numbers(record, "the table's validation", ("networks", "label_noise_percent", "tau_ceiling", *_SCORES))
    for rival in ("flops", "flops_params"):
        if record.get(rival) is not None:
            _numbers(record[rival], f"the table's validation of {rival}", _SCORES)


def _present(record: Record, where: str, names: Sequence[str]) -> None:
    for name in names:
        if name not in record:
            _refuse(f"{where} has no {name}")


def _numbers(record: Record, where: str, required: Sequence[str] = (), optional: Sequence[str] = ()) -> None:
    for name in (*required, *optional):
        _present(record, where, (name,))
        value = record[name]
        if value is None and name in optional:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            _refuse(f"{where}: {name} is {value!r}, not a number")


def _refuse(what: str) -> None:
    raise UserError(f"cannot report on this run: {what}; {_MEND}")
