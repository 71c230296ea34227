"""Requests and answers over one process of an agent: lines of JSON."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from device_agents.faults import Fault
from profiler.outside import printable, short
from profiler.pipe import LinkLost, Pipe

_LONGEST_S = 3600.0  # of one request, however alive the agent says it is
_LONGEST_LINE = 64 << 20  # bytes; a profile of a large network is a few hundred kB
_LONGEST_ASKED = 512 << 20  # of an engine, or of logits: those of 1024x2048 pixels are 213 million in base64


class Conversation:
    """Requests and answers over one process of the agent, lines of JSON."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._buffer = b""
        self._ids = itertools.count(1)

    def ask(self, op: str, fields: dict[str, Any], silence_s: float) -> Any:
        """The answer to one request: JSON data or a Fault.

        Raises:
            LinkLost: the agent is gone, silent for `silence_s`, or answers something else.
        """
        number = next(self._ids)
        until_s = time.monotonic() + _LONGEST_S
        most = _LONGEST_ASKED if op == "build" or fields.get("packed") else _LONGEST_LINE
        self._pipe.send(json.dumps({"id": number, "op": op, **fields}).encode() + b"\n", silence_s)
        while True:
            answer = _parse(self._read_line(silence_s, most))
            if answer.get("id") != number:
                raise LinkLost(f"the agent answered request {short(answer.get('id'))} instead of {number}")
            if "alive" in answer:
                if time.monotonic() > until_s:
                    raise LinkLost(f"the agent is still busy after {_LONGEST_S:g} s")
                continue
            if "fault" in answer:
                return _fault(answer["fault"])
            if not isinstance(answer.get("ok"), dict):
                raise LinkLost("the agent's answer is neither a result nor a fault")
            return answer["ok"]

    def last_words(self) -> str:
        """The last line that the agent wrote to standard error."""
        return self._pipe.last_words()

    def end(self) -> None:
        """End the process; one that is in the middle of an answer is not waited for."""
        self._pipe.end(patient=not self._buffer)

    def _read_line(self, silence_s: float, most: int) -> bytes:
        pieces = [self._buffer]
        size = len(self._buffer)
        while b"\n" not in pieces[-1]:
            pieces.append(self._pipe.receive(silence_s))
            size += len(pieces[-1])
            if size > most:
                self._buffer = b"too much"  # no more patience with it
                raise LinkLost(f"the agent's answer is longer than {most >> 20} MiB")
        line, self._buffer = b"".join(pieces).split(b"\n", 1)
        return line


def _parse(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):  # the second: a line of nothing but brackets
        answer = None
    if not isinstance(answer, dict):
        raise LinkLost(f"the agent answered {short(line)}, which is not JSON data")
    return answer


def _fault(value: Any) -> Fault:
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise LinkLost("the agent's fault makes no sense")
    return Fault(printable(value["kind"]), printable(str(value.get("detail", ""))))
