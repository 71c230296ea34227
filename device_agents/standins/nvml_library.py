"""Stand-in for NVML's library: functions that take what ctypes hands to C, and return NVML's numbers.

With TensorRT 10 the driver is an older one, that calls its clocks' event reasons throttle reasons.
"""

from device_agents.standins import cuda_runtime
from device_agents.standins.strict import die

_SUCCESS, _UNINITIALIZED, _NOT_FOUND = 0, 1, 6
_HANDLE = 0xCA4D
_BUSY_MW, _IDLE_MW = 150000, 30000
_STEP_MJ = 3000  # the counter's steps
_CLOCKS_MHZ = {1: (1410, 1980, 1410), 2: (7001, 7001, 7001)}  # sm, memory: now, most, application


class Library(object):
    def __init__(self, version):
        self._ready = False
        if version == "10":
            self.nvmlDeviceGetCurrentClocksThrottleReasons = self._reasons
        else:
            self.nvmlDeviceGetCurrentClocksEventReasons = self._reasons

    def nvmlInit_v2(self):
        self._ready = True
        return _SUCCESS

    def nvmlDeviceGetCount_v2(self, count):
        count._obj.value = 1
        return _SUCCESS

    def nvmlDeviceGetHandleByIndex_v2(self, index, handle):
        return self.nvmlDeviceGetHandleByPciBusId_v2(cuda_runtime._BUS_ID if index.value == 0 else b"", handle)

    def nvmlDeviceGetHandleByPciBusId_v2(self, bus_id, handle):
        if not self._ready:
            return _UNINITIALIZED
        if bus_id != cuda_runtime._BUS_ID:
            return _NOT_FOUND
        handle._obj.value = _HANDLE
        return _SUCCESS

    def nvmlSystemGetDriverVersion(self, text, length):
        text.value = b"580.00"
        return _SUCCESS

    def nvmlDeviceGetPersistenceMode(self, handle, mode):
        return self._give(handle, mode, 1)

    def nvmlDeviceGetTemperature(self, handle, sensor, degrees):
        return self._give(handle, degrees, 45)

    def nvmlDeviceGetPowerUsage(self, handle, power_mw):
        return self._give(handle, power_mw, _BUSY_MW)

    def nvmlDeviceGetEnforcedPowerLimit(self, handle, power_mw):
        return self._give(handle, power_mw, 350000)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, energy_mj):
        device = cuda_runtime.DEVICE
        spent_mj = 1e-3 * (_IDLE_MW * device.now_ms + (_BUSY_MW - _IDLE_MW) * device.busy_ms)
        return self._give(handle, energy_mj, int(spent_mj / _STEP_MJ) * _STEP_MJ)

    def nvmlDeviceGetClockInfo(self, handle, kind, mhz):
        return self._give(handle, mhz, _CLOCKS_MHZ[kind.value][0])

    def nvmlDeviceGetMaxClockInfo(self, handle, kind, mhz):
        return self._give(handle, mhz, _CLOCKS_MHZ[kind.value][1])

    def nvmlDeviceGetApplicationsClock(self, handle, kind, mhz):
        return self._give(handle, mhz, _CLOCKS_MHZ[kind.value][2])

    def nvmlDeviceGetMemoryInfo(self, handle, memory):
        memory._obj.total, memory._obj.free, memory._obj.used = 16 << 30, 15 << 30, 1 << 30
        return _SUCCESS

    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle, count, table):
        return self._give(handle, count, 1)

    def _reasons(self, handle, bits):
        return self._give(handle, bits, 0)

    def _give(self, handle, place, value):
        if handle.value != _HANDLE:
            die("NVML was given a handle that it never gave")
        place._obj.value = value
        return _SUCCESS
