"""The table file: written whole, refused with the reason when it is not, looked up a million networks a second."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError

from mosegnet import space as spaces
from mosegnet.common.console import warn
from mosegnet.common.errors import UserError
from mosegnet.common.files import read_json, write_atomic
from mosegnet.digits import FloatArray, IntArray
from mosegnet.space import SCALE, Space
from profiler.migrations import migrate
from profiler.schema import SCHEMA, VERSION, Calibration, DeviceRecord, Table

_CHUNK = 2048  # encodings looked up at once: their rows of units stay in the cache
_LINE = 160  # a value that fits in so many characters is written in one line


class Lut:
    """A latency table ready to be asked.

    Raises:
        UserError: a unit of the table's space has no entry, and no reason why; names it.
    """

    def __init__(self, table: Table, sha256: str = "", where: str = "the table") -> None:
        self.table, self.sha256 = table, sha256
        self.space: Space = spaces.load(table.space)
        self.device: DeviceRecord = table.device
        self.calibration: Calibration = table.calibration
        entries = table.entries
        missing = [u.key for u in self.space.units if u.key not in entries and u.key not in table.unmeasured]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UserError(f"{where} is incomplete: it has no entry for unit {missing[0]!r}{more}; build it again")
        scales = len(self.space.scales)
        if len(self.calibration.constant_ms) != scales or len(self.calibration.interval_percent) != scales:
            raise UserError(f"{where} is incomplete: its calibration does not cover every input scale")
        # one more row, of zero, for the layers that are switched off; NaN for what the device cannot run
        known = (entries[u.key].latency_ms if u.key in entries else math.nan for u in self.space.units)
        self._values_ms = np.array([*known, 0.0])
        self._constant_ms = np.array(self.calibration.constant_ms)
        self._interval = np.array(self.calibration.interval_percent) / 100
        self._where, self._values_mj = where, self._energies(where)

    def _energies(self, where: str) -> FloatArray | None:
        """Of each unit in millijoules as `_values_ms` has latencies; None where the table has none."""
        energy, entries = self.table.energy, self.table.entries
        if energy is None:
            return None
        scales = len(self.space.scales)
        known = [entries[u.key].energy_mj if u.key in entries else math.nan for u in self.space.units]
        if None in known or len(energy.constant_mj) != scales or len(energy.interval_percent) != scales:
            raise UserError(f"{where} is incomplete: its energy does not cover every unit and input scale")
        return np.array([*known, 0.0], dtype=np.float64)

    @property
    def has_energy(self) -> bool:
        """Whether the table tells energies."""
        return self._values_mj is not None

    @property
    def complete(self) -> bool:
        """Whether the device runs every unit of the space."""
        return not self.table.unmeasured

    def runs(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Whether the device can run each of the networks X, shape (n,); all of them where the table is complete."""
        known: NDArray[np.bool_] = ~np.isnan(self._predict(self.space.validate(X), self._values_ms, self._constant_ms))
        return known

    def predict(self, X: ArrayLike) -> FloatArray:
        """Latency in milliseconds of the networks X, shape (n, digits); the result has shape (n,).

        Raises:
            UserError: an encoding is not of this table's space, or has a unit that the device cannot run; names it.
        """
        return self._predict_known(X, self._values_ms, self._constant_ms)

    def predict_energy(self, X: ArrayLike) -> FloatArray:
        """Energy in millijoules of an inference of the networks X, shape (n, digits); the result has shape (n,).

        Raises:
            UserError: the table has no energy; or as for `predict`.
        """
        if self._values_mj is None or self.table.energy is None:
            raise UserError(
                f"{self._where} has no energy: build one on a device that tells it (`profiler doctor` says which do), "
                "without --no-energy"
            )
        return self._predict_known(X, self._values_mj, np.array(self.table.energy.constant_mj))

    def predict_energy_interval(self, X: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Energy and the half-width of its 95 % prediction interval, both in millijoules, shapes (n,).

        Raises:
            UserError: as for `predict_energy`.
        """
        energy_mj = self.predict_energy(X)
        assert self.table.energy is not None
        interval = np.array(self.table.energy.interval_percent) / 100
        return energy_mj, energy_mj * interval[self.space.validate(X)[:, SCALE]]

    def _predict_known(self, X: ArrayLike, values: FloatArray, constants: FloatArray) -> FloatArray:
        X = self.space.validate(X)
        found = np.empty(len(X))
        for start in range(0, len(X), _CHUNK):
            found[start : start + _CHUNK] = self._predict(X[start : start + _CHUNK], values, constants)
        if not self.complete and np.isnan(found).any():
            self._refuse(X[np.isnan(found)][0])
        return found

    def _predict(self, X: IntArray, values: FloatArray, constants: FloatArray) -> FloatArray:
        rows = self.space.unit_indices(X)  # (n, units of a network)
        found: FloatArray = np.einsum("ij->i", values.take(rows)) + constants[X[:, SCALE]]
        return found

    def _refuse(self, x: IntArray) -> NoReturn:
        key = next(u.key for u in self.space.decode(x).units if u.key in self.table.unmeasured)
        raise UserError(
            f"the table has no latency for unit {key!r} of network {x.tolist()}: "
            f"the device cannot run it ({self.table.unmeasured[key]})"
        )

    def predict_interval(self, X: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Latency and the half-width of its 95 % prediction interval, both in milliseconds, shapes (n,).

        The interval is for a measurement in the table's own visit to the device; later validations that are in the
        table widen it by what the device had moved by then.
        """
        X = self.space.validate(X)
        latency_ms = self.predict(X)
        return latency_ms, latency_ms * np.hypot(self._interval[X[:, SCALE]], self.drift)

    @property
    def drift(self) -> float:
        """95 % half-width of what the device moves between visits, as a share, from the later validations; else 0."""
        biases = [visit.bias_percent / 100 for visit in self.table.visits if not visit.own]
        return 1.96 * math.sqrt(math.fsum(bias**2 for bias in biases) / len(biases)) if biases else 0.0

    def breakdown(self, x: ArrayLike) -> list[tuple[str, float]]:
        """(unit key, milliseconds) of one network's units in the order they run, then ("constant", milliseconds).

        The sum is the prediction; the constant is what a network costs beside its units, and may be negative.
        """
        x = self.space.canonical(x)
        self.predict(x)
        entries = self.table.entries
        units = [(unit.key, entries[unit.key].latency_ms) for unit in self.space.decode(x).units]
        return [*units, ("constant", float(self._constant_ms[x[0, SCALE]]))]


_told: set[str] = set()  # simulated tables that the user of this process knows to be so


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
        table = Table.model_validate(migrate(value) if version in range(1, VERSION) else value)
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f"{where} lacks what version {version} demands ({error!r}); build it again") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{where}, field {field!r}: {first['msg']}; build it again") from None
    lut = Lut(table, stated, where)
    if space is not None and lut.space.fingerprint != space.fingerprint:
        raise UserError(f"{where} is of space {lut.space.name!r}, not of this {space.name!r}: build one for it")
    if table.device.simulated and str(where) not in _told:
        _told.add(str(where))
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
