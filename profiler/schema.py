"""The table file's records, schema `mosegnet-lut` version 2, checked on the way in.

Every version ever released still loads: a change of a record's meaning is a new version and a function from the one
before (see `profiler.migrations`). Fields may be added to a version, with a default.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = "mosegnet-lut"
VERSION = 2

Milliseconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Millijoules = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Half = Annotated[float, Field(ge=0, allow_inf_nan=False)]  # half-width of an interval
Number = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]


class Model(BaseModel):
    """Immutable, and strict about unknown fields: a typing mistake in an edited file must not pass."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DeviceRecord(Model):
    """Where the numbers are from. What a device does not tell is absent."""

    name: Text
    kind: Text
    chip: str
    system: str
    runtime: Text
    runtime_version: Text
    runtime_options: dict[str, Any]
    driver_version: str | None = None
    precision: Text
    batch: int = Field(ge=1)
    threads: int | None = Field(default=None, ge=1)
    cores: list[int] | None = None
    power_mode: str | None = None
    frequency_mhz: list[int] | None = None
    agent_version: Text
    simulated: bool


class ImportRecord(Model):
    """Whose measurements the numbers are from; `sha256` is of the sorted digests of all files."""

    tool: Text
    files: int
    samples: int
    sha256: Text


class MethodRecord(Model):
    """How the numbers came about. What another tool's measurements do not tell is absent.

    `device_time_s`: the device was busy, loading and warm-up included, for the table itself; of imported measurements
    the samples alone. `drift_percent`: the most that the reference strayed above its undisturbed value.
    `proof_time_s`: as `device_time_s`, for the networks of the proof.
    """

    name: Text
    plan: dict[str, int]  # how many of each role were measured
    prior: str | None = None  # sha256 of the table that it started from
    seed: int
    clock: Text
    statistic: Text
    target_percent: Number | None = None
    floor: int | None = None
    cap: int | None = None
    limit_s: Number | None = None
    reference: Text | None = None
    reference_ms: Milliseconds | None = None
    drift_percent: Number | None = None
    visits: int
    device_time_s: Number
    proof_time_s: Number = 0.0
    restarts: int
    started: Text
    finished: Text
    tool_version: Text
    imported: ImportRecord | None = None


class Entry(Model):
    """What one unit adds to a network.

    `unit_ms` is what was measured or known of the unit before whole networks corrected it. `energy_mj` is fitted to
    whole networks, absent where the table has no energy.
    """

    latency_ms: Milliseconds
    ci95_ms: Half
    unit_ms: Milliseconds | None = None
    samples: int = Field(ge=0)  # 0: never measured by itself, known from whole networks or another table
    converged: bool
    flags: list[str] = []
    energy_mj: Millijoules | None = None
    energy_ci95_mj: Half | None = None


class NetworkRecord(Model):
    """A whole network measured, and what the finished table says of it."""

    encoding: list[int]
    measured_ms: Milliseconds
    ci95_ms: Half
    predicted_ms: Milliseconds


class Calibration(Model):
    """From entries to a network: constant of the input scale + sum of the entries of its units.

    `interval_percent` is the half-width of the 95 % prediction interval of each scale, as a share of the prediction.
    `networks` are those that corrected the entries.
    """

    constant_ms: list[Number]
    noise_percent: Number
    interval_percent: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    networks: list[NetworkRecord]


class Scores(Model):
    """How well one predictor does on the same held-out networks; `intervals` are 95 %, by bootstrap."""

    kendall_tau: Number
    kendall_tau_within_scale: Number | None = None
    pearson_r: Number
    mape_percent: Number
    bias_percent: Number
    within_5_percent: Number
    within_10_percent: Number
    intervals: dict[str, tuple[Number, Number]] = {}


class Validation(Scores):
    """The table on held-out networks, beside FLOPs, and FLOPs and params, fitted to the same calibration networks.

    `label_noise_percent` is the standard error of a network's measured latency, from its visits; `tau_ceiling` is the
    Kendall tau that a perfect predictor would score under it, `mape_floor_percent` its mean error; `coverage_percent`
    counts the networks inside the table's 95 % prediction intervals.
    """

    measured_at: str | None = None
    seed: int | None = None
    networks: int
    label_noise_percent: Number
    tau_ceiling: Number
    mape_floor_percent: Number | None = None
    coverage_percent: Number
    flops: Scores
    flops_params: Scores
    measured: list[NetworkRecord]


class EnergyRecord(Model):
    """The energy of a whole network's inference, and what the finished table says of it."""

    encoding: list[int]
    measured_mj: Millijoules
    ci95_mj: Half
    predicted_mj: Millijoules


class EnergyProof(Scores):
    """The table's energies on held-out networks, beside their predicted latency times one power."""

    networks: int
    label_noise_percent: Number
    tau_ceiling: Number
    coverage_percent: Number
    one_power: Scores
    measured: list[EnergyRecord]


class Energy(Model):
    """Energy of an inference: constant of the input scale + sum of the entries' energies, fitted to `networks`.

    Of the whole card while it does nothing else, idle power included. `source`: `counter`, the card's own count, or
    `power_samples`, its power over time; `window_s`: seconds that one figure is from; `power_w`: energy over latency.
    """

    source: Text
    window_s: Number
    power_w: Number
    constant_mj: list[Number]
    noise_percent: Number
    interval_percent: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    device_time_s: Number
    flags: list[str] = []
    networks: list[EnergyRecord]
    validation: EnergyProof | None = None


class Visit(Model):
    """One validation, in short: how far the device had moved from the table by then; `own`: in the build itself."""

    measured_at: str | None
    own: bool
    networks: int
    kendall_tau: Number
    mape_percent: Number
    bias_percent: Number


class Table(Model):
    """The whole file but for its checksum."""

    schema_name: Literal["mosegnet-lut"] = Field(default="mosegnet-lut", alias="schema")
    schema_version: Literal[2] = 2
    device: DeviceRecord
    space: dict[str, Any]
    method: MethodRecord
    entries: dict[str, Entry]
    unmeasured: dict[str, str] = {}  # units that the device cannot run, with its reason: the table is incomplete
    calibration: Calibration
    validation: Validation | None = None
    visits: list[Visit] = []
    energy: Energy | None = None  # absent: the device did not tell it
