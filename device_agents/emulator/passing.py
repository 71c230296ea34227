"""How time passes on the emulated device: the model's milliseconds with noise, warm-up and heat, and the waiting."""

import math
import random
import time
from typing import Any

try:
    import ctypes

    _holding: Any = ctypes.PyDLL(None)  # its calls keep the interpreter's lock, as `acl.mdl.execute` does
except (ImportError, OSError):
    _holding = None

_SPIN_S = 0.0003  # before the end of a wait, for sleeping is not exact


def wait(seconds, hold=False):
    """Let real time pass; `hold` keeps other threads of the process from running meanwhile."""
    until = time.perf_counter() + seconds
    asleep = seconds - _SPIN_S
    if asleep > 0:
        if hold and _holding is not None:
            while asleep > 0:  # usleep takes less than a second at a time on some systems
                _holding.usleep(int(1e6 * min(asleep, 0.9)))
                asleep = until - _SPIN_S - time.perf_counter()
        else:
            time.sleep(asleep)
    while time.perf_counter() < until:
        pass


def hang():
    """Never come back, holding the interpreter's lock."""
    while True:
        if _holding is not None:
            _holding.sleep(1000000)
        time.sleep(0.001)


class Passing(object):
    """Makes the runs of one process take their time. parameters: of `timing_model`."""

    def __init__(self, parameters, seed, time_factor):
        self._p = parameters
        self._random = random.Random("acl {}".format(seed))
        self._factor = time_factor
        self._heat = 0.0
        self._idle_since_s = time.perf_counter()

    def real_s(self, modelled_s):
        """How long to wait for so many seconds of the model."""
        return modelled_s * self._factor

    def run_ms(self, model_ms, run):
        """How long the `run`-th run (from 0) of a model takes whose undisturbed time is `model_ms`."""
        p, chance = self._p, self._random
        factor = 1.0 + p.noise_share * chance.gauss(0.0, 1.0)
        if chance.random() < p.outlier_share:
            factor += chance.expovariate(1.0 / p.outlier_slowdown)
        factor += p.warm_up_slowdown * math.exp(-run / p.warm_up_runs)
        self._cool()
        ms = model_ms * max(0.5, factor) * (1.0 + p.heat_slowdown * self._heat)
        self._heat = 1.0 - (1.0 - self._heat) * math.exp(-1e-3 * ms / p.heat_s)
        return ms

    def finished(self):
        """A run is over: from now on the chip cools."""
        self._idle_since_s = time.perf_counter()

    def _cool(self):
        if self._factor > 0:  # without waiting, nobody can tell how long it was idle
            idle_s = (time.perf_counter() - self._idle_since_s) / self._factor
            self._heat *= math.exp(-max(0.0, idle_s) / self._p.cool_s)
