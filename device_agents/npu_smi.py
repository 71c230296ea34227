"""What Ascend's `npu-smi` says of the chip: temperature, load, memory, frequency, power. Every field is optional.

Three drivers print three tables, and some also a list of `key : value`; the list is asked for first.
"""

import os
import re
import shutil
import subprocess

_PLACES = ("usr/local/sbin/npu-smi", "usr/local/bin/npu-smi", "usr/sbin/npu-smi", "usr/bin/npu-smi")
_TIMEOUT_S = 15
_RAW_CHARACTERS = 4000
_FIELDS = {  # names in the list: ours
    "memory usage rate(%)": "npu_memory_percent",
    "aicore usage rate(%)": "npu_load_percent",
    "aicore freq(mhz)": "npu_frequency_max_mhz",
    "aicore curfreq(mhz)": "npu_frequency_mhz",
    "temperature(c)": "npu_temperature_c",
    "npu real-time power(w)": "npu_power_w",
    "rated power dissipation(w)": "npu_rated_power_w",
}
_PROFILING_LOAD = 239  # what it reads while the profiler is on
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?$")


def find(root="/"):
    """Path of npu-smi, or None. `root` is for tests; the search path counts only without one."""
    for place in _PLACES:
        path = os.path.join(root, place)
        if os.access(path, os.X_OK):
            return path
    return shutil.which("npu-smi") if root == "/" else None


def read(root="/"):
    """What it says, as a flat dict with units in its names, and the text itself in `npu_smi`; empty without it."""
    command = find(root)
    if command is None:
        return {}
    text = _run([command, "info", "-t", "common", "-i", "0"])
    readings = parse_list(text)
    if "npu_temperature_c" not in readings:
        table = _run([command, "info"])
        readings, text = dict(parse_table(table), **readings), text + table
    if text.strip():
        readings["npu_smi"] = text[:_RAW_CHARACTERS]
    return readings


def parse_list(text):
    """The fields of `npu-smi info -t common`."""
    found: dict = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        field = _FIELDS.get(name.strip().lower())
        if colon and field:
            _put(found, field, value.strip())
    return found


def parse_table(text):
    """The fields of the first chip in the table of `npu-smi info`, of any of its versions."""
    found: dict = {}
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines()]
    rows = [row for row in rows if len(row) == 3 and re.match(r"\d+\s+\S+$", row[0])]
    if len(rows) < 2:
        return found
    (name, health, power), (_, _, usage) = rows[:2]
    found["npu_name"], found["npu_health"] = name.split()[1], health
    words = power.split()
    if len(words) >= 2:
        _put(found, "npu_rated_power_w", words[0])  # 12.8 at all times on a 310: rated, not measured
        _put(found, "npu_temperature_c", words[1])
    load, memory = usage.split()[:1], re.search(r"(\d+)\s*/\s*(\d+)", usage)
    if load:
        _put(found, "npu_load_percent", load[0])
    if memory:
        found["npu_memory_used_mb"], found["npu_memory_mb"] = int(memory.group(1)), int(memory.group(2))
    return found


def _put(found, field, value):
    if _NUMBER.match(value) and not (field == "npu_load_percent" and float(value) == _PROFILING_LOAD):
        found[field] = float(value)


def _run(command):
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
