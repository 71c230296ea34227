"""The measuring loop against models whose cost is made up: a clock that the test turns by hand."""

import gc

import numpy as np
import pytest

from device_agents import timing
from device_agents.faults import Fault
from device_agents.statistics import trimmed_mean


class HandClock:
    """Stands in for both clocks; a model's run turns it."""

    def __init__(self, monkeypatch):
        self.now_s = 0.0
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now_s)
        monkeypatch.setattr(timing, "thread_cpu_s", self.read)

    def read(self):
        self.now_s += 1e-7  # a reading takes time
        return self.now_s


class Model:
    """Takes `cost_ms(run)` milliseconds in its n-th run."""

    def __init__(self, clock, cost_ms):
        self.clock, self.cost_ms, self.runs = clock, cost_ms, 0

    def run(self):
        self.clock.now_s += self.cost_ms(self.runs) / 1e3
        self.runs += 1


@pytest.fixture
def clock(monkeypatch):
    return HandClock(monkeypatch)


def measure(model, **rule):
    return timing.measure(model, timing.Rule(**rule), "thread_cpu", lambda: None)


def test_a_steady_model_stops_at_the_floor(clock):
    result = measure(Model(clock, lambda run: 2.0))
    assert result["converged"]
    assert result["warm"]
    assert len(result["samples_ms"]["thread_cpu"]) == len(result["samples_ms"]["wall"]) == 5
    assert trimmed_mean(result["samples_ms"]["thread_cpu"]) == pytest.approx(2.0, rel=1e-3)


def test_a_noisy_model_goes_on_until_its_interval_is_narrow(clock):
    rng = np.random.default_rng(1)
    result = measure(Model(clock, lambda run: 2.0 + 0.15 * rng.standard_normal()), cap=500)
    samples = result["samples_ms"]["thread_cpu"]
    assert result["converged"]
    assert 5 < len(samples) < 500
    assert timing.ci95(samples) <= 0.01 * trimmed_mean(samples)


def test_a_cap_reached_first_is_said(clock):
    rng = np.random.default_rng(2)
    result = measure(Model(clock, lambda run: 1.0 + rng.random()), cap=12)
    assert not result["converged"]
    assert len(result["samples_ms"]["thread_cpu"]) == 12


def test_time_runs_out_but_never_before_the_floor(clock):
    rng = np.random.default_rng(3)
    result = measure(Model(clock, lambda run: 1e3 * (1.0 + rng.random())), cap=50, limit_s=0.5)
    assert not result["converged"]
    assert len(result["samples_ms"]["thread_cpu"]) == 5


def test_warm_up_runs_are_not_samples(clock):
    """The first thirty runs take ten times as long and less and less."""
    result = measure(Model(clock, lambda run: 1.0 + 9.0 * 0.8**run))
    assert result["warm_up_runs"] >= 10
    assert max(result["samples_ms"]["thread_cpu"]) < 1.2


def test_a_model_that_never_settles_is_not_warm(clock):
    result = measure(Model(clock, lambda run: 1.5**run if run < 90 else 1.0), cap=5)
    assert not result["warm"]


def test_short_runs_share_a_sample(clock):
    model = Model(clock, lambda run: 0.001)
    result = measure(model)
    assert result["loops"] > 10
    assert trimmed_mean(result["samples_ms"]["thread_cpu"]) == pytest.approx(0.001, rel=0.015)


def test_runs_for_the_devices_events_are_apart(clock):
    """A model that is timed by events in runs of its own has these on no other clock."""
    model = Model(clock, lambda run: 2.0)

    def run_by_events():
        clock.now_s += 0.1
        return 1.5

    model.run_by_events = run_by_events
    result = measure(model)
    assert result["samples_ms"]["device"] == [1.5] * 5
    assert max(result["samples_ms"]["wall"]) < 2.1


def test_a_clock_that_runs_backwards_is_a_fault(clock):
    fault = measure(Model(clock, lambda run: -1.0 if run == 7 else 1.0))
    assert isinstance(fault, Fault)
    assert fault.kind == "clock"


def test_a_run_that_fails_is_a_fault(clock):
    def cost_ms(run):
        if run == 4:
            raise RuntimeError("the kernel\nfailed")
        return 1.0

    fault = measure(Model(clock, cost_ms))
    assert fault.to_dict() == {"kind": "run", "detail": "RuntimeError: the kernel failed"}
    assert gc.isenabled()


def test_out_of_memory_is_told_apart(clock):
    def cost_ms(run):
        raise MemoryError

    assert measure(Model(clock, cost_ms)).kind == "memory"


def test_says_that_it_is_alive_after_every_run(clock):
    calls = []
    model = Model(clock, lambda run: 1.0)
    timing.measure(model, timing.Rule(), "thread_cpu", lambda: calls.append(model.runs))
    assert calls == list(range(1, model.runs + 1))


@pytest.mark.parametrize("bad", [{"target": 0}, {"floor": 2}, {"floor": 9, "cap": 8}, {"limit_s": 0}])
def test_an_unfit_rule_is_refused(bad):
    with pytest.raises(ValueError):
        timing.Rule(**bad)


def test_this_system_has_a_thread_clock():
    assert timing.has_thread_clock()
    before = timing.thread_cpu_s()
    sum(range(10000))
    assert timing.thread_cpu_s() > before


def test_a_clock_in_ticks_does_not_serve(monkeypatch):
    monkeypatch.setattr(timing, "thread_cpu_s", lambda: round(timing.time.perf_counter(), 2))
    assert not timing.has_thread_clock()
