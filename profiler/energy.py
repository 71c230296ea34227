"""Energy of an inference: whole networks are measured, and the units' energies fitted to them.

A card's meter moves every 20 to 100 ms and its averages lag, so a figure takes seconds of one model without a break: a
unit in a stub would draw another power than in a network, and thousands of them would take hours. So whole networks
are measured alone, and the units follow by the model that corrects latencies (`profiler.posterior`), from the prior
that every unit draws the same power: its latency times one factor. The proof says what that adds to one factor alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from device_agents.statistics import median
from mosegnet.common.console import warn
from mosegnet.digits import FloatArray, IntArray
from mosegnet.space import Space
from profiler import posterior
from profiler import prior as priors
from profiler.lut import Lut
from profiler.plan import Job, Plan, network_job, network_key
from profiler.schema import Energy, EnergyProof, EnergyRecord, Table
from profiler.validate import scores, tau_ceiling
from profiler.visits import Drift, Record

METERS = ("gpu_energy_mj", "gpu_power_w")  # telemetry of a card that tells its energy, or its power
_PER_SCALE = 10  # networks that the units' energies are fitted to, at most
_LEAST = 2  # under which there is no energy in a table, or no proof of it
_PREFIX = "energy of "


@dataclass(frozen=True, slots=True)
class Measured:
    """The energy of one network over its visits, millijoules an inference, and what may have disturbed it."""

    energy_mj: float
    visits_mj: tuple[float, ...]
    flags: tuple[str, ...]


def networks(plan: Plan, space: Space) -> tuple[IntArray, IntArray]:
    """Of a plan's networks, those that energy is fitted to and those that prove it, shapes (n, digits)."""
    most = min(len(plan.calibration), _PER_SCALE * len(space.scales))
    chosen = np.unique(np.linspace(0, len(plan.calibration) - 1, most).round().astype(np.int64))
    return plan.calibration[chosen], plan.validation


def jobs(plan: Plan, space: Space) -> list[Job]:
    """What to measure, the reference first: where it has no energy, nothing has."""
    X = np.concatenate([space.smallest()[None], *networks(plan, space)])
    X = X[sorted(np.unique(X, axis=0, return_index=True)[1])]
    return [_job(space, x) for x in X]


def _job(space: Space, x: IntArray) -> Job:
    job = network_job(space, x, "energy")
    return Job(energy_key(x), "energy", job.make, job.flops)


def energy_key(x: IntArray) -> str:
    """The name of the measurement of a network's energy."""
    return _PREFIX + network_key(x)


def measurements(records: Sequence[Record], clock: str) -> dict[str, Measured]:
    """What a journal holds of energy, by the jobs' keys.

    Latency's drift is not taken out: a card that slows down draws less meanwhile. It is flagged.
    """
    found: dict[str, list[Record]] = {}
    for record in records:
        if record["what"] == "energy":
            found.setdefault(record["key"], []).append(record)
    drift = Drift(records, clock) if found else None
    return {key: _combine(visits, drift) for key, visits in found.items() if drift is not None}


def _combine(records: Sequence[Record], drift: Drift) -> Measured:
    visits_mj = [float(record["energy_mj"]) for record in records]
    flags = [flag for record in records for flag in drift.flags(record)]
    middle = math.fsum(visits_mj) / len(visits_mj) if len(visits_mj) < 3 else median(visits_mj)
    return Measured(middle, tuple(visits_mj), tuple(dict.fromkeys(flags)))


def with_energy(lut: Lut, plan: Plan, records: Sequence[Record], clock: str) -> Table:
    """The table with the energy of its entries, fitted to what the records hold; as it is, where that is too little."""
    found = measurements(records, clock)
    if not found:
        return lut.table
    X, proof = (_usable(lut, Z, found) for Z in networks(plan, lut.space))
    if len(X) < _LEAST:
        warn(f"the device told the energy of {len(X)} networks, {_LEAST} are needed: the table has none")
        return lut.table
    return _fitted(lut, X, proof, found, records)


def _usable(lut: Lut, X: IntArray, found: Mapping[str, Measured]) -> IntArray:
    return X[np.array([energy_key(x) in found and bool(lut.runs(x)[0]) for x in X], dtype=bool)]


