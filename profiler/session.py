"""Carries a plan out: visits in random order, a reference between the blocks, every result at once in the journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from device_agents.faults import Fault
from mosegnet.common.console import Bar, progress_bar, warn
from mosegnet.common.errors import DeviceError
from mosegnet.common.journal import Journal
from profiler.link import Link, Rule, Timing
from profiler.plan import Job
from profiler.visits import DISAGREEMENT, Record, estimates

BLOCK = 8  # models between two measurements of the reference
VISITS = 2
NETWORK_VISITS = 3  # whole networks decide over the table's correction and its proof
MOST_VISITS = 5
REFERENCE_RULE = Rule(target=0.02, floor=5, cap=12)


class Session:
    """One build or validation on one device.

    `records` are those already in the journal: what they hold is not measured again. The order of each visit follows
    from the seed alone, so an interrupted session goes on where it was.

    Raises:
        DeviceError: the device failed for good, or refuses a model; everything measured so far is in the journal.
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
    ) -> None:
        self._jobs, self._reference = jobs, reference
        self._link, self._journal, self._rule, self._seed = link, journal, rule, seed
        self.records = records
        self.clock: str = link.hello()["clock"]

    def run(self, title: str) -> None:
        """Make every visit that is due, then those to models whose visits disagree."""
        planned = [self._due(visit, self._is_planned(visit)) for visit in range(NETWORK_VISITS)]
        total = sum(len(jobs) for jobs in planned)
        left = [self._not_done(visit, jobs) for visit, jobs in enumerate(planned)]
        with progress_bar(title, total) as bar:
            bar.advance(total - sum(len(jobs) for jobs in left))
            for visit, jobs in enumerate(left):
                self._visit(visit, jobs, bar)
        for visit in range(VISITS, MOST_VISITS):
            self._visit_again(visit)

    def _visit_again(self, visit: int) -> None:
        before = [record for record in self.records if record.get("visit", 0) < visit]
        known = estimates(before, self.clock)
        planned = self._is_planned(visit)
        jobs = self._due(visit, lambda job: not planned(job) and known[job.key].disagreement > DISAGREEMENT)
        jobs = self._not_done(visit, jobs)
        if jobs:
            with progress_bar(f"visiting {len(jobs)} again, whose visits disagree", len(jobs)) as bar:
                self._visit(visit, jobs, bar)

    @staticmethod
    def _is_planned(visit: int) -> Callable[[Job], bool]:
        return lambda job: visit < (VISITS if job.role in ("unit", "context") else NETWORK_VISITS)

    def _due(self, visit: int, wanted: Callable[[Job], bool]) -> list[Job]:
        """The jobs of a visit, in its own random order."""
        order = np.random.default_rng([self._seed, visit]).permutation(len(self._jobs))
        return [self._jobs[k] for k in order if wanted(self._jobs[k])]

    def _not_done(self, visit: int, jobs: Sequence[Job]) -> list[Job]:
        done = {record["key"] for record in self.records if record["what"] == "measured" and record["visit"] == visit}
        return [job for job in jobs if job.key not in done]

    def _visit(self, visit: int, jobs: Sequence[Job], bar: Bar) -> None:
        for start in range(0, len(jobs), BLOCK):
            self._measure_reference(visit)
            for job in jobs[start : start + BLOCK]:
                timing = self._time(job, self._rule)
                self._keep({"what": "measured", "visit": visit, "key": job.key, "role": job.role}, timing)
                bar.advance(1, job.role)
        if jobs:
            self._measure_reference(visit)

    def _measure_reference(self, visit: int) -> None:
        timing = self._time(self._reference, REFERENCE_RULE)
        self._keep({"what": "reference", "visit": visit, "key": self._reference.key}, timing)

    def _time(self, job: Job, rule: Rule) -> Timing:
        model = job.make()
        timing = self._link.time(model, rule, job.key)
        if isinstance(timing, Fault):
            warn(f"{job.key}: {timing.detail}; trying once more")
            timing = self._link.time(model, rule, job.key)
        if isinstance(timing, Fault):
            raise DeviceError(f"{job.key} cannot be measured ({timing.kind}: {timing.detail})")
        return timing

    def _keep(self, what: Record, timing: Timing) -> None:
        record = {**what, "time_s": round(time.time(), 3), **asdict(timing)}
        self._journal.append(record)
        self.records.append(record)
