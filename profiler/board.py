"""Is a board over SSH ready: who answers, how the login goes, what its system says, in the order that matters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mosegnet.common.errors import UserError
from profiler.board_probe import Board, probe
from profiler.devices import Device
from profiler.findings import Finding
from profiler.ssh_address import address_of
from profiler.ssh_connection import Connection
from profiler.ssh_errors import ConnectionGone, LoginRefused, SshProblem, Unreachable

_LEAST_PYTHON = (3, 6)
_LEAST_DISK_MB = 1000
_LEAST_MEMORY_MB = 500
_HOT_C = 80

# Which driver of an Atlas 200 DK goes with which CANN: the vendor's version mapping (Ascend/tools, makesd). Pairs that
# are not listed are unsupported. A version that ends in a dot stands for all that begin with it.
_PAIRS = {
    "1.0.13": (
        "6.0.0.alpha001 6.0.0.alpha002 6.0.0.alpha003 6.0.RC1.alpha001 6.0.RC1.alpha002 6.0.RC1.alpha003 "
        "6.0.RC1.alpha005 5.1.RC2.alpha001 5.1.RC2.alpha008 5.1.RC1.alpha005"
    ),
    "1.0.12": (
        "5.1.RC1.alpha001 5.1.RC1.alpha002 5.1.RC1.alpha003 5.0.5.alpha001 5.0.4.alpha002 5.0.4.alpha003 5.0.4.alpha005"
    ),
    "1.0.11": "5.0.3.alpha005 5.0.2.alpha005",
    "1.0.10": "5.0.2.alpha003",
    "1.0.9": "5.0.2.alpha001 5.0.2.alpha002 3.3.0. 3.2.0",
    "1.0.8": "3.1.0",
    "1.0.7": "20.0.0",
}


def examine_board(device: Device) -> Iterator[Finding]:
    """Everything before the agent; ends at the first finding that makes the rest pointless."""
    try:
        address = address_of(device)
        connection = Connection(address)
    except (SshProblem, Unreachable) as problem:
        yield from _before(problem)
        yield Finding(problem.what, False, problem.remedy or "is it on, and is the cable in?", last=True)
        return
    except UserError as error:
        yield Finding(str(error), False, "mend that first", last=True)
        return
    try:
        yield Finding(f"{address} answers", True)
        yield Finding("its host key is known", True)
        yield Finding(f"logged in as {address.user}", True)
        board = probe(device, connection)
    except SshProblem as problem:
        yield Finding(problem.what, False, problem.remedy, last=True)
        return
    except ConnectionGone as error:
        yield Finding(str(error), False, "try again; log in by hand if it stays so", last=True)
        return
    finally:
        connection.close()
    yield from judge(device, board)


def judge(device: Device, board: Board) -> Iterator[Finding]:
    """Findings from what the board says of itself; ends where its Python is too old for the rest."""
    old = board.python[:2] < _LEAST_PYTHON
    yield Finding(
        f"Python {'.'.join(map(str, board.python))} on the board",
        not old,
        "the agent needs 3.6 or later: give another interpreter, `python` in devices.toml",
        last=old,
    )
    if old:
        return
    if device.runtime == "acl":
        yield from _ascend(device, board)
    if board.memory_free_mb is not None:
        free = board.memory_free_mb
        yield Finding(f"free memory: {free:.0f} MB", free > _LEAST_MEMORY_MB, "stop other programs there")
    if board.temperature_c is not None:
        hot = board.temperature_c
        yield Finding(f"temperature: {hot:.0f} °C", hot < _HOT_C, "let it cool, or cool it better")
    if board.disk_free_mb is not None:
        free = board.disk_free_mb
        remedy = "free some, or give another `folder` in devices.toml"
        yield Finding(f"free disk for {device.folder}: {free:.0f} MB", free > _LEAST_DISK_MB, remedy)
    if not board.writable:
        yield Finding(
            f"{device.folder} cannot be written",
            False,
            "is its disk mounted read-only? Give another `folder` in devices.toml",
        )


def _before(problem: SshProblem | Unreachable) -> Iterator[Finding]:
    """What must have gone well for the login to come as far as this."""
    if isinstance(problem, SshProblem) and problem.address is not None:
        yield Finding(f"{problem.address} answers", True)
        if isinstance(problem, LoginRefused):
            yield Finding("its host key is known", True)


def _ascend(device: Device, board: Board) -> Iterator[Finding]:
    set_env = device.set_env
    if board.acl == "yes":
        yield Finding(f"`import acl` works{f', after {set_env}' if set_env else ''}", True)
    else:
        yield Finding(f"`import acl` fails ({board.acl})", False, _remedy_of_import(board.acl or "", set_env))
    if board.soc:
        remedy = f"devices.toml says {device.soc}: put `soc = {board.soc!r}` there"
        yield Finding(f"chip {board.soc}", board.soc == device.soc, remedy)
    if not board.davinci:
        yield Finding("no /dev/davinci* there", False, "the driver is not loaded: is this the board, and is it well?")
    elif board.davinci_shut:
        shut = ", ".join(board.davinci_shut)
        yield Finding(f"{shut} cannot be opened", False, "add the user to the group HwHiAiUser and log in again")
    else:
        yield Finding(", ".join(board.davinci), True)
    yield _pair(board.driver, board.cann)


def _remedy_of_import(reason: str, set_env: str | None) -> str:
    if set_env is None:
        return (
            "give `set_env` in devices.toml, such as /usr/local/Ascend/ascend-toolkit/set_env.sh "
            "or ~/Ascend/ascend-toolkit/set_env.sh"
        )
    if "libascend" in reason:
        return (
            "the driver's libraries are not found: put their folder (/usr/lib64 on a 200 DK) into LD_LIBRARY_PATH there"
        )
    return f"{set_env} does not lead Python to it: is CANN's pyACL installed there, for this `python`?"


def _pair(driver: str | None, cann: str | None) -> Finding:
    what = f"driver {driver or 'unknown'}, CANN {cann or 'unknown'}"
    if driver is None or cann is None:
        return Finding(f"{what}: the board does not say", True)
    numbers = re.match(r"\d+\.\d+\.\d+", driver)
    listed = _PAIRS.get(numbers[0], "").split() if numbers else []
    if not listed:
        return Finding(f"{what}: a driver that is not in the Atlas 200 DK's table", True)
    fits = any(cann == known or (known.endswith(".") and cann.startswith(known)) for known in listed)
    return Finding(what, fits, f"this driver goes with CANN {', '.join(listed)}: install a pair that fits")
