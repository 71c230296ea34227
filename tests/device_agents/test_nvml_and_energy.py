import ctypes

import pytest

from device_agents import nvml, standins
from device_agents.energy import measure_energy
from device_agents.faults import Fault


class Library:
    """What NVML answers, by the name of the call: a number that goes into the last argument, or an error's status."""

    def __init__(self, **answers):
        self.calls = []
        answers = {"nvmlInit_v2": 0, "nvmlDeviceGetHandleByPciBusId_v2": 7, **answers}
        for name, answer in answers.items():
            setattr(self, name, self._function(name, answer))

    def _function(self, name, answer):
        def function(*arguments):
            self.calls.append((name, arguments))
            if isinstance(answer, Error):
                return answer.status
            if callable(answer):
                return answer(*arguments)
            if arguments:
                target = arguments[-1]
                getattr(target, "_obj", target).value = answer
            return 0

        return function


class Error:
    def __init__(self, status):
        self.status = status


@pytest.fixture
def card(monkeypatch):
    def make(**answers):
        monkeypatch.setattr(standins, "nvml", lambda: Library(**answers))
        return nvml.open_card("0000:01:00.0")

    return make


def test_reads_what_the_card_tells(card):
    def processes(handle, count, table):
        count._obj.value = 3
        return 0

    def clock(handle, kind, mhz):
        mhz._obj.value = {1: 1500, 2: 7000}[kind.value]
        return 0

    def driver(text, length):
        text.value = b"535.10"
        return 0

    readings = card(
        nvmlDeviceGetTemperature=61,
        nvmlDeviceGetPowerUsage=150500,
        nvmlDeviceGetTotalEnergyConsumption=123456789012,
        nvmlDeviceGetPersistenceMode=0,
        nvmlDeviceGetClockInfo=clock,
        nvmlDeviceGetCurrentClocksEventReasons=0x4 | 0x40 | 0x8000,
        nvmlDeviceGetComputeRunningProcesses_v3=processes,
        nvmlSystemGetDriverVersion=driver,
        nvmlDeviceGetApplicationsClock=Error(3),
    ).read()
    assert readings == {
        "gpu_driver": "535.10",
        "gpu_persistence": False,
        "gpu_temperature_c": 61,
        "gpu_power_w": 150.5,
        "gpu_energy_mj": 123456789012,
        "gpu_reasons": ["sw_power_cap", "hw_thermal_slowdown", "unknown_0x8000"],
        "gpu_other_processes": 2,
        "gpu_sm_clock_mhz": 1500,
        "gpu_memory_clock_mhz": 7000,
    }


def test_older_drivers_call_reasons_otherwise(card):
    assert card(nvmlDeviceGetCurrentClocksThrottleReasons=0x8).read() == {"gpu_reasons": ["hw_slowdown"]}


def test_more_processes_than_asked_for_are_counted(card):
    def processes(handle, count, table):
        count._obj.value = 99
        return 7  # the table is too small

    assert card(nvmlDeviceGetComputeRunningProcesses_v3=processes).read() == {"gpu_other_processes": 98}


def test_a_card_that_tells_nothing_has_no_readings(card):
    assert card().read() == {}
    assert card().identity() == {}


@pytest.mark.parametrize("refused", ["nvmlInit_v2", "nvmlDeviceGetHandleByPciBusId_v2"])
def test_a_card_that_is_not_found_is_a_fault(card, refused):
    fault = card(**{refused: Error(6)})
    assert isinstance(fault, Fault)
    assert refused in fault.detail


def test_a_host_without_a_driver_is_a_fault(monkeypatch):
    monkeypatch.delenv(standins.VERSION, raising=False)

    def missing(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert "libnvidia-ml.so.1" in nvml.open_card("0000:01:00.0").detail


def test_the_card_of_a_runtime_that_names_none_must_be_the_only_one(monkeypatch):
    for count, found in ((1, nvml.Card), (2, Fault)):
        library = Library(nvmlDeviceGetCount_v2=count, nvmlDeviceGetHandleByIndex_v2=7)
        monkeypatch.setattr(standins, "nvml", lambda library=library: library)
        assert isinstance(nvml.open_only_card(), found)


class Model:
    """Every run takes 2 ms and 40 mJ of a clock of its own."""

    def __init__(self, monkeypatch):
        self.now_s = 0.0
        monkeypatch.setattr("time.perf_counter", lambda: self.now_s)

    def run(self):
        self.now_s += 0.002

    @property
    def spent_mj(self):
        return 20000 * self.now_s


class Meter:
    def __init__(self, energy=None, power=None):
        self._energy, self._power = energy, power

    def energy_mj(self):
        return self._answer(self._energy)

    def power_mw(self):
        return self._answer(self._power)

    @staticmethod
    def _answer(reader):
        if reader is None:
            raise LookupError("the card does not tell")
        return reader()


def test_energy_from_a_counter_of_coarse_steps(monkeypatch):
    """The counter moves every 100 ms: from step to step the figure is exact all the same."""
    model = Model(monkeypatch)
    meter = Meter(energy=lambda: 20000 * (int(model.now_s * 10 + 1e-9) / 10))
    found = measure_energy(model, meter, 1.05, lambda: None)
    assert found["source"] == "counter"
    assert found["energy_mj"] == pytest.approx(40, rel=1e-3)
    assert found["runs"] == pytest.approx(500, abs=51)


def test_energy_from_power_where_there_is_no_counter(monkeypatch):
    model = Model(monkeypatch)
    found = measure_energy(model, Meter(power=lambda: 20000 + 5000 * (model.now_s * 500 % 2 < 1)), 1.0, lambda: None)
    assert found["source"] == "power_samples"
    assert found["energy_mj"] == pytest.approx(2 * 22.5, rel=0.1)


def test_energy_that_nobody_tells_is_a_fault(monkeypatch):
    assert measure_energy(Model(monkeypatch), Meter(), 1.0, lambda: None).kind == "energy"


def test_a_counter_that_stands_still_is_a_fault(monkeypatch):
    fault = measure_energy(Model(monkeypatch), Meter(energy=lambda: 5), 0.1, lambda: None)
    assert fault.kind == "energy"
    assert "did not move" in fault.detail


@pytest.mark.parametrize("window_s", [0, -1, 61, "2", True, None])
def test_an_unfit_window_is_a_fault(monkeypatch, window_s):
    assert measure_energy(Model(monkeypatch), Meter(), window_s, lambda: None).kind == "protocol"
