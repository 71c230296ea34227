"""Is a board over SSH ready: who answers, how the login goes, what its system says, in the order that matters."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mosegnet.common.errors import UserError
from profiler.devices import Device
from profiler.findings import Finding
from profiler.ssh_address import address_of
from profiler.ssh_connection import Connection
from profiler.ssh_pipe import start_command

_PROBE_S = 60.0
_LEAST_PYTHON = (3, 6)
_LEAST_DISK_MB = 1000
_LEAST_MEMORY_MB = 500

# Which driver of an Atlas 200 DK goes with which CANN: the vendor's version mapping (Ascend/tools, makesd). Pairs that
# are not listed are unsupported.
_PAIRS = {
    "1.0.13": ("6.0.0.alpha", "6.0.RC1.alpha", "5.1.RC2.alpha001", "5.1.RC2.alpha008", "5.1.RC1.alpha005"),
    "1.0.12": ("5.1.RC1.alpha001", "5.1.RC1.alpha002", "5.1.RC1.alpha003", "5.0.5.alpha001", "5.0.4.alpha"),
    "1.0.11": ("5.0.3.alpha005", "5.0.2.alpha005"),
    "1.0.10": ("5.0.2.alpha003",),
    "1.0.9": ("5.0.2.alpha001", "5.0.2.alpha002", "3.3.0", "3.2.0"),
    "1.0.8": ("3.1.0",),
    "1.0.7": ("20.0.0",),
}

# Runs on the board, with Python 3.6 or later; prints one line of JSON data. Whatever it cannot find is absent.
_PROBE = r"""
import glob, json, os, re, shutil, sys
found = {"python": list(sys.version_info[:3])}
def read(paths, pattern):
    for path in paths:
        for name in sorted(glob.glob(os.path.expandvars(os.path.expanduser(path)))):
            try:
                match = re.search(pattern, open(name).read(), re.I | re.M)
            except (OSError, ValueError):
                continue
            if match:
                return match.group(1)
driver = read(["/usr/local/Ascend/driver/version.info", "/var/davinci/driver/version.info"], r"^\s*version\s*=\s*(\S+)")
cann = read(["$ASCEND_TOOLKIT_HOME/*-linux/ascend_toolkit_install.info", "$ASCEND_TOOLKIT_HOME/version.cfg",
             "$ASCEND_TOOLKIT_HOME/*/version.info"], r"^\s*(?:runtime_running_)?version\s*=\s*\[?([^\s:\]]+)")
if driver:
    found["driver"] = driver
if cann:
    found["cann"] = cann
nodes = sorted(glob.glob("/dev/davinci[0-9]*"))
found["davinci"] = nodes
found["davinci_open"] = [name for name in nodes if os.access(name, os.R_OK | os.W_OK)]
try:
    memory = re.search(r"MemAvailable:\s+(\d+)", open("/proc/meminfo").read())
    found["memory_free_mb"] = int(memory.group(1)) // 1024
except (OSError, AttributeError):
    pass
found["disk_free_mb"] = shutil.disk_usage(os.path.expanduser("~")).free >> 20
if sys.argv[1:] == ["acl"]:
    try:
        import acl
        found["acl"] = True
        found["soc"] = acl.get_soc_name() if hasattr(acl, "get_soc_name") else None
    except Exception as error:
        found["acl"] = "%s: %s" % (type(error).__name__, error)
print(json.dumps(found))
"""


def examine_board(device: Device) -> Iterator[Finding]:
    """Everything before the agent; ends at the first finding that makes the rest pointless."""
    address = address_of(device)
    try:
        connection = Connection(address)
    except UserError as error:
        yield _of_error(f"log in to {address}", error)
        return
    try:
        yield Finding(f"logged in to {address}, its host key is known", True)
        try:
            answer = _probe(device, connection)
        except UserError as error:
            yield _of_error("look around there", error)
            return
        if isinstance(answer, Finding):
            yield answer
            return
        yield from judge(device, answer)
    finally:
        connection.close()


def judge(device: Device, found: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings from what the probe saw."""
    python = tuple(found["python"])
    yield Finding(
        f"Python {'.'.join(map(str, python))} on the board",
        python[:2] >= _LEAST_PYTHON,
        "the agent needs 3.6 or later: give another interpreter, `python` in devices.toml",
    )
    if device.runtime == "acl":
        yield from _ascend(device, found)
    if "memory_free_mb" in found:
        free = found["memory_free_mb"]
        yield Finding(f"free memory: {free} MB", free > _LEAST_MEMORY_MB, "stop other programs there")
    free = found["disk_free_mb"]
    yield Finding(f"free disk: {free} MB", free > _LEAST_DISK_MB, "free some, or give another `folder` in devices.toml")


def _ascend(device: Device, found: Mapping[str, Any]) -> Iterator[Finding]:
    loaded = found.get("acl")
    if loaded is True:
        yield Finding("`import acl` works", True)
    else:
        where = "set `set_env` in devices.toml, such as /usr/local/Ascend/ascend-toolkit/set_env.sh"
        yield Finding(
            f"`import acl` fails ({loaded})", False, where if device.set_env is None else "is CANN installed?"
        )
    soc = found.get("soc")
    if soc:
        yield Finding(f"chip {soc}", soc == device.soc, f"devices.toml says {device.soc}: put `soc = {soc!r}` there")
    if not found["davinci"]:
        yield Finding("no /dev/davinci*", False, "the driver is not loaded: is this the board, and is it well?")
    else:
        usable = found["davinci_open"] == found["davinci"]
        yield Finding(f"{', '.join(found['davinci'])}", usable, "add the user to the group HwHiAiUser and log in again")
    yield _pair(found.get("driver"), found.get("cann"))


def _pair(driver: str | None, cann: str | None) -> Finding:
    what = f"driver {driver or 'unknown'}, CANN {cann or 'unknown'}"
    if driver is None or cann is None:
        return Finding(what, True)
    listed = next((pairs for known, pairs in _PAIRS.items() if driver.startswith(known)), None)
    if listed is None:
        return Finding(f"{what}: not in the Atlas 200 DK's table, which says nothing of other boards", True)
    fits = any(cann.startswith(known) for known in listed)
    return Finding(what, fits, f"this driver goes with CANN {', '.join(listed)}: install a pair that fits")


def _probe(device: Device, connection: Connection) -> dict[str, Any] | Finding:
    arguments = ["acl"] if device.runtime == "acl" else []
    command = start_command(device.set_env, device.python, ["-", *arguments])
    done = connection.run(command, _PROBE_S, _PROBE.encode())
    if done.status == 127:
        return Finding(f"no {device.python!r} there", False, "give the board's interpreter, `python` in devices.toml")
    if done.status != 0:
        words = " ".join(done.errors.decode(errors="replace").split())[-200:]
        return Finding(f"the board cannot be looked at: {words!a}", False, "is `set_env` in devices.toml right?")
    try:
        answer = json.loads(done.output.splitlines()[-1])
        if not isinstance(answer, dict) or not {"python", "disk_free_mb", "davinci", "davinci_open"} <= set(answer):
            raise ValueError
    except (ValueError, IndexError):
        return Finding("the board's answer makes no sense", False, "log in by hand: does its shell print something?")
    return answer


def _of_error(doing: str, error: UserError) -> Finding:
    what, _, remedy = str(error).partition(": ")
    return Finding(f"cannot {doing}: {what}", False, remedy or "see above")
