"""What a board's system says of itself: one script sent over standard input, its answer checked field by field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from profiler.devices import Device
from profiler.outside import last_line, printable, short
from profiler.ssh_connection import Connection
from profiler.ssh_errors import SshProblem
from profiler.ssh_pipe import NO_PROGRAM, NO_SET_ENV, start_command

_PROBE_S = 90.0  # importing acl from slow flash, and npu-smi, take their time
_MARK = "mosegnas board "

# Runs under any Python from 2.7 on, so that one that is too old can say so. Whatever it cannot find is absent.
# Arguments: the folder of our files, and "acl" where that is wanted.
SCRIPT = r"""
import glob, json, os, re, signal, subprocess, sys
found = {"python": list(sys.version_info[:3])}
def read(paths, pattern):
    for path in paths:
        for name in sorted(glob.glob(os.path.expandvars(os.path.expanduser(path)))):
            try:
                with open(name) as file:
                    match = re.search(pattern, file.read(), re.I | re.M)
            except (OSError, IOError, ValueError):
                continue
            if match:
                return match.group(1)
found["driver"] = read(["/usr/local/Ascend/driver/version.info", "/var/davinci/driver/version.info"],
                       r"^\s*version\s*=\s*(\S+)")
found["cann"] = read(["$ASCEND_TOOLKIT_HOME/*-linux/ascend_toolkit_install.info", "$ASCEND_TOOLKIT_HOME/version.cfg",
                      "$ASCEND_HOME_PATH/*-linux/ascend_*_install.info", "$ASCEND_HOME_PATH/version.cfg",
                      "$ASCEND_TOOLKIT_HOME/*/version.info"],
                     r"^\s*(?:runtime_running_)?version\s*=\s*\[?(?:[^:\]\s]+:)?([^\s:\]]+)")
nodes = sorted(glob.glob("/dev/davinci[0-9]*"))
found["davinci"] = nodes
found["davinci_shut"] = [name for name in nodes if not os.access(name, os.R_OK | os.W_OK)]
memory = read(["/proc/meminfo"], r"MemAvailable:\s+(\d+)")
found["memory_free_mb"] = int(memory) // 1024 if memory else None
folder = os.path.expanduser(sys.argv[1])
while not os.path.isdir(folder) and folder != os.path.dirname(folder):
    folder = os.path.dirname(folder)
try:
    disk = os.statvfs(folder)
    found["disk_free_mb"] = disk.f_bavail * disk.f_frsize // 1048576
    found["writable"] = os.access(folder, os.W_OK) and not disk.f_flag & 1
except (OSError, AttributeError):
    pass
degrees = []
for name in glob.glob("/sys/class/thermal/thermal_zone*/temp"):
    try:
        with open(name) as file:
            degrees.append(int(file.read()) / 1000.0)
    except (OSError, IOError, ValueError):
        pass
if "acl" in sys.argv[2:]:
    try:
        import acl
        found["acl"] = "yes"
        found["soc"] = acl.get_soc_name() if hasattr(acl, "get_soc_name") else None
    except Exception as error:
        found["acl"] = "%s: %s" % (type(error).__name__, error)
    os.environ["PATH"] += ":/usr/local/sbin"
    if hasattr(signal, "alarm"):
        signal.alarm(60)
    try:
        text = subprocess.check_output(["npu-smi", "info", "-t", "common", "-i", "0"], stderr=subprocess.STDOUT)
        match = re.search(r"Temperature\s*\(C\)\s*:\s*(\d+)", text.decode("utf-8", "replace"))
        if match:
            degrees.append(float(match.group(1)))
    except Exception:
        pass
found["temperature_c"] = max(degrees) if degrees else None
print("mosegnas board " + json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Board:
    """What was found; None where the board does not say. `acl` is "yes", why it fails, or None: it was not tried."""

    python: tuple[int, int, int]
    acl: str | None
    soc: str | None
    driver: str | None
    cann: str | None
    davinci: tuple[str, ...]
    davinci_shut: tuple[str, ...]
    memory_free_mb: float | None
    disk_free_mb: float | None
    writable: bool
    temperature_c: float | None


def probe(device: Device, connection: Connection) -> Board:
    """Look around on the board.

    Raises:
        SshProblem: its set_env or its python is not there, or its answer makes no sense.
        ConnectionGone: there is no connection any more.
    """
    arguments = ["-", device.folder, *(["acl"] if device.runtime == "acl" else [])]
    done = connection.run(start_command(device.set_env, device.python, arguments), _PROBE_S, SCRIPT.encode())
    where = str(connection.address)
    if done.status == NO_SET_ENV:
        raise SshProblem(f"{where} has no {device.set_env}", "say in devices.toml where CANN's `set_env` is there")
    if done.status == NO_PROGRAM:
        raise SshProblem(f"{where} cannot run {device.python}", "give its interpreter, `python` in devices.toml")
    lines = [line for line in done.output.decode(errors="replace").split("\n") if line.startswith(_MARK)]
    if done.status != 0 or not lines:
        said = last_line(done.errors) or last_line(done.output) or f"status {done.status}"
        raise SshProblem(f"{where} cannot be looked at ({said})", "log in by hand and start its python")
    return parse(lines[-1][len(_MARK) :], where)


def parse(line: str, where: str) -> Board:
    """The script's answer.

    Raises:
        SshProblem: it is not what the script answers.
    """
    try:
        found = json.loads(line)
        major, minor, micro = found["python"]
        return Board(
            python=(int(major), int(minor), int(micro)),
            acl=_text(found, "acl"),
            soc=_text(found, "soc"),
            driver=_text(found, "driver"),
            cann=_text(found, "cann"),
            davinci=_texts(found, "davinci"),
            davinci_shut=_texts(found, "davinci_shut"),
            memory_free_mb=_number(found, "memory_free_mb"),
            disk_free_mb=_number(found, "disk_free_mb"),
            writable=bool(found.get("writable", True)),
            temperature_c=_number(found, "temperature_c"),
        )
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        raise SshProblem(f"{where} answers {short(line)}", "log in by hand: is this the board?") from None


def _text(found: Mapping[str, Any], name: str) -> str | None:
    value = found.get(name)
    return None if value is None else printable(str(value), 100)


def _texts(found: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(printable(str(value), 40) for value in list(found.get(name, ()))[:8])


def _number(found: Mapping[str, Any], name: str) -> float | None:
    value = found.get(name)
    return None if value is None else float(value)
