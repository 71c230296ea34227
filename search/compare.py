"""Runs against each other: hypervolume over evaluations, with one reference point, a configuration's seeds in one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mosegnet.common.errors import UserError
from mosegnet.digits import FloatArray, IntArray
from profiler import lut as tables
from profiler.lut import Lut
from search.archive import Archive
from search.evolution.hypervolume import ReferencePoint, hypervolume
from search.status import configuration

_SHARES = (0.25, 0.5, 1.0)  # of the evaluations that all runs have, where the table looks
_TARGET = 0.99  # of the best final hypervolume
_RESAMPLES = 1000
_MARGIN = 1.1  # the reference point's latency over the greatest of any network
_NO_SETTING = ("seed", "classes", "training", "supernet_sha256")  # not what tells configurations apart


@dataclass(frozen=True, slots=True)
class Course:
    """The hypervolume of one run after each of its evaluations."""

    run: str
    seed: int
    hypervolume: FloatArray  # (n,)


@dataclass(frozen=True, slots=True)
class Point:
    """The hypervolume of one configuration after so many evaluations, over its seeds."""

    evaluations: int
    median: float
    low: float | None  # 95 % interval of the median, by resampling the seeds; None for a single one
    high: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """The runs of one configuration, which differ by their seeds."""

    label: str
    courses: tuple[Course, ...]

    @property
    def evaluations(self) -> int:
        """So many networks were evaluated in each of its runs."""
        return min(len(course.hypervolume) for course in self.courses)

    def points(self, evaluations: Sequence[int]) -> list[Point]:
        """Medians and intervals after so many evaluations, each at most `self.evaluations`."""
        values = np.array([course.hypervolume[np.array(evaluations) - 1] for course in self.courses])  # (seeds, n)
        medians = np.median(values, axis=0)
        if len(values) < 2:
            return [Point(n, float(m), None, None) for n, m in zip(evaluations, medians, strict=True)]
        drawn = np.random.default_rng(0).integers(len(values), size=(_RESAMPLES, len(values)))
        low, high = np.percentile(np.median(values[drawn], axis=1), (2.5, 97.5), axis=0)
        rows = zip(evaluations, medians, low, high, strict=True)
        return [Point(n, float(m), float(a), float(b)) for n, m, a, b in rows]

    def evaluations_to(self, target: float) -> float | None:
        """How many a run needs to that hypervolume, in the middle; None where half of them never get there."""
        needed = [
            int(np.argmax(course.hypervolume >= target)) + 1 if course.hypervolume[-1] >= target else np.inf
            for course in self.courses
        ]
        middle = float(np.median(needed))
        return middle if np.isfinite(middle) else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Configurations by falling hypervolume at the end."""

    groups: tuple[Group, ...]
    reference: ReferencePoint
    notes: tuple[str, ...]

    @property
    def common(self) -> int:
        """So many evaluations every run has."""
        return min(group.evaluations for group in self.groups)

    @property
    def checkpoints(self) -> list[int]:
        """After how many evaluations the table looks."""
        return sorted({max(1, round(share * self.common)) for share in _SHARES})

    @property
    def target(self) -> float:
        """99 % of the best median after the evaluations that all have."""
        return _TARGET * max(group.points([self.common])[0].median for group in self.groups)

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        return {
            "reference": asdict(self.reference),
            "target_hypervolume": self.target,
            "notes": list(self.notes),
            "groups": [
                {
                    "configuration": group.label,
                    "runs": [course.run for course in group.courses],
                    "seeds": [course.seed for course in group.courses],
                    "evaluations": group.evaluations,
                    "evaluations_to_target": group.evaluations_to(self.target),
                    "hypervolume": [asdict(point) for point in group.points(self.checkpoints)],
                    "course": [asdict(point) for point in group.points(range(1, group.evaluations + 1))],
                }
                for group in self.groups
            ],
        }


