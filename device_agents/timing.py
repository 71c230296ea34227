"""The measuring loop: clocks, warm-up, samples, stopping. It runs on the device, so no link is inside a measurement."""

import gc
import time

from device_agents.faults import Fault
from device_agents.statistics import ci95, median, trimmed_mean

# thread_cpu: what the calling thread used, right for one thread, blind to others; device: what the model's `run` says
CLOCKS = ("thread_cpu", "wall", "device")
_CLOCK_SHARE = 0.005  # reading the clocks may cost this share of a sample at most
_WARM_UP_MS = 5.0  # a warm-up window holds this much work, or one run where a run is longer
_WARM_UP_RUNS = 8  # in a window at most
_WARM_UP_WINDOWS = 12
_AGREEMENT = 0.03  # of the medians of two windows in a row


class Rule(object):
    """When to stop: the 95 % interval of the trimmed mean is within `target` of it, not before `floor` samples.

    At `cap` samples, or after `limit_s` seconds and the floor, the model counts as not converged.
    """

    __slots__ = ("cap", "floor", "limit_s", "target")

    def __init__(self, target=0.01, floor=5, cap=60, limit_s=30.0):
        if not (0 < target < 1 and 3 <= floor <= cap and limit_s > 0):
            raise ValueError("a rule needs 0 < target < 1, 3 <= floor <= cap and a positive limit_s")
        self.target, self.floor, self.cap, self.limit_s = target, floor, cap, limit_s

    def satisfied(self, samples):
        """Whether these samples are enough."""
        return len(samples) >= self.floor and ci95(samples) <= self.target * trimmed_mean(samples)

    def exhausted(self, samples, seconds):
        """Whether to give up on more."""
        return len(samples) >= self.cap or (seconds > self.limit_s and len(samples) >= self.floor)


def measure(model, rule, clock, alive):
    """Time one model until it is known well enough.

    model: has `run()`. rule: a Rule. clock: the one of CLOCKS that decides; all that there are get recorded. alive:
    called after every sample, so that whoever waits sees progress.
    Returns JSON data: `samples_ms` by clock in the order they were taken, milliseconds a run; `loops` runs a sample;
    `warm_up_runs`; `warm`, whether two windows agreed; `converged`; `spent_s`, warm-up included. Or a Fault.
    """
    began_s = time.perf_counter()
    timer = _Timer(model, clock, alive)
    collecting = gc.isenabled()
    gc.disable()
    try:
        warm = timer.warm_up()
        samples: dict = {clock: []}
        started = time.perf_counter()
        while not rule.satisfied(samples[clock]):
            if rule.exhausted(samples[clock], time.perf_counter() - started):
                break
            for name, ms in timer.sample().items():
                samples.setdefault(name, []).append(round(ms, 5))
    except _ClockError as error:
        return Fault("clock", error)
    except Exception as error:
        return Fault.of(error, "run")
    finally:
        if collecting:
            gc.enable()
    return {
        "samples_ms": samples,
        "loops": timer.loops,
        "warm_up_runs": timer.warm_up_runs,
        "warm": warm,
        "converged": rule.satisfied(samples[clock]),
        "spent_s": round(time.perf_counter() - began_s, 5),
    }


class _ClockError(Exception):
    pass


class _Timer(object):
    def __init__(self, model, clock, alive):
        self._model, self._clock, self._alive = model, clock, alive
        self._run_by_events = getattr(model, "run_by_events", None)
        self.loops = 1
        self.warm_up_runs = 0

    def sample(self):
        """Milliseconds a run on every clock, over `loops` runs."""
        run, loops = self._model.run, range(self.loops)
        wall, cpu = time.perf_counter(), thread_cpu_s()
        device_ms = [run() for _ in loops]
        spent_s = {"thread_cpu": thread_cpu_s() - cpu, "wall": time.perf_counter() - wall}
        if self._run_by_events is not None:  # in runs of its own, outside the other clocks
            device_ms = [self._run_by_events() for _ in loops]
        self._alive()
        if device_ms[0] is not None:
            spent_s["device"] = 1e-3 * sum(device_ms)
        if spent_s[self._clock] <= 0:
            raise _ClockError("{} advanced by {} s during a run".format(self._clock, spent_s[self._clock]))
        return {name: 1e3 * seconds / self.loops for name, seconds in spent_s.items()}

    def warm_up(self):
        """Run until the medians of two windows agree, and choose the runs a sample holds; whether they agreed."""
        size, before_ms, agreed = 1, None, False
        self.sample()  # the first run allocates and packs weights
        self.warm_up_runs = 1
        for _ in range(_WARM_UP_WINDOWS):
            now_ms = median([self.sample()[self._clock] for _ in range(size)])
            self.warm_up_runs += size
            agreed = before_ms is not None and abs(now_ms - before_ms) <= _AGREEMENT * before_ms
            if agreed:
                break
            before_ms = now_ms
            size = int(min(_WARM_UP_RUNS, max(1, round(_WARM_UP_MS / now_ms))))
        self.loops = int(clock_cost_ms(self._clock) / (_CLOCK_SHARE * now_ms)) + 1
        return agreed


def thread_cpu_s():
    """Seconds of processor time that the calling thread has used; `time.thread_time` came with Python 3.7."""
    return time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)


def has_thread_clock():
    """Whether this system has the thread's clock, fine enough to time with (some count in ticks of 10 ms)."""
    if not hasattr(time, "CLOCK_THREAD_CPUTIME_ID"):
        return False
    readings = set()
    until = time.perf_counter() + 0.002
    while time.perf_counter() < until:
        readings.add(thread_cpu_s())
    return len(readings) > 100


def clock_step_us(clock):
    """The least step by which a clock of the host advances, microseconds, to one digit; 0.0 for a device's own."""
    if clock == "device":
        return 0.0
    read = thread_cpu_s if clock == "thread_cpu" else time.perf_counter
    steps: list = []
    before = read()
    while len(steps) < 200:
        now = read()
        if now > before:
            steps.append(now - before)
        before = now
    return float("{:.1g}".format(1e6 * min(steps)))


def clock_cost_ms(clock):
    """What reading the clocks adds to a sample, at the median of some hundred readings."""
    costs_s = []
    for _ in range(101):
        wall, cpu = time.perf_counter(), thread_cpu_s()
        cpu, wall = thread_cpu_s() - cpu, time.perf_counter() - wall
        costs_s.append(cpu if clock == "thread_cpu" else wall)
    return 1e3 * median(costs_s)
