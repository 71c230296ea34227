"""A table from other people's measurements: trtexec's, ais_bench's or msame's of networks that were exported."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from device_agents.statistics import median
from mosegnet.common.console import warn
from mosegnet.common.errors import UserError
from mosegnet.cost import costs
from mosegnet.digits import FloatArray, IntArray
from profiler import posterior
from profiler import prior as priors
from profiler.finish import calibration_of, entries_of, now, prove, runnable, say_what_networks_bear
from profiler.imports import Imported, read_times
from profiler.lut import Lut
from profiler.manifest import ROLES, Line, Manifest, Role
from profiler.plan import check_networks, network_key
from profiler.schema import DeviceRecord, ImportRecord, MethodRecord, Table
from profiler.validate import kendall_tau
from profiler.visits import Estimate, between_ms

_ENDINGS = (".json", ".txt", ".log")
_RUNTIMES = {"trtexec": ("gpu", "tensorrt"), "ais_bench": ("npu", "acl"), "msame": ("npu", "acl")}
_TARGET = 0.01
_LEAST_TAU = 0.3  # of latencies and multiply-adds: under it the files are hardly those of these networks
_ENOUGH_FOR_TAU = 5


@dataclass(frozen=True, slots=True)
class Origin:
    """What the files do not say of where they are from; None: it is not known."""

    name: str
    chip: str | None = None
    runtime_version: str | None = None
    precision: str | None = None


def import_table(manifest: Manifest, paths: Sequence[Path], origin: Origin, prior: Lut | None) -> Lut:
    """The table of the networks of a manifest that other tools measured, proven on those held out.

    paths: files, or folders that are searched for them. Several files of one network are its visits.

    Raises:
        UserError: a file that is no measurement or of no network here, measurements of two kinds, or too few networks.
    """
    files = find(manifest, paths)
    found = {line.stem: [(path, read_times(path)) for path in own] for line, own in files if own}
    tool, clock = _one_kind([pair for pairs in found.values() for pair in pairs])
    measured = {
        network_key(np.array(line.encoding)): estimate(line.stem, [one for _, one in found[line.stem]])
        for line in manifest.lines
        if line.stem in found
    }
    _say_missing(manifest, found)
    X, proof = (_measured_encodings(manifest, role, found) for role in ROLES)
    check_networks("networks" if prior is None else "hybrid", len(X))
    latency_ms = np.array([measured[network_key(x)].latency_ms for x in X])
    _say_if_foreign(manifest, X, latency_ms)
    space = manifest.space
    if prior is not None:
        known_prior, known = priors.of_table(space, prior, X, latency_ms)
        X = X[runnable(space, X, known)]
        latency_ms = np.array([measured[network_key(x)].latency_ms for x in X])
    else:
        say_what_networks_bear(space, X)
        known_prior, known = priors.of_costs(space, X, latency_ms)
    fitted = posterior.fit(space, known_prior, X, latency_ms)
    table = Table(
        device=_device_record(manifest, origin, tool),
        space=space.to_dict(),
        method=_method_record(manifest, found, (len(X), len(proof)), tool, clock, prior),
        entries=entries_of(space, known, fitted, _TARGET),
        unmeasured={unit.key: "the prior's device cannot run it" for unit in space.units if unit.key not in known},
        calibration=calibration_of(space, fitted, X, [measured[network_key(x)] for x in X]),
    )
    return prove(table, proof, measured, manifest.head.seed)


def find(manifest: Manifest, paths: Sequence[Path]) -> list[tuple[Line, list[Path]]]:
    """Each network with the files that carry its model's name, in the order given.

    Raises:
        UserError: a path that is not there, or a file named by itself that belongs to no network.
    """
    own: dict[str, list[Path]] = {line.stem: [] for line in manifest.lines}
    for path in paths:
        if not path.exists():
            raise UserError(f"measurement {path} does not exist")
        inside = sorted(file for file in path.rglob("*") if file.suffix in _ENDINGS) if path.is_dir() else [path]
        for file in inside:
            stem = _stem_of(file, own)
            if stem is not None and file not in own[stem]:
                own[stem].append(file)
            elif stem is None and not path.is_dir():
                raise UserError(f"{file} is named after no model of the list: call it as its model, such as NAME.json")
    return [(line, own[line.stem]) for line in manifest.lines]


def _stem_of(file: Path, stems: Mapping[str, object]) -> str | None:
    """NAME.json and NAME.run2.json belong to NAME."""
    parts = file.name.split(".")
    candidates = (".".join(parts[:k]) for k in range(len(parts) - 1, 0, -1))
    return next((stem for stem in candidates if stem in stems), None)


def _one_kind(found: Sequence[tuple[Path, Imported]]) -> tuple[str, str]:
    if not found:
        raise UserError(
            "no measurement was found: save each model's as NAME.json (trtexec --exportTimes) or NAME.txt (what "
            "ais_bench or msame printed)"
        )
    first = found[0]
    for path, one in found:
        if (one.tool, one.clock) != (first[1].tool, first[1].clock):
            raise UserError(
                f"{first[0]} is of {first[1].tool} and {path} of {one.tool}: import one tool's measurements at a time"
            )
    return first[1].tool, first[1].clock


def estimate(name: str, visits: Sequence[Imported]) -> Estimate:
    """One network's latency from its files: the median of each, their spread as the interval.

    Raises:
        UserError: a single file without any spread, or a latency of zero.
    """
    each_ms = [_middle_ms(one) for one in visits]
    if min(each_ms) <= 0:
        raise UserError(f"what was measured of {name} took no time: run {visits[0].tool} again")
    halves_ms = [half for one in visits if (half := half_ms(one)) is not None]
    if len(visits) == 1 and not halves_ms:
        raise UserError(
            f"what was measured of {name} is one figure without its spread: give the whole output of {visits[0].tool}, "
            "or a second measurement (NAME.run2.txt)"
        )
    within_ms = math.sqrt(math.fsum(half**2 for half in halves_ms)) / max(1, len(halves_ms))
    return Estimate(
        latency_ms=math.fsum(each_ms) / len(each_ms) if len(each_ms) < 3 else median(each_ms),
        ci95_ms=max(within_ms, between_ms(each_ms)),
        samples=sum(len(one.samples_ms) for one in visits),
        converged=True,
        visits_ms=tuple(each_ms),
        flags=(),
    )


def _middle_ms(one: Imported) -> float:
    middle = one.median_ms if one.median_ms is not None else one.mean_ms
    assert middle is not None
    return middle


def half_ms(one: Imported) -> float | None:
    """Half of the 95 % interval of a median, from the samples' order; without samples half of their range."""
    if not one.samples_ms:
        return None if one.range_ms is None else (one.range_ms[1] - one.range_ms[0]) / 2
    ordered, count = sorted(one.samples_ms), len(one.samples_ms)
    reach = 0.98 * math.sqrt(count)  # ranks about the middle, by the binomial distribution
    low, high = max(0, math.floor(count / 2 - reach)), min(count - 1, math.ceil(count / 2 + reach))
    return (ordered[high] - ordered[low]) / 2 if count > 1 else None


