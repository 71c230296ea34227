"""What went wrong in a conversion: its class, the line that decides, and the way out.

The codes, their classes and the three shapes of ATC's error block (up to 7.x, 8.x, 9.x) are from its public source and
from captured logs.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import Literal

Kind = Literal["usage", "file", "unsupported", "environment", "internal", "killed", "timeout", "no_output"]

SUCCESS_LINE = "ATC run success"
_FAILED_LINE = "ATC run failed"
_LONGEST = 300  # characters of a decisive line

_CODE = r"(?:E[A-Z]?\d{4,5}|W\d{5})"
_TIME = r"\d{4}-\d\d-\d\d-\d\d:\d\d:\d\d[.\d]*"
_STAMP = rf"(?:\[PID: *\d+\] *)?(?:{_TIME} *)?"
_HEAD = re.compile(rf"^{_STAMP}(?:[^():\[\]]*\((?P<new>{_CODE})\)|(?P<old>{_CODE})): *{_STAMP}(?P<text>.*)$")
_ANYWHERE = re.compile(rf"\b{_CODE}\b")
_NO_TEXT = re.compile(r"(?:inner|internal) error[!.]?$", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_UNSUPPORTED = r"E19010|EZ9010|EZ0501|EZ300[23]|E10055|E10057|E10410|E10501|E14001|E1600\d"
_KINDS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(_UNSUPPORTED), "unsupported"),
    (re.compile(r"E13\d{3}|E10041"), "file"),
    (re.compile(r"E40000|EC0010"), "environment"),
    (re.compile(r"E10\d{3}"), "usage"),
)
_LOADER = re.compile(r"error while loading shared libraries|No module named")
_MEMORY = re.compile(r"Cannot allocate memory|bad_alloc|MemoryError")
_ARGUMENTS = re.compile(r"^ERROR: ")
_CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT})

_REMEDIES: dict[Kind, str] = {
    "usage": "check the soc ('Ascend' and the name in `npu-smi info`), the precision mode and the CANN version",
    "file": "convert it by hand with the command in the log to see what is wrong with the file",
    "unsupported": "export with opset 11, leave the operator out, or use a CANN that has it",
    "environment": "name CANN's set_env.sh as set_env, or give atc's full path",
    "internal": "the log has ATC's own report; if it recurs, leave the model out or try another CANN version",
    "killed": "convert fewer at a time (more memory for each), or on a host with more memory",
    "timeout": "allow more time, or convert on a faster host than the board",
    "no_output": "look at the log and at the free space of the disk",
}  # fmt: skip
_DEVLIB = "there is no NPU driver here: put CANN's <arch>-linux/devlib in front of LD_LIBRARY_PATH"
_PYTHON = "put the Python that this CANN supports first on PATH, with the modules that it needs"


@dataclass(frozen=True, slots=True)
class Failure:
    """A conversion that failed: `line` is the decisive one of the output, `remedy` the way out.

    `log` is the folder that holds model, log and side files, or None when it was not kept.
    """

    kind: Kind
    line: str
    remedy: str
    log: str | None = None
    attempts: int = 1

    @property
    def message(self) -> str:
        """One line for the user."""
        tried = f", {self.attempts} times" if self.attempts > 1 else ""
        where = f"; log: {self.log}" if self.log else ""
        return f"conversion failed ({self.kind}{tried}): {self.line}; {self.remedy}{where}"


def failure(kind: Kind, line: str, remedy: str | None = None) -> Failure:
    """A Failure of `kind` with the remedy that goes with it."""
    return Failure(kind, clean(line), remedy or _REMEDIES[kind])


def classify(status: int, stdout: str, stderr: str) -> Failure:
    """The Failure that the output and the exit status of a failed ATC stand for.

    `status` is negative for a signal, as in `subprocess`, or over 128 where a shell reports it.
    """
    signal_number = -status if status < 0 else status - 128 if 128 < status < 160 else 0
    if signal_number and signal_number not in _CRASHES:
        return failure("killed", f"ATC was killed by signal {signal_number}{_why_killed(signal_number)}")
    if status in (126, 127):
        return not_found(stdout, stderr)
    _, failed, block = stdout.rpartition(_FAILED_LINE)
    lines = (block.split("\n")[1:] if failed else stdout.split("\n")) + stderr.split("\n")
    last = (
        f"ATC crashed with signal {signal_number}" if signal_number else f"exit status {status}, {last_line(lines)!r}"
    )
    return _coded(lines) or _worded(lines, stdout.split("\n")) or failure("internal", last)


def not_found(stdout: str, stderr: str) -> Failure:
    """The Failure of a program that could not even start: not there, or a library of it is not."""
    lines = stdout.split("\n") + stderr.split("\n")
    return _environment(_first(_LOADER, lines) or last_line(lines) or "the program cannot be started")


def decisive(lines: list[str]) -> tuple[str, str] | None:
    """Code and `code: text` of the error that decides, in any of the three shapes; None when there is no code.

    The first error counts, but an inner error (E19999, EZ9999) only when nothing says more, and a warning never
    before an error.
    """
    heads = [(number, match) for number, line in enumerate(lines) if (match := _HEAD.match(line))]
    if heads:
        number, match = min(heads, key=lambda head: (_vagueness(_code(head[1])), head[0]))
        code, text = _code(match), match["text"].strip()
        if not text or _NO_TEXT.search(text):
            text = " ".join(filter(None, [text, _next_line(lines, number)]))
        return code, f"{code}: {text}"
    for line in lines:
        if match := _ANYWHERE.search(line):
            return match[0], line.strip()
    return None


def clean(line: str) -> str:
    """One printable line of bounded length: the text comes from outside."""
    text = " ".join(_UNPRINTABLE.sub("", line).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def last_line(lines: list[str]) -> str:
    """The last line with anything but dots on it."""
    return next((line for line in reversed(lines) if clean(line).strip(" .")), "")


def _coded(lines: list[str]) -> Failure | None:
    found = decisive(lines)
    if found is None or found[0].startswith("W"):
        return None
    code, line = found
    kind: Kind = next((kind for pattern, kind in _KINDS if pattern.fullmatch(code)), "internal")
    if kind == "environment" or (code == "E40024" and _first(_LOADER, lines)):
        return failure("environment", line, _PYTHON)
    if kind == "internal" and _first(_MEMORY, lines):
        return failure("killed", line)
    return failure(kind, line)


def _worded(lines: list[str], all_lines: list[str]) -> Failure | None:
    """The Failure of an output without a code, by its words."""
    if line := _first(_LOADER, all_lines):
        return _environment(line)
    if line := _first(_ARGUMENTS, lines):
        return failure("usage", line)
    if line := _first(_MEMORY, lines):
        return failure("killed", line)
    return None


def _environment(line: str) -> Failure:
    if "libascend_hal" in line:
        return failure("environment", line, _DEVLIB)
    return failure("environment", line, _PYTHON if "No module named" in line else None)


def _why_killed(signal_number: int) -> str:
    return ", most likely because memory ran out" if signal_number == signal.SIGKILL else ""


def _code(match: re.Match[str]) -> str:
    return match["new"] or match["old"]


def _vagueness(code: str) -> int:
    return 2 if code.startswith("W") else 1 if code in ("E19999", "EZ9999") else 0


def _first(pattern: re.Pattern[str], lines: list[str]) -> str:
    return next((line for line in lines if pattern.search(line)), "")


def _next_line(lines: list[str], number: int) -> str:
    following = (line.strip() for line in lines[number + 1 :])
    return next((line for line in following if line and not line.startswith("TraceBack")), "")
