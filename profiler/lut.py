"""The table file: written whole, refused with the reason when it is not, looked up a million networks a second."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import ValidationError

from mosegnet import space as spaces
from mosegnet.common.console import warn
from mosegnet.common.errors import UserError
from mosegnet.common.files import read_json, write_atomic
from mosegnet.cost import unit_costs
from mosegnet.digits import FloatArray, IntArray
from mosegnet.space import SCALE, Space
from profiler.schema import SCHEMA, VERSION, Calibration, DeviceRecord, Entry, Table

_CHUNK = 2048  # encodings looked up at once: their rows of units stay in the cache
_LINE = 160  # a value that fits in so many characters is written in one line


class Lut:
    """A latency table ready to be asked.

    Raises:
        UserError: a unit of the table's space has no entry; names it.
    """

    def __init__(self, table: Table, sha256: str = "", where: str = "the table") -> None:
        self.table, self.sha256 = table, sha256
        self.space: Space = spaces.load(table.space)
        self.device: DeviceRecord = table.device
        self.calibration: Calibration = table.calibration
        missing = [unit.key for unit in self.space.units if unit.key not in table.entries]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UserError(f"{where} is incomplete: it has no entry for unit {missing[0]!r}{more}; build it again")
        self._check_calibration(where)
        self._stride = len(self.space.units) + 1  # one more row, of zeros, for the layers that are switched off
        self._values_ms = calibrated_ms(self.space, table.entries, table.calibration).ravel()
        self._constant_ms = np.array(table.calibration.constant_ms)

    def predict(self, X: ArrayLike) -> FloatArray:
        """Latency in milliseconds of the networks X, shape (n, digits); the result has shape (n,).

        Raises:
            UserError: an encoding is not of this table's space.
        """
        X = self.space.validate(X)
        latency_ms = np.empty(len(X))
        for start in range(0, len(X), _CHUNK):
            latency_ms[start : start + _CHUNK] = self._predict(X[start : start + _CHUNK])
        return latency_ms

    def _predict(self, X: IntArray) -> FloatArray:
        rows = self.space.unit_indices(X)  # (n, units of a network)
        scale = X[:, SCALE]
        rows += (scale * self._stride)[:, None]
        latency_ms: FloatArray = np.einsum("ij->i", self._values_ms.take(rows)) + self._constant_ms[scale]
        return latency_ms

    def predict_interval(self, X: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Latency and the half-width of its 95 % prediction interval, both in milliseconds, shapes (n,)."""
        latency_ms = self.predict(X)
        return latency_ms, latency_ms * (self.calibration.interval_percent / 100)

    def breakdown(self, x: ArrayLike) -> list[tuple[str, float]]:
        """(unit key, milliseconds) of one network's units in the order they run, then ("constant", milliseconds).

        The sum is the prediction; the constant is what a network costs beside its units, and may be negative.
        """
        x = self.space.canonical(x)
        scale = int(x[0, SCALE])
        rows = self.space.unit_indices(x)[0]
        units = [
            (self.space.units[row].key, float(self._values_ms[scale * self._stride + row]))
            for row in rows
            if row < len(self.space.units)
        ]
        return [*units, ("constant", float(self._constant_ms[scale]))]

    def _check_calibration(self, where: str) -> None:
        scales, kinds = len(self.space.scales), {unit.kind for unit in self.space.units}
        columns = [self.calibration.constant_ms, *self.calibration.factors.values()]
        if kinds - set(self.calibration.factors) or any(len(column) != scales for column in columns):
            raise UserError(f"{where} is incomplete: its calibration does not cover every scale and kind of unit")


def calibrated_ms(space: Space, entries: dict[str, Entry], calibration: Calibration) -> FloatArray:
    """What each unit adds to a network at each scale, shape (scales, units + 1); the last column is 0."""
    params = unit_costs(space)[:-1, 1] * 1e-6  # millions
    latency_ms = np.array([entries[unit.key].latency_ms for unit in space.units])
    factors = np.array([calibration.factors[unit.kind] for unit in space.units])  # (units, scales)
    values_ms = factors.T * latency_ms + calibration.ms_per_million_params * params
    return np.pad(values_ms, ((0, 0), (0, 1)))


def load(path: Path | str, space: Space | None = None) -> Lut:
    """Read a table; a simulated one is said to be so.

    Raises:
        UserError: damaged, edited, newer, foreign, incomplete, or not of `space` where one is expected.
    """
    where = f"table {path}"
    value = read_json(path, "table")
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise UserError(f"{path} is not a latency table: build one with `profiler build-lut`")
    version = value.get("schema_version")
    if isinstance(version, int) and version > VERSION:
        raise UserError(f"{where} has schema version {version}, this tool reads up to {VERSION}: update mosegnas-hil")
    stated = value.pop("sha256", None)
    if stated != checksum(value):
        raise UserError(f"{where} was damaged or edited, its checksum does not fit: restore it or build it again")
    try:
        table = Table.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{where}, field {field!r}: {first['msg']}; build it again") from None
    lut = Lut(table, stated, where)
    if space is not None and lut.space.fingerprint != space.fingerprint:
        raise UserError(f"{where} is of space {lut.space.name!r}, not of this {space.name!r}: build one for it")
    if table.device.simulated:
        warn(f"{where} is of a simulated device: its latencies are not those of any real one")
    return lut


def save(path: Path | str, table: Table) -> str:
    """Write a table whole or not at all; returns its checksum."""
    value = table.model_dump(mode="json", by_alias=True, exclude_none=True)
    value["sha256"] = checksum(value)
    write_atomic(path, _readable(value) + "\n")
    return str(value["sha256"])


def checksum(value: dict[str, Any]) -> str:
    """SHA-256 of JSON data, whatever its layout in the file."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _readable(value: Any, indent: int = 0) -> str:
    """JSON with one line for each entry, so that a person and git can read it."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if (len(line) <= _LINE and indent > 0) or not isinstance(value, (dict, list)):
        return line
    inner, outer = " " * (indent + 1), " " * indent
    if isinstance(value, list):
        items, brackets = [_readable(item, indent + 1) for item in value], "[]"
    else:
        items = [f"{json.dumps(key, ensure_ascii=False)}: {_readable(item, indent + 1)}" for key, item in value.items()]
        brackets = "{}"
    return f"{brackets[0]}\n{inner}" + f",\n{inner}".join(items) + f"\n{outer}{brackets[1]}"
