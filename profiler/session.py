"""Carries jobs out: visits in random order, a reference between the blocks, every result at once in the journal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from device_agents.faults import Fault
from device_agents.statistics import ci95, trimmed_mean
from mosegnet.common.console import Bar, progress_bar, warn
from mosegnet.common.errors import DeviceError
from mosegnet.common.journal import Journal
from profiler.link import Link, Rule, Timing
from profiler.plan import EFFORT, Effort, Job, Role
from profiler.visits import Record, estimates, needs_more, outliers

BLOCK = 8  # models between two measurements of the reference
REFERENCE_RULE = Rule(target=0.02, floor=5, cap=12)
OF_THE_MODEL = ("load", "run", "memory", "profile")  # kinds of fault that another model may be free of
_REFUSED_IN_A_ROW = 5  # at the very start: then it is the device
_PROFILE_MS = 40.0  # of runs that one profile holds, within the bounds
_PROFILE_RUNS = (3, 10)
_PROFILE_WARM_UP = 1
_TELEMETRY = ("load_1min", "steal_ticks", "total_ticks", "throttle_count", "temperature_c", "frequency_mhz")

Unsure = Callable[[Sequence[Record]], set[str]]  # keys of profiled networks that deserve another visit


class Session:
    """One build or validation on one device.

    `records` are those already in the journal: what they hold is not measured again. The order of each visit follows
    from the seed alone, so an interrupted session goes on where it was. A model that the device refuses twice is
    recorded as refused, with the reason, and not tried again.

    Raises:
        DeviceError: the device failed for good, or refuses everything; what was measured so far is in the journal.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        reference: Job,
        link: Link,
        journal: Journal,
        records: list[Record],
        rule: Rule,
        seed: int,
        effort: Mapping[Role, Effort] = EFFORT,
        unsure: Unsure | None = None,
    ) -> None:
        self._jobs, self._reference = jobs, reference
        self._link, self._journal, self._rule, self._seed = link, journal, rule, seed
        self._effort, self._unsure = effort, unsure
        self.records = records
        self.clock: str = link.hello()["clock"]

    def run(self, title: str) -> None:
        """Make every visit that is due, then those to models of which too little is known."""
        most = max(effort.visits for effort in self._effort.values())
        planned = [self._planned(visit) for visit in range(most)]
        total = sum(len(jobs) for jobs in planned)
        left = [self._not_done(visit, jobs) for visit, jobs in enumerate(planned)]
        with progress_bar(title, total) as bar:
            bar.advance(total - sum(len(jobs) for jobs in left))
            for visit, jobs in enumerate(left):
                self._visit(visit, jobs, bar)
        for visit in range(1, max(effort.most for effort in self._effort.values())):
            self._visit_again(visit)

    def refuse_gaps(self) -> None:
        """For work that is of no use without every model.

        Raises:
            DeviceError: the device refused one; names it, with the reason.
        """
        for record in self.records:
            if record["what"] == "refused":
                raise DeviceError(f"{record['key']} cannot be measured ({record['kind']}: {record['detail']})")

    def _visit_again(self, visit: int) -> None:
        before = [record for record in self.records if record.get("visit", 0) < visit]
        unsure = self._too_little_known(before)
        jobs = self._due(
            visit,
            lambda job: self._effort[job.role].visits <= visit < self._effort[job.role].most and job.key in unsure,
        )
        jobs = self._not_done(visit, jobs)
        if jobs:
            with progress_bar(f"visiting {len(jobs)} again of which too little is known", len(jobs)) as bar:
                self._visit(visit, jobs, bar)

    def _planned(self, visit: int) -> list[Job]:
        return self._due(visit, lambda job: visit < self._effort[job.role].visits)

    def _too_little_known(self, records: list[Record]) -> set[str]:
        timed = {key for key, found in estimates(records, self.clock).items() if needs_more(found)}
        return timed | (self._unsure(records) if self._unsure is not None else set())

    def _due(self, visit: int, wanted: Callable[[Job], bool]) -> list[Job]:
        """The jobs of a visit, in its own random order."""
        order = np.random.default_rng([self._seed, visit]).permutation(len(self._jobs))
        return [self._jobs[k] for k in order if wanted(self._jobs[k])]

    def _not_done(self, visit: int, jobs: Sequence[Job]) -> list[Job]:
        done = {
            record["key"]
            for record in self.records
            if record["what"] == "refused" or (record["what"] in ("measured", "profiled") and record["visit"] == visit)
        }
        return [job for job in jobs if job.key not in done]

    def _visit(self, visit: int, jobs: Sequence[Job], bar: Bar) -> None:
        for start in range(0, len(jobs), BLOCK):
            self._measure_reference(visit)
            for job in jobs[start : start + BLOCK]:
                bar.advance(1, self._measure(visit, job))
        if jobs:
            self._measure_reference(visit)

    def _measure(self, visit: int, job: Job) -> str:
        """Measure one model; returns some words for the progress bar."""
        what = {"visit": visit, "key": job.key, "role": job.role}
        found = self._persist(job)
        if isinstance(found, Fault):
            self._keep({"what": "refused", **what, **found.to_dict()})
            self._give_up_on_a_device_that_refuses_everything(found)
            return f"{job.role} refused"
        if isinstance(found, Timing):
            samples = found.samples_ms[self.clock]
            self._keep({"what": "measured", **what, **asdict(found), "outliers": outliers(samples)})
            return f"{job.role} ±{100 * ci95(samples) / trimmed_mean(samples):.1f} %"
        self._keep({"what": "profiled", **what, **asdict(found)})
        return job.role

    def _persist(self, job: Job) -> Any:
        """A Timing or a Profile; a Fault when the device refused the model twice."""
        found = self._ask(job)
        if isinstance(found, Fault):
            warn(f"{job.key}: {found.detail}; trying once more")
            found = self._ask(job)
        if isinstance(found, Fault) and found.kind not in OF_THE_MODEL:
            raise DeviceError(f"{job.key} cannot be measured ({found.kind}: {found.detail}); what was measured is kept")
        return found

    def _ask(self, job: Job) -> Any:
        model = job.make()
        if job.role == "designed":
            assert isinstance(model, bytes)
            return self._link.profile(model, _PROFILE_WARM_UP, self._profile_runs(job), job.key)
        effort = self._effort[job.role]
        return self._link.time(model, replace(self._rule, target=self._rule.target * effort.looseness), job.key)

    def _profile_runs(self, job: Job) -> int:
        reference = next(record for record in reversed(self.records) if record["what"] == "reference")
        expected_ms = trimmed_mean(reference["samples_ms"][self.clock]) * job.flops / self._reference.flops
        least, most = _PROFILE_RUNS
        return min(most, max(least, math.ceil(_PROFILE_MS / expected_ms)))

    def _measure_reference(self, visit: int) -> None:
        timing = self._link.time(self._reference.make(), REFERENCE_RULE, self._reference.key)
        if isinstance(timing, Fault):
            raise DeviceError(
                f"the device cannot run the reference, the least network ({timing.kind}: {timing.detail}); "
                "`profiler doctor` says what may be behind it"
            )
        state = {name: value for name, value in self._link.telemetry().items() if name in _TELEMETRY}
        self._keep({"what": "reference", "visit": visit, "key": self._reference.key, **asdict(timing), "state": state})

    def _give_up_on_a_device_that_refuses_everything(self, fault: Fault) -> None:
        tried = [record["what"] for record in self.records if record["what"] in ("measured", "profiled", "refused")]
        if len(tried) == _REFUSED_IN_A_ROW and set(tried) == {"refused"}:
            raise DeviceError(
                f"the device refuses every model ({fault.kind}: {fault.detail}); delete the journal to start anew"
            )

    def _keep(self, record: Record) -> None:
        record = {**record, "time_s": round(time.time(), 3)}
        self._journal.append(record)
        self.records.append(record)
