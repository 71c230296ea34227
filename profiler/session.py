"""Carries jobs out: visits in random order, a reference between the blocks, every result at once in the journal."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from device_agents.faults import Fault
from device_agents.statistics import ci95, trimmed_mean
from mosegnet.common.console import Bar, note, progress_bar, warn
from mosegnet.common.errors import DeviceError
from mosegnet.common.journal import Journal
from profiler.convert import Converter, Failure, NoConversion
from profiler.link import Link, Rule, Timing
from profiler.plan import EFFORT, Effort, Job, Role
from profiler.visits import Record, estimates, needs_more, outliers

BLOCK = 8  # models between two measurements of the reference
REFERENCE_RULE = Rule(target=0.02, floor=5, cap=12)
# kinds of fault that another model may be free of
OF_THE_MODEL = ("load", "run", "memory", "profile", "energy", "convert")
_REFUSED_IN_A_ROW = 5  # at the very start: then it is the device
_TOLD = 3  # second tries one by one; a unit that many networks have would fill the screen
_RESULTS = ("measured", "profiled", "energy")
_PROFILE_MS = 40.0  # of runs that one profile holds, within the bounds
_PROFILE_RUNS = (2, 10)
_PROFILE_WARM_UP = 1
ENERGY_WINDOW_S = 2.0  # a card's meter moves every 20 to 100 ms, and its average of power lags
_TELEMETRY = (
    "load_1min", "steal_ticks", "total_ticks", "throttle_count", "temperature_c", "frequency_mhz", "gpu_reasons",
    "gpu_sm_clock_mhz", "gpu_temperature_c",
)  # fmt: skip

Unsure = Callable[[Sequence[Record]], set[str]]  # keys of profiled networks that deserve another visit


class Session:
    """One build or validation on one device, or on several boards of its kind.

    `records` are those already in the journal: what they hold is not measured again. The order of each visit follows
    from the seed alone, so an interrupted session goes on where it was. A model that cannot be converted, or that the
    device refuses twice, is recorded as refused, with the reason, and not tried again. Boards share each visit; one
    that fails is set aside, and its work goes on elsewhere.

    Raises:
        DeviceError: every board failed for good, or refuses everything; what was measured is in the journal.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        reference: Job,
        links: Sequence[Link],
        journal: Journal,
        records: list[Record],
        rule: Rule,
        seed: int,
        effort: Mapping[Role, Effort] = EFFORT,
        unsure: Unsure | None = None,
        converter: Converter | None = None,
    ) -> None:
        self._jobs, self._reference = jobs, reference
        self._journal, self._rule, self._seed = journal, rule, seed
        self._effort, self._unsure = effort, unsure
        self._converter: Converter = converter or NoConversion()
        self.records = records
        self.clock: str = links[0].hello()["clock"]
        self._lock = threading.Lock()
        self._second_tries = 0
        self._boards = [_Board(k, link, self) for k, link in enumerate(links)]

    def run(self, title: str) -> None:
        """Make every visit that is due, then those to models of which too little is known."""
        most = max(effort.visits for effort in self._effort.values())
        planned = [self._planned(visit) for visit in range(most)]
        total = sum(len(jobs) for jobs in planned)
        with progress_bar(title, total) as bar:
            for visit, jobs in enumerate(planned):
                left = self._not_done(visit, jobs)  # what was refused in a visit before is done as well
                bar.advance(len(jobs) - len(left))
                self._visit(visit, left, bar)
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
        jobs = self._not_done(visit, self._due(visit, lambda job: self._may_be_visited_again(visit, job)))
        if jobs:
            unsure = self._too_little_known([record for record in self.records if record.get("visit", 0) < visit])
            jobs = [job for job in jobs if job.key in unsure]
        if jobs:
            with progress_bar(f"visiting {len(jobs)} again of which too little is known", len(jobs)) as bar:
                self._visit(visit, jobs, bar)

    def _may_be_visited_again(self, visit: int, job: Job) -> bool:
        effort = self._effort[job.role]
        return effort.visits <= visit < effort.most

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
            if record["what"] == "refused" or (record["what"] in _RESULTS and record["visit"] == visit)
        }
        return [job for job in jobs if job.key not in done]

    def _visit(self, visit: int, jobs: Sequence[Job], bar: Bar) -> None:
        """Share the jobs among the boards until all are done."""
        while jobs:
            with self._converter.models(jobs) as models:
                work = _Work(models)
                failures = self._share(visit, work, bar)
            jobs = self._not_done(visit, jobs)
            self._boards = [board for board in self._boards if board.number not in failures]
            if not self._boards:
                raise next(iter(failures.values()))
            for number, error in failures.items():
                warn(f"board {number + 1} is set aside: {error}; {len(self._boards)} go on")

    def _share(self, visit: int, work: _Work, bar: Bar) -> dict[int, DeviceError]:
        """Let every board work at once; the errors of those that failed, by number."""
        failures: dict[int, DeviceError] = {}
        others: list[BaseException] = []

        def carry_out(board: _Board) -> None:
            try:
                board.visit(visit, work, bar)
            except DeviceError as error:
                failures[board.number] = error
            except BaseException as error:
                others.append(error)
                work.stop()

        if len(self._boards) == 1:
            carry_out(self._boards[0])
        else:
            threads = [threading.Thread(target=carry_out, args=(board,), daemon=True) for board in self._boards]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if others:
            raise others[0]
        return failures

    def keep(self, record: Record) -> None:
        """Write a record to the journal, from any board's thread."""
        with self._lock:
            record = {**record, "time_s": round(time.time(), 3)}
            self._journal.append(record)
            self.records.append(record)

    # --- what a board asks ---------------------------------------------------------------------------------------

    def rule_of(self, job: Job) -> Rule:
        """The stopping rule for a job."""
        return replace(self._rule, target=self._rule.target * self._effort[job.role].looseness)

    @property
    def reference(self) -> Job:
        """The model measured again and again."""
        return self._reference

    def reference_model(self) -> bytes | Path:
        """The reference as the device loads it.

        Raises:
            DeviceError: it cannot be converted.
        """
        with self._converter.models([self._reference]) as models:
            model = next(iter(models))[1]
        if isinstance(model, Failure):
            raise DeviceError(f"the reference, the least network, cannot be converted: {model.message}")
        return model

    def tell_of_second_try(self, job: Job, fault: Fault) -> None:
        """Warn of the first few; those that fail again are named in the table with the reason."""
        with self._lock:
            self._second_tries += 1
            tries = self._second_tries
        if tries <= _TOLD:
            warn(f"{job.key}: {fault.detail}; trying once more")
        if tries == _TOLD:
            note("more second tries are made without a word; what fails again is in the table, with the reason")

    def give_up_on_a_device_that_refuses_everything(self, fault: Fault) -> None:
        """Five refusals at the very start are no fault of the models."""
        tried = [record["what"] for record in self.records if record["what"] in ("measured", "profiled", "refused")]
        if len(tried) == _REFUSED_IN_A_ROW and set(tried) == {"refused"}:
            raise DeviceError(
                f"the device refuses every model ({fault.kind}: {fault.detail}); `profiler doctor` may say why, "
                "--restart starts anew"
            )


