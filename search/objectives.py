"""Tables and costs by name: what `--objectives` and `--require` mean on one or several latency tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import ArrayLike

from mosegnet.common.errors import UserError
from mosegnet.cost import costs
from mosegnet.digits import FloatArray, IntArray
from mosegnet.space import Space
from profiler.lut import Lut
from search.goals import Goals, Quantity
from search.requirements import MIOU, limits_of, parse

NAMES = (MIOU, "latency", "flops", "params", "memory", "energy")
_OF_A_TABLE = ("latency", "energy")
_FIELDS = {"flops": "flops", "params": "params", "memory": "activation_bytes"}
_UNITS = {"latency": "ms", "energy": "mJ", "flops": "", "params": "", "memory": "B"}


@dataclass(frozen=True, slots=True)
class NamedLut:
    """A table of a run under the name that requirements and results use."""

    name: str
    lut: Lut


def named(luts: Sequence[Lut], paths: Sequence[Path]) -> tuple[NamedLut, ...]:
    """The tables of one run, each by the stem of its file, or by its device where two stems are the same.

    Raises:
        UserError: tables of different spaces, or two that no name tells apart.
    """
    first = luts[0]
    for lut, path in zip(luts[1:], paths[1:], strict=True):
        if lut.space.fingerprint != first.space.fingerprint:
            raise UserError(
                f"table {path} is of space {lut.space.name!r}, {paths[0]} of another ({first.space.name!r}): "
                "search tables of one space together"
            )
    stems, devices = [path.stem for path in paths], [lut.device.name for lut in luts]
    for names in (stems, devices):
        if len(set(names)) == len(names):
            return tuple(NamedLut(name, lut) for name, lut in zip(names, luts, strict=True))
    raise UserError(f"two tables are both called {max(stems, key=stems.count)!r}: name their files apart")


class Catalogue:
    """Every quantity that the tables and the cost model know, by name.

    With one table a latency is called `latency`; with several, `latency:TABLE`, and `latency` alone is the first's.
    """

    def __init__(self, tables: Sequence[NamedLut]) -> None:
        self._tables = tuple(tables)
        self._space: Space = tables[0].lut.space

    def quantity(self, name: str, device: str | None = None) -> Quantity:
        """A quantity by what a person calls it.

        Raises:
            UserError: no such quantity, no such table, or a table without energies.
        """
        if name not in _UNITS:
            raise UserError(f"unknown objective {name!r}: name one of {', '.join(NAMES)}")
        if name not in _OF_A_TABLE:
            if device is not None:
                raise UserError(f"{name} is the same on every device: leave out {device!r}")
            return Quantity(name, _UNITS[name], _Cost(self._space, name))
        table = self._table(device)
        full = f"{name}:{table.name}" if len(self._tables) > 1 else name
        if name == "latency":
            return Quantity(full, "ms", latency_of(table.lut))
        energy = energy_of(table.lut)
        energy(self._space.smallest()[None])  # a table without energies is refused now
        return Quantity(full, "mJ", energy)

    def objectives(self, words: Sequence[str]) -> tuple[Quantity, ...]:
        """The costs that `--objectives` names, in its order; `latency` and `energy` alone mean every table's.

        Raises:
            UserError: accuracy is not the first, a name is unknown or repeated, or there is no cost.
        """
        if not words or words[0] != MIOU:
            raise UserError(f"the first objective is always {MIOU}: write --objectives miou,latency")
        found: list[Quantity] = []
        for word in words[1:]:
            name, _, device = word.partition(":")
            if name in _OF_A_TABLE and not device:
                found += [self.quantity(name, table.name) for table in self._tables]
            else:
                found.append(self.quantity(name, device or None))
        return tuple(found)

    def _table(self, device: str | None) -> NamedLut:
        if device is None:
            return self._tables[0]
        for names in ([table.name for table in self._tables], [table.lut.device.name for table in self._tables]):
            if names.count(device) == 1:
                return self._tables[names.index(device)]
        known = ", ".join(table.name for table in self._tables)
        raise UserError(f"no table is called {device!r}: this run has {known}")


def goals_of(tables: Sequence[NamedLut], objectives: Sequence[str], require: Sequence[str]) -> Goals:
    """What a run wants, from its words; percentages are of the space's largest network by these tables.

    Raises:
        UserError: see `Catalogue` and `search.requirements`.
    """
    catalogue = Catalogue(tables)
    largest = tables[0].lut.space.largest()
    limits, least_miou = limits_of([parse(text) for text in require], catalogue.quantity, largest)
    return Goals(catalogue.objectives(objectives), limits, least_miou)


class _WithEnergy(Protocol):
    def predict_energy(self, X: ArrayLike) -> FloatArray: ...


class _Cost:
    """A cost of `mosegnet.cost` as a quantity of doubles.

    Memory is what the operators write in all, in single precision at batch 1: a measure of traffic that bounds the
    peak from above, not the peak itself, which depends on how a runtime reuses its buffers.
    """

    def __init__(self, space: Space, name: str) -> None:
        self._space, self._field = space, _FIELDS[name]

    def __call__(self, X: IntArray) -> FloatArray:
        return np.asarray(getattr(costs(self._space, X), self._field), dtype=np.float64)


def latency_of(lut: Lut) -> Callable[[IntArray], FloatArray]:
    """What a search asks of a table: milliseconds, infinity for a network that the device cannot run."""
    return _where_it_runs(lut, lut.predict)


def energy_of(lut: Lut) -> Callable[[IntArray], FloatArray]:
    """Millijoules of networks by a table; infinity for a network that the device cannot run."""
    return _where_it_runs(lut, cast("_WithEnergy", lut).predict_energy)


def _where_it_runs(lut: Lut, predict: Callable[[IntArray], FloatArray]) -> Callable[[IntArray], FloatArray]:
    if lut.complete:
        return predict

    def with_infinity(X: IntArray) -> FloatArray:
        runs = lut.runs(X)
        values = np.full(len(X), np.inf)
        values[runs] = predict(X[runs])
        return values

    return with_infinity