def compare(folders: Sequence[Path]) -> Comparison:
    """Compare runs, whether they have ended or not; every latency is that of the first run's table.

    Raises:
        UserError: a folder that holds no run or nothing evaluated, the same one twice, or runs of different spaces,
            data or supernets, whose accuracies or networks mean different things.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError("a run is named twice: its seed would count twice")
    configs = [configuration(folder) for folder in folders]
    lut = tables.load(folders[0] / "lut.json")
    _check_alike(folders, configs, lut.space.fingerprint)
    found = []
    for folder in folders:
        archive = Archive(folder / "archive.jsonl", lut.space, read_only=True)
        if not len(archive):
            raise UserError(f"the run in {folder} has evaluated nothing yet: leave it out")
        X, miou = archive.arrays()
        found.append((miou, _latency_ms(lut, X)))
    greatest_ms = max(float(latency_ms[np.isfinite(latency_ms)].max(initial=0.0)) for _, latency_ms in found)
    reference = ReferencePoint(miou=0.0, latency_ms=_MARGIN * greatest_ms)
    courses = [
        Course(str(folder), config["seed"], _course(miou, latency_ms, reference))
        for folder, config, (miou, latency_ms) in zip(folders, configs, found, strict=True)
    ]
    notes = []
    if len({config["lut_sha256"] for config in configs}) > 1:
        notes.append(f"the runs went by different tables: every latency here is by that of {folders[0]}")
    groups = sorted(_grouped(courses, configs), key=lambda group: -group.points([group.evaluations])[0].median)
    return Comparison(tuple(groups), reference, tuple(notes))


def _check_alike(folders: Sequence[Path], configs: Sequence[dict[str, Any]], fingerprint: str) -> None:
    first = configs[0]
    for folder, config in zip(folders, configs, strict=True):
        different = [
            what
            for what, same in (
                ("another space", tables.load(folder / "lut.json").space.fingerprint == fingerprint),
                (f"the data {config['data']!r}, not {first['data']!r},", config["data"] == first["data"]),
                ("another supernet", config["supernet_sha256"] == first["supernet_sha256"]),
            )
            if not same
        ]
        if different:
            raise UserError(
                f"the run in {folder} has {different[0]} than that in {folders[0]}: their hypervolumes mean different "
                "things, compare runs of one space, data set and supernet"
            )


def _latency_ms(lut: Lut, X: IntArray) -> FloatArray:
    """By the table; infinite for networks that its device cannot run."""
    runs, latency_ms = lut.runs(X), np.full(len(X), np.inf)
    latency_ms[runs] = lut.predict(X[runs])
    return latency_ms


def _course(miou: FloatArray, latency_ms: FloatArray, reference: ReferencePoint) -> FloatArray:
    """Hypervolume of the first 1, 2, … networks; only those that add to it are worth a calculation."""
    volumes = np.zeros(len(miou))
    for k in range(len(miou)):
        better = (miou[:k] >= miou[k]) & (latency_ms[:k] <= latency_ms[k])
        if np.isnan(miou[k]) or better.any():
            volumes[k] = volumes[k - 1] if k else 0.0
        else:
            volumes[k] = hypervolume(miou[: k + 1], latency_ms[: k + 1], reference)
    return volumes


def _grouped(courses: Sequence[Course], configs: Sequence[dict[str, Any]]) -> list[Group]:
    """Runs with the same settings together, in the order in which they are named."""
    settings = [{key: value for key, value in config.items() if key not in _NO_SETTING} for config in configs]
    keys = sorted({key for setting in settings for key in setting})
    telling = [key for key in keys if len({json.dumps(setting.get(key)) for setting in settings}) > 1]
    groups: dict[str, list[Course]] = {}
    for course, setting in zip(courses, settings, strict=True):
        label = ", ".join(f"{key} {_short(setting.get(key))}" for key in telling) or "all"
        groups.setdefault(label, []).append(course)
    return [Group(label, tuple(members)) for label, members in groups.items()]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:12] if len(text) == 64 else text  # a fingerprint