def _measured_encodings(manifest: Manifest, role: Role, found: Mapping[str, object]) -> IntArray:
    rows = [line.encoding for line in manifest.of(role) if line.stem in found]
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(manifest.space.cardinalities))


def _say_missing(manifest: Manifest, found: Mapping[str, object]) -> None:
    missing = [line.stem for line in manifest.lines if line.stem not in found]
    if missing:
        warn(f"{len(missing)} of {len(manifest.lines)} networks have no measurement, such as {missing[0]}")


def _say_if_foreign(manifest: Manifest, X: IntArray, latency_ms: FloatArray) -> None:
    tau = kendall_tau(costs(manifest.space, X).flops.astype(np.float64), latency_ms)
    if tau < _LEAST_TAU and len(X) >= _ENOUGH_FOR_TAU:
        warn(
            f"these latencies hardly follow the networks' multiply-adds (tau {tau:.2f}): are they of these models, "
            "and named after them?"
        )


def _device_record(manifest: Manifest, origin: Origin, tool: str) -> DeviceRecord:
    kind, runtime = _RUNTIMES[tool]
    return DeviceRecord(
        name=origin.name,
        kind=kind,
        chip=origin.chip or "",
        system="",
        runtime=runtime,
        runtime_version=origin.runtime_version or "not stated",
        runtime_options={"measured_by": tool},
        precision=origin.precision or manifest.head.precision,
        batch=1,
        agent_version="none",
        simulated=False,
    )


def _method_record(
    manifest: Manifest,
    found: Mapping[str, Sequence[tuple[Path, Imported]]],
    networks: tuple[int, int],
    tool: str,
    clock: str,
    prior: Lut | None,
) -> MethodRecord:
    files = [pair for pairs in found.values() for pair in pairs]
    digests = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path, _ in files)
    samples = [one.samples_ms for _, one in files]
    return MethodRecord(
        name="networks" if prior is None else "hybrid",
        plan=dict(zip(ROLES, networks, strict=True)),
        prior=prior.sha256 if prior is not None else None,
        seed=manifest.head.seed,
        clock=clock,
        statistic="median of a file's samples, mean or median of a network's files; units fitted to networks",
        visits=len(files),
        device_time_s=round(1e-3 * math.fsum(ms for one in samples for ms in one), 3),
        restarts=0,
        started=now(),
        finished=now(),
        tool_version=version("mosegnas-hil"),
        imported=ImportRecord(
            tool=tool,
            files=len(files),
            samples=sum(len(one) for one in samples),
            sha256=hashlib.sha256("\n".join(digests).encode()).hexdigest(),
        ),
    )
