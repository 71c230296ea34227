"""Energy of an inference: from the card's counter, or from samples of its power where it has none.

The figure is of the whole card while it is busy with nothing else, idle power included.
"""

import time

from device_agents.faults import Fault

WINDOW_S = 2.0  # counters and averages of power are renewed every 20 to 100 ms
_LIMIT = 5  # windows, for a counter that hardly moves
_WARM_UP_S = 0.5  # the card's average of power lags behind


def measure_energy(model, card, window_s, alive):
    """Run the model for at least `window_s` seconds and divide the energy by the inferences.

    model: has `run()`. card: has `energy_mj()` and `power_mw()`, each of which may raise LookupError. Returns JSON
    data: `energy_mj` an inference, `runs`, `seconds`, `source` (`counter` or `power_samples`). Or a Fault where the
    card gives neither.
    """
    if isinstance(window_s, bool) or not isinstance(window_s, (int, float)) or not 0 < window_s <= 60:
        return Fault("protocol", "window_s must be a number over 0 and 60 at most, not {!r}".format(window_s))
    for source, read, meter in (("counter", card.energy_mj, _Counter), ("power_samples", card.power_mw, _Power)):
        try:
            read()
        except LookupError:
            continue
        _busy(model, min(_WARM_UP_S, window_s), alive)
        return _measure(model, meter(read), source, window_s, alive)
    return Fault("energy", "the card tells neither its energy nor its power")


def _busy(model, seconds, alive):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        model.run()
        alive()


def _measure(model, meter, source, window_s, alive):
    began = time.perf_counter()
    runs = 0
    while True:
        model.run()
        alive()
        runs += 1
        now = time.perf_counter()
        meter.take(now, runs)
        if now - began >= window_s and (meter.runs or now - began >= _LIMIT * window_s):
            break
    if not meter.runs:
        return Fault("energy", "the card's {} did not move in {:.1f} s".format(source, now - began))
    return {
        "energy_mj": round(meter.energy_mj / meter.runs, 6),
        "runs": meter.runs,
        "seconds": round(meter.seconds, 4),
        "source": source,
    }


class _Counter(object):
    """From one step of the counter to another, so that how seldom it is renewed does not matter."""

    def __init__(self, read):
        self._read, self._last = read, read()
        self._first = None  # (seconds, runs, mJ) at the first step
        self.runs, self.energy_mj, self.seconds = 0, 0.0, 0.0

    def take(self, now_s, runs):
        energy_mj = self._read()
        if energy_mj == self._last:
            return
        self._last = energy_mj
        if self._first is None:
            self._first = (now_s, runs, energy_mj)
            return
        self.seconds, self.runs = now_s - self._first[0], runs - self._first[1]
        self.energy_mj = energy_mj - self._first[2]


class _Power(object):
    """The sum of power times time, by trapezoids."""

    def __init__(self, read):
        self._read, self._last = read, None
        self.runs, self.energy_mj, self.seconds = 0, 0.0, 0.0

    def take(self, now_s, runs):
        power_mw = self._read()
        if self._last is not None:
            before_s, before_mw = self._last
            self.energy_mj += (now_s - before_s) * (power_mw + before_mw) / 2  # mW s = mJ
            self.seconds += now_s - before_s
            self.runs += 1
        self._last = (now_s, power_mw)
