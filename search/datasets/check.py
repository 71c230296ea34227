"""What is in a data set, and what is wrong with it: `search data check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from mosegnet.common.console import progress_bar
from search.datasets.base import SPLITS, Dataset, Split, spread
from search.datasets.files import SampleError
from search.datasets.lazy import FileSplit
from search.datasets.sampling import in_threads
from search.metrics import VOID

_MOST_NAMED = 10  # files of one kind of fault in the text; the JSON has all


@dataclass(frozen=True, slots=True)
class Look:
    """One image: what its pixels add up to, or what is wrong with it.

    sums and squares are over the values in 0..1, per channel, of `pixels` pixels; `classes` has the pixels of every
    class and, last, of void.
    """

    id: str
    size_hw: tuple[int, int] = (0, 0)
    pixels: int = 0
    sums: torch.Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))
    squares: torch.Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))
    classes: torch.Tensor | None = None
    fault: SampleError | None = None


@dataclass(frozen=True, slots=True)
class SplitReport:
    """One split: how many images it has, how many were looked at, and what they hold.

    `class_pixels` and `class_images` count a class's pixels and the images that show it (of a data set for
    classification: its images, twice); shares are of all pixels or images, void included.
    """

    name: str
    images: int
    looked_at: int
    sizes: list[tuple[tuple[int, int], int]]  # the most frequent first
    class_pixels: list[int]
    class_images: list[int]
    void_pixels: int
    mean: list[float]
    std: list[float]
    faults: list[SampleError]

    @property
    def pixels(self) -> int:
        """All that were counted, void included."""
        return sum(self.class_pixels) + self.void_pixels


def check(dataset: Dataset, most: int) -> list[SplitReport]:
    """Look at up to `most` images of every split, evenly spread; faults are collected, not raised."""
    splits = {name: dataset.files(name) for name in SPLITS}
    rows = {name: spread(len(split), most) for name, split in splits.items()}
    reports = []
    with progress_bar(f"looking at {dataset.name}", sum(map(len, rows.values()))) as bar:
        for name, split in splits.items():
            looks = []
            for look in in_threads(lambda row, own=split: _look(dataset, own, row), rows[name]):  # type: ignore[misc]
                looks.append(look)
                bar.advance()
            reports.append(_report(dataset, name, len(split), looks))
    return reports


def findings(dataset: Dataset, reports: Sequence[SplitReport]) -> list[str]:
    """What a person should know before training on it, the worst first; empty where all is well."""
    found = []
    for report in reports:
        for kind, faults in _by_kind(report.faults).items():
            ids = sorted({id_ for fault in faults for id_ in fault.ids})
            values = f" ({', '.join(map(str, ids))})" if ids else ""
            found.append(f"{report.name}: {len(faults)} of {report.looked_at} images looked at: {kind}{values}")
    if dataset.task == "segmentation":
        found += _class_findings(dataset, reports)
    return found


def to_json(dataset: Dataset, reports: Sequence[SplitReport]) -> dict[str, Any]:
    """All of it as JSON data."""
    return {
        "data": dataset.name,
        "task": dataset.task,
        "classes": list(dataset.classes),
        "mean": list(dataset.mean),
        "std": list(dataset.std),
        "findings": findings(dataset, reports),
        "splits": {report.name: _split_json(dataset, report) for report in reports},
    }


def _look(dataset: Dataset, split: Split, row: int) -> Look:
    try:
        image, target = split.decode(row) if isinstance(split, FileSplit) else split.read(row)
    except SampleError as fault:
        return Look(split.ids[row], fault=fault)
    if target.ndim:
        counts = torch.bincount(target.flatten(), minlength=VOID + 1)
        classes = torch.cat([counts[: len(dataset.classes)], counts[VOID:]])
    else:
        classes = torch.zeros(len(dataset.classes) + 1, dtype=torch.int64)
        classes[target] = 1
    height, width = image.shape[1:]
    levels = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in image]).double()
    value = torch.arange(256, dtype=torch.float64) / 255
    sums, squares = levels @ value, levels @ value.square()
    return Look(split.ids[row], (height, width), height * width, sums, squares, classes)


def _report(dataset: Dataset, name: str, images: int, looks: list[Look]) -> SplitReport:
    good = [look for look in looks if look.classes is not None]
    zero = torch.zeros(len(dataset.classes) + 1, dtype=torch.int64)
    counts = [look.classes for look in good if look.classes is not None]
    pixels = sum(look.pixels for look in good) or 1
    mean = sum((look.sums for look in good), torch.zeros(3, dtype=torch.float64)) / pixels
    square = sum((look.squares for look in good), torch.zeros(3, dtype=torch.float64)) / pixels
    total = sum(counts, zero)
    return SplitReport(
        name=name,
        images=images,
        looked_at=len(looks),
        sizes=Counter(look.size_hw for look in good).most_common(),
        class_pixels=total[:-1].tolist(),
        class_images=sum(((count > 0).long() for count in counts), zero)[:-1].tolist(),
        void_pixels=int(total[-1]),
        mean=[round(value, 4) for value in mean.tolist()],
        std=[round(value, 4) for value in (square - mean.square()).clamp(min=0).sqrt().tolist()],
        faults=[look.fault for look in looks if look.fault is not None],
    )


def _class_findings(dataset: Dataset, reports: Sequence[SplitReport]) -> list[str]:
    found = []
    seen = [sum(counts) for counts in zip(*(report.class_pixels for report in reports), strict=True)]
    if not any(seen):
        return ["no pixel of any class was found"]
    absent = [name for name, count in zip(dataset.classes, seen, strict=True) if not count]
    highest = max(k for k, count in enumerate(seen) if count)
    if highest < len(dataset.classes) - 1:
        found.append(
            f"no mask has a class above {highest} ({dataset.classes[highest]}) of {len(dataset.classes)}: "
            f"are they masks of a data set with {highest + 1} classes?"
        )
    elif absent:
        found.append(f"never seen: {', '.join(absent)}")
    for report in reports:
        if not report.void_pixels and any(report.class_pixels):
            found.append(f"{report.name}: no pixel is void; right where every pixel is labelled, else a lost id")
        rare = [
            name
            for name, own, all_ in zip(dataset.classes, report.class_pixels, seen, strict=True)
            if all_ and not own and any(report.class_pixels)
        ]
        if rare:
            named = ", ".join(rare[:_MOST_NAMED]) + (", …" if len(rare) > _MOST_NAMED else "")
            found.append(f"{report.name}: not seen there, but elsewhere: {named}")
    return found


def _by_kind(faults: Sequence[SampleError]) -> dict[str, list[SampleError]]:
    kinds: dict[str, list[SampleError]] = {}
    for fault in faults:
        kinds.setdefault(fault.kind, []).append(fault)
    return dict(sorted(kinds.items(), key=lambda item: -len(item[1])))


def _split_json(dataset: Dataset, report: SplitReport) -> dict[str, Any]:
    pixels = report.pixels or 1
    return {
        "images": report.images,
        "looked_at": report.looked_at,
        "sizes_hw": [[*size, count] for size, count in report.sizes],
        "class_share": {n: count / pixels for n, count in zip(dataset.classes, report.class_pixels, strict=True)},
        "class_images": dict(zip(dataset.classes, report.class_images, strict=True)),
        "void_share": report.void_pixels / pixels,
        "mean": report.mean,
        "std": report.std,
        "faults": [
            {"kind": fault.kind, "file": str(fault.file), "ids": list(fault.ids), "message": str(fault)}
            for fault in report.faults
        ],
    }