class _Work:
    """Models that several boards take in turn."""

    def __init__(self, models: Iterator[tuple[Job, bytes | Path | Failure]]) -> None:
        self._models = models
        self._lock = threading.Lock()
        self._stopped = False

    def take(self) -> tuple[Job, bytes | Path | Failure] | None:
        with self._lock:
            return None if self._stopped else next(self._models, None)

    def stop(self) -> None:
        self._stopped = True


class _Board:
    """One link, and what it has in hand."""

    def __init__(self, number: int, link: Link, session: Session) -> None:
        self.number, self._link, self._session = number, link, session
        self._reference_model: bytes | Path | None = None
        self._reference_ms = 0.0

    def visit(self, visit: int, work: _Work, bar: Bar) -> None:
        count = 0
        while (taken := work.take()) is not None:
            if count % BLOCK == 0:
                self._measure_reference(visit)
            bar.advance(1, self._measure(visit, *taken))
            count += 1
        if count:
            self._measure_reference(visit)

    def _measure(self, visit: int, job: Job, model: bytes | Path | Failure) -> str:
        """Measure one model; returns some words for the progress bar."""
        what = self._what(visit, job.key) | {"role": job.role}
        found = Fault("convert", model.message) if isinstance(model, Failure) else self._persist(job, model)
        if isinstance(found, Fault):
            self._session.keep({"what": "refused", **what, **found.to_dict()})
            self._session.give_up_on_a_device_that_refuses_everything(found)
            return f"{job.role} refused"
        if isinstance(found, Timing):
            samples = found.samples_ms[self._session.clock]
            self._session.keep({"what": "measured", **what, **asdict(found), "outliers": outliers(samples)})
            return f"{job.role} ±{100 * ci95(samples) / trimmed_mean(samples):.1f} %"
        self._session.keep({"what": "energy" if job.role == "energy" else "profiled", **what, **asdict(found)})
        return job.role

    def _what(self, visit: int, key: str) -> Record:
        return {"visit": visit, "key": key} | ({"board": self.number} if self.number else {})

    def _persist(self, job: Job, model: bytes | Path) -> Any:
        """A Timing, a Profile or an EnergyReading; a Fault when the device refused the model twice."""
        found = self._ask(job, model)
        if isinstance(found, Fault):
            self._session.tell_of_second_try(job, found)
            found = self._ask(job, model)
        if isinstance(found, Fault) and found.kind not in OF_THE_MODEL:
            raise DeviceError(f"{job.key} cannot be measured ({found.kind}: {found.detail}); what was measured is kept")
        return found

    def _ask(self, job: Job, model: bytes | Path) -> Any:
        if job.role == "energy":
            return self._link.energy(model, ENERGY_WINDOW_S, job.key)
        if job.role == "designed":
            assert isinstance(model, bytes)
            return self._link.profile(model, _PROFILE_WARM_UP, self._profile_runs(job), job.key)
        return self._link.time(model, self._session.rule_of(job), job.key)

    def _profile_runs(self, job: Job) -> int:
        expected_ms = self._reference_ms * job.flops / self._session.reference.flops
        least, most = _PROFILE_RUNS
        return min(most, max(least, math.ceil(_PROFILE_MS / expected_ms)))

    def _measure_reference(self, visit: int) -> None:
        if self._reference_model is None:
            self._reference_model = self._session.reference_model()
        key = self._session.reference.key
        timing = self._link.time(self._reference_model, REFERENCE_RULE, key)
        if isinstance(timing, Fault):
            raise DeviceError(
                f"the device cannot run the reference, the least network ({timing.kind}: {timing.detail}); "
                "`profiler doctor` says what may be behind it"
            )
        self._reference_ms = trimmed_mean(timing.samples_ms[self._session.clock])
        state = {name: value for name, value in self._link.telemetry().items() if name in _TELEMETRY}
        self._session.keep({"what": "reference", **self._what(visit, key), **asdict(timing), "state": state})
