"""Text that comes from a device, made fit to be shown: nothing in it may move the cursor or fill the screen."""

from __future__ import annotations

from typing import Any

_LONGEST = 400  # characters of a message from there
_SHORT = 60
_TAIL_BYTES = 4000  # of standard error looked at


def printable(text: str, longest: int = _LONGEST) -> str:
    """One line of printable characters, cut where it gets too long."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 4 * longest]).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def last_line(data: bytes) -> str:
    """The last line that says something, of the end of what a program wrote."""
    lines = [printable(line) for line in data[-_TAIL_BYTES:].decode(errors="replace").split("\n")]
    return next((line for line in reversed(lines) if line), "")


def short(value: Any) -> str:
    """Any value in a few characters of ASCII."""
    words = ascii(value)
    return words if len(words) <= _SHORT else words[:_SHORT] + "…"