def _fitted(lut: Lut, X: IntArray, proof: IntArray, found: Mapping[str, Measured], records: Sequence[Record]) -> Table:
    space, table = lut.space, lut.table
    energy_mj = _energy_mj(found, X)
    prior, known = priors.of_table(space, lut, X, energy_mj)
    fitted = posterior.fit(space, prior, X, energy_mj)
    readings = [record for record in records if record["what"] == "energy"]
    spread = visit_spread(list(found.values()))
    entries = {
        unit.key: table.entries[unit.key].model_copy(
            update={
                "energy_mj": round(max(float(mj), priors.LEAST_MS), 7),
                "energy_ci95_mj": round(1.96 * float(sd_mj), 7),
            }
        )
        for unit, mj, sd_mj in zip(space.units, fitted.unit_ms, fitted.unit_sd_ms, strict=True)
        if unit.key in known
    }
    energy = Energy(
        source=", ".join(dict.fromkeys(str(record["source"]) for record in readings)),
        window_s=round(float(np.median([record["seconds"] for record in readings])), 3),
        power_w=round(float(np.median(energy_mj / lut.predict(X))), 3),
        constant_mj=[round(float(mj), 7) for mj in fitted.constant_ms],
        noise_percent=round(100 * fitted.noise, 3),
        interval_percent=[round(100 * float(share), 3) for share in fitted.interval],
        device_time_s=round(sum(record["busy_s"] for record in readings), 3),
        flags=sorted({flag for one in found.values() for flag in one.flags}),
        networks=_records(X, found, posterior.predict(space, fitted, X), spread),
    )
    with_column = Lut(table.model_copy(update={"entries": entries, "energy": energy}))
    if len(proof) < _LEAST:
        warn("the device told the energy of too few held-out networks: the table's energies have no proof")
        return with_column.table
    shown = energy.model_copy(update={"validation": _proof(with_column, proof, found, spread, X)})
    return with_column.table.model_copy(update={"energy": shown})


def _proof(lut: Lut, X: IntArray, found: Mapping[str, Measured], spread: float, known: IntArray) -> EnergyProof:
    """The energies on held-out networks, beside their predicted latency times one power."""
    energy_mj = _energy_mj(found, X)
    predicted_mj, half_mj = lut.predict_energy_interval(X)
    power_w = float(np.median(_energy_mj(found, known) / lut.predict(known)))
    visits = np.array([len(found[energy_key(x)].visits_mj) for x in X])
    noise = spread * math.sqrt(float(np.mean(1 / visits)))
    return EnergyProof(
        **scores(predicted_mj, energy_mj, X).model_dump(),
        networks=len(X),
        label_noise_percent=round(100 * noise, 3),
        tau_ceiling=round(tau_ceiling(energy_mj, noise), 4),
        coverage_percent=round(100 * float(np.mean(np.abs(predicted_mj - energy_mj) <= half_mj)), 2),
        one_power=scores(power_w * lut.predict(X), energy_mj, X),
        measured=_records(X, found, predicted_mj, spread),
    )


def visit_spread(found: Sequence[Measured]) -> float:
    """Standard deviation of one visit's energy as a share, from the visits of all networks; 0 of single visits."""
    shares = [float(np.var(one.visits_mj, ddof=1)) / one.energy_mj**2 for one in found if len(one.visits_mj) > 1]
    return math.sqrt(float(np.mean(shares))) if shares else 0.0


def _energy_mj(found: Mapping[str, Measured], X: IntArray) -> FloatArray:
    return np.array([found[energy_key(x)].energy_mj for x in X])


def _records(X: IntArray, found: Mapping[str, Measured], predicted_mj: FloatArray, spread: float) -> list[EnergyRecord]:
    """Two visits are too few for a network's own spread: each takes that of all."""
    records = []
    for x, mj in zip(X, predicted_mj, strict=True):
        one = found[energy_key(x)]
        records.append(
            EnergyRecord(
                encoding=[int(digit) for digit in x],
                measured_mj=round(one.energy_mj, 6),
                ci95_mj=round(1.96 * spread * one.energy_mj / math.sqrt(len(one.visits_mj)), 6),
                predicted_mj=round(float(mj), 6),
            )
        )
    return records
