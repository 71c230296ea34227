"""Other people's measurements: what trtexec, ais_bench and msame left behind, as records with a clock's name.

trtexec's defaults differ between versions (data transfers, spin wait, CUDA graph): only the time on the device compares
with ours, and a record says which figure it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from device_agents.statistics import median
from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors, read_json

Clock = Literal["device", "wall"]
_MOST_BYTES = 200 << 20
_NUMBER = r"([0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)"
_AIS_BENCH = re.compile(
    rf"NPU_compute_time \(ms\):(?: min = {_NUMBER}, max = {_NUMBER},)?.*?mean = {_NUMBER}(?:,.*?median = {_NUMBER})?"
)
_MSAME_RUN = re.compile(rf"Inference time\s*:\s*{_NUMBER}\s*ms")
_MSAME_MEAN = re.compile(rf"Inference average time(?P<later> without first time)?\s*:\s*{_NUMBER}\s*ms")


@dataclass(frozen=True, slots=True)
class Imported:
    """The latency of one network, measured elsewhere.

    `name` is the file's, without its ending. `samples_ms` are single inferences where the tool kept them, else empty;
    `mean_ms`, `median_ms` and `range_ms` (least and most) are the tool's own where it kept none, and None where it does
    not say.
    `clock`: `device`, the device's own events; `wall`, the host's clock around a call that waits.
    """

    name: str
    tool: str
    clock: Clock
    samples_ms: tuple[float, ...]
    mean_ms: float | None
    median_ms: float | None
    range_ms: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ImportedLayer:
    """One layer of a trtexec profile: milliseconds of a run; an older trtexec gives no median."""

    name: str
    mean_ms: float
    median_ms: float | None


@dataclass(frozen=True, slots=True)
class ImportedProfile:
    """A network's layers in the order they run, over `runs` runs with the profiler on, which slows them."""

    name: str
    runs: int
    layers: tuple[ImportedLayer, ...]


def read(path: Path | str) -> Imported | ImportedProfile:
    """What a file holds, told by its content.

    Raises:
        UserError: the file cannot be read, or is none of the four kinds.
    """
    path = Path(path)
    if not re.match(r"\s*\[(?![A-Z])", _text(path)):  # [INFO] is no list
        return _found(path, "ais_bench or msame output", read_ais_bench, read_msame)
    if _json_list(path)[:1] and "count" in _json_list(path)[0]:
        return read_trtexec_profile(path)
    return read_trtexec_times(path)


def read_times(path: Path | str) -> Imported:
    """The latency of a whole network, from any file that tells one.

    Raises:
        UserError: as for `read`, or it is a profile of layers.
    """
    found = read(path)
    if isinstance(found, ImportedProfile):
        raise UserError(
            f"{path} is a profile of layers, and the profiler slows a network: give what trtexec wrote with "
            "--exportTimes"
        )
    return found


def read_trtexec_times(path: Path | str) -> Imported:
    """`trtexec --exportTimes`: the compute times, taken by events on the device without data transfers.

    Raises:
        UserError: names the file, what is wrong and where.
    """
    path = Path(path)
    samples = tuple(
        _milliseconds(path, f"entry {k}", entry, "computeMs") for k, entry in enumerate(_json_list(path), 1)
    )
    if not samples:
        raise UserError(f"{path} holds no measurement: run trtexec with --exportTimes again")
    return Imported(path.stem, "trtexec", "device", samples, math.fsum(samples) / len(samples), median(samples))


def read_trtexec_profile(path: Path | str) -> ImportedProfile:
    """`trtexec --exportProfile`: layers and their times.

    Raises:
        UserError: names the file, what is wrong and where.
    """
    path = Path(path)
    entries = _json_list(path)
    runs = entries[0].get("count") if entries else None
    if not isinstance(runs, int) or isinstance(runs, bool) or runs < 1:
        raise UserError(f"{path} does not begin with the number of runs: it is no file of trtexec --exportProfile")
    layers = []
    for k, entry in enumerate(entries[1:], 2):
        if not isinstance(entry.get("name"), str):
            raise UserError(f"{path}: entry {k} names no layer")
        middle = _milliseconds(path, f"entry {k}", entry, "medianMs") if "medianMs" in entry else None
        layers.append(ImportedLayer(entry["name"], _milliseconds(path, f"entry {k}", entry, "averageMs"), middle))
    if not layers:
        raise UserError(f"{path} holds no layer: run trtexec with --exportProfile again")
    return ImportedProfile(path.stem, runs, tuple(layers))


def read_ais_bench(path: Path | str) -> Imported:
    """The text that ais_bench printed: NPU_compute_time, by the host's clock around the execution alone.

    Raises:
        UserError: there is no such line, or several that differ.
    """
    path = Path(path)
    found = set(_AIS_BENCH.findall(_text(path)))
    if not found:
        raise UserError(f"{path} has no line with NPU_compute_time (ms): give the whole output of ais_bench")
    if len(found) > 1:
        raise UserError(f"{path} holds {len(found)} summaries of ais_bench: keep one network's output a file")
    least, most, mean, middle = (_positive(path, number) if number else None for number in found.pop())
    extent = (least, most) if least is not None and most is not None else None
    return Imported(path.stem, "ais_bench", "wall", (), mean, middle, extent)


def read_msame(path: Path | str) -> Imported:
    """The text that msame printed, by the host's clock around the execution; it makes no warm-up, so the first of
    several inferences is left out.

    Raises:
        UserError: there is no inference in it, or averages of several networks.
    """
    path = Path(path)
    text = _text(path)
    runs = tuple(_positive(path, number) for number in _MSAME_RUN.findall(text))
    means = [(bool(later), _positive(path, number)) for later, number in _MSAME_MEAN.findall(text)]
    if sum(not later for later, _ in means) > 1:
        raise UserError(f"{path} holds several networks' averages of msame: keep one network's output a file")
    samples = runs[1:] or runs
    if samples:
        return Imported(path.stem, "msame", "wall", samples, math.fsum(samples) / len(samples), median(samples))
    if means:
        return Imported(path.stem, "msame", "wall", (), max(means)[1], None)  # the one without the first, where it is
    raise UserError(f"{path} has no line with an inference time: give the whole output of msame")


def _found(path: Path, what: str, *readers: Callable[[Path], Imported]) -> Imported:
    for reader in readers:
        try:
            return reader(path)
        except UserError as error:
            if "has no line" not in str(error):
                raise
    raise UserError(f"{path} holds no {what}, nor JSON of trtexec --exportTimes or --exportProfile")


def _text(path: Path) -> str:
    if not path.exists():
        raise UserError(f"measurement {path} does not exist")
    with explain_os_errors(path, "read"):
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path} is larger than {_MOST_BYTES >> 20} MB: that is no measurement")
        return path.read_bytes().decode(errors="replace")


def _json_list(path: Path) -> list[dict[str, Any]]:
    _text(path)  # its size and presence
    entries = read_json(path, "measurement")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{path} is not a JSON list of objects, as trtexec --exportTimes and --exportProfile write")
    return entries


def _milliseconds(path: Path, where: str, entry: dict[str, Any], field: str) -> float:
    value = entry.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise UserError(f"{path}: {where} has no {field} in milliseconds, but {value!r}")
    return float(value)


def _positive(path: Path, number: str) -> float:
    value = float(number)
    if not 0 < value < math.inf:
        raise UserError(f"{path}: a latency of {number} ms cannot be")
    return value
