"""What the system says of itself: load, frequency, temperature, memory. Every reading is optional."""

import glob
import os
import time

from device_agents import npu_smi


def read(root="/"):
    """Whatever can be read now, as a flat dict with units in its names; what is not there is absent.

    root: where `proc` and `sys` are, for tests.
    """
    readings = {"time_s": round(time.time(), 3)}
    for reader in (_load, _processor_time, _memory, _frequency, _temperature, _throttling, npu_smi.read):
        try:
            readings.update(reader(root))
        except (OSError, ValueError, IndexError):
            continue  # this system does not tell
    return readings


def chip(root="/"):
    """The processor's name as the system states it, or an empty string."""
    try:
        for line in _text(root, "proc/cpuinfo").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Hardware"):
                return value.strip()
        return _text(root, "proc/device-tree/model").strip("\0\n ")
    except OSError:
        return ""


def _text(root, path):
    with open(os.path.join(root, path), "r") as file:
        return file.read()


def _load(root):
    return {"load_1min": float(_text(root, "proc/loadavg").split()[0])}


def _processor_time(root):
    # user nice system idle iowait irq softirq steal, in ticks since the start
    ticks = [int(word) for word in _text(root, "proc/stat").splitlines()[0].split()[1:9]]
    return {"busy_ticks": sum(ticks) - ticks[3] - ticks[4], "total_ticks": sum(ticks), "steal_ticks": ticks[7]}


def _memory(root):
    for line in _text(root, "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return {"memory_free_mb": int(line.split()[1]) // 1024}
    return {}


def _frequency(root):
    cpu = "sys/devices/system/cpu/cpu*/cpufreq/"
    found = {"governors": sorted({_text("/", path).strip() for path in _paths(root, cpu + "scaling_governor")})}
    now = [int(_text("/", path)) // 1000 for path in _paths(root, cpu + "scaling_cur_freq")]
    most = [int(_text("/", path)) // 1000 for path in _paths(root, cpu + "cpuinfo_max_freq")]
    if now:
        found["frequency_mhz"] = now
    if most:
        found["frequency_max_mhz"] = most
    return found if found["governors"] or now else {}


def _temperature(root):
    degrees = []
    for path in _paths(root, "sys/class/thermal/thermal_zone*/temp"):
        try:
            degrees.append(int(_text("/", path)) / 1000.0)
        except (OSError, ValueError):
            continue  # a zone may be there and not answer
    return {"temperature_c": max(degrees)} if degrees else {}


def _throttling(root):
    counts = [
        int(_text("/", path))
        for path in _paths(root, "sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count")
    ]
    return {"throttle_count": sum(counts)} if counts else {}


def _paths(root, pattern):
    return sorted(glob.glob(os.path.join(root, pattern)))
