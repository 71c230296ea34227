"""The graphics card as NVML tells it, through ctypes on the driver's own library: no package is needed.

`open_card` finds the card; its `read()` is telemetry, `identity()` what a table records, `energy_mj()` and `power_mw()`
what an energy measurement counts. Every reading is optional: what a card or a driver does not give is absent.
"""

import ctypes
import functools

from device_agents import standins
from device_agents.faults import Fault

_LIBRARY = "libnvidia-ml.so.1"
_SUCCESS = 0
_NOT_ENOUGH_SPACE = 7  # NVML_ERROR_INSUFFICIENT_SIZE
_CLOCKS = (("sm", 1), ("memory", 2))
_TEMPERATURE_GPU = 0
_PROCESSES = 64

# nvmlClocksEventReasons, called throttle reasons by older drivers
REASONS = (
    (0x1, "gpu_idle"),
    (0x2, "applications_clocks_setting"),
    (0x4, "sw_power_cap"),
    (0x8, "hw_slowdown"),
    (0x10, "sync_boost"),
    (0x20, "sw_thermal_slowdown"),
    (0x40, "hw_thermal_slowdown"),
    (0x80, "hw_power_brake_slowdown"),
    (0x100, "display_clock_setting"),
)


class _Process(ctypes.Structure):
    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used_bytes", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    )


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _Missing(LookupError):
    """This card or driver does not tell."""


def open_card(bus_id):
    """The card at a PCI bus id such as 0000:01:00.0 (numbers differ between CUDA and NVML), or a Fault."""
    return _open("nvmlDeviceGetHandleByPciBusId_v2", bus_id.encode(), "at " + bus_id)


def open_only_card():
    """The card of a host that has one and no other, for runtimes that cannot name theirs; or a Fault."""
    card = _open("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(0), "number 0")
    if isinstance(card, Fault):
        return card
    if card.neighbours() != 0:
        return Fault("telemetry", "this host has several cards, and this runtime does not say which one it uses")
    return card


def _open(call, place, words):
    try:
        library = standins.nvml() or ctypes.CDLL(_LIBRARY)
    except OSError as error:
        return Fault("telemetry", "the driver's library {} cannot be loaded: {}".format(_LIBRARY, error))
    calls = _Calls(library)
    try:
        calls("nvmlInit_v2")
        handle = ctypes.c_void_p()
        calls(call, place, ctypes.byref(handle))
    except _Missing as error:
        return Fault("telemetry", "NVML does not know the card {}: {}".format(words, error))
    return Card(calls, handle)


class Card(object):
    """One card."""

    def __init__(self, calls, handle):
        self._calls, self._handle = calls, handle

    def neighbours(self):
        """How many other cards this host has; None where NVML does not say."""
        count = ctypes.c_uint()
        try:
            self._calls("nvmlDeviceGetCount_v2", ctypes.byref(count))
        except _Missing:
            return None
        return count.value - 1

    def identity(self):
        """What must not change while measuring: driver, limits of the clock and of the power."""
        return _given(
            {
                "driver": self._driver,
                "gpu_sm_clock_max_mhz": lambda: self._clock("nvmlDeviceGetMaxClockInfo", 1),
                "gpu_sm_clock_application_mhz": lambda: self._clock("nvmlDeviceGetApplicationsClock", 1),
                "gpu_power_limit_w": lambda: self._number("nvmlDeviceGetEnforcedPowerLimit") / 1e3,
            }
        )

    def read(self):
        """Telemetry, a flat dict with units in its names."""
        found = {
            "gpu_driver": self._driver,
            "gpu_persistence": lambda: bool(self._number("nvmlDeviceGetPersistenceMode")),
            "gpu_temperature_c": lambda: self._number("nvmlDeviceGetTemperature", ctypes.c_uint(_TEMPERATURE_GPU)),
            "gpu_power_w": lambda: self.power_mw() / 1e3,
            "gpu_energy_mj": self.energy_mj,
            "gpu_reasons": self._reasons,
            "gpu_other_processes": self._others,
            "gpu_memory_free_mb": lambda: self._value("nvmlDeviceGetMemoryInfo", _Memory).free >> 20,
        }
        for name, kind in _CLOCKS:
            for word, call in (("", "ClockInfo"), ("max_", "MaxClockInfo"), ("application_", "ApplicationsClock")):
                reader = functools.partial(self._clock, "nvmlDeviceGet" + call, kind)
                found["gpu_{}_clock_{}mhz".format(name, word)] = reader
        return _given(found)

    def energy_mj(self):
        """Millijoules since the driver was loaded; raises LookupError where the card does not count them."""
        return self._value("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong).value

    def power_mw(self):
        """Milliwatts now, the card's own average of a moment; raises LookupError where it does not say."""
        return self._number("nvmlDeviceGetPowerUsage")

    def _driver(self):
        text = ctypes.create_string_buffer(80)
        self._calls("nvmlSystemGetDriverVersion", text, ctypes.c_uint(len(text)))
        return text.value.decode(errors="replace")

    def _clock(self, name, kind):
        return self._number(name, ctypes.c_uint(kind))

    def _reasons(self):
        try:
            bits = self._value("nvmlDeviceGetCurrentClocksEventReasons", ctypes.c_ulonglong).value
        except _Missing:  # its name before driver 535
            bits = self._value("nvmlDeviceGetCurrentClocksThrottleReasons", ctypes.c_ulonglong).value
        known = sum(bit for bit, _ in REASONS)
        words = [word for bit, word in REASONS if bits & bit]
        return words + (["unknown_0x{:x}".format(bits & ~known)] if bits & ~known else [])

    def _others(self):
        """How many other processes compute on this card; the numbers of containers' processes may differ from ours."""
        count, table = ctypes.c_uint(_PROCESSES), (_Process * _PROCESSES)()
        try:
            self._calls("nvmlDeviceGetComputeRunningProcesses_v3", self._handle, ctypes.byref(count), table)
        except _Missing as error:
            if error.args[1:] != (_NOT_ENOUGH_SPACE,):
                raise
        return max(0, count.value - 1)  # this process is one of them

    def _number(self, name, *arguments):
        return self._value(name, ctypes.c_uint, *arguments).value

    def _value(self, name, kind, *arguments):
        value = kind()
        self._calls(name, self._handle, *(arguments + (ctypes.byref(value),)))
        return value


class _Calls(object):
    def __init__(self, library):
        self._library = library

    def __call__(self, name, *arguments):
        try:
            function = getattr(self._library, name)
        except AttributeError:
            raise _Missing("the driver has no {}".format(name)) from None
        status = function(*arguments)
        if status != _SUCCESS:
            raise _Missing("{} gave error {}".format(name, status), status)


def _given(readers):
    found = {}
    for name, reader in readers.items():
        try:
            found[name] = reader()
        except _Missing:
            continue
    return found
