"""The line to an agent: a process of this machine, spoken to in JSON lines, with deadlines and bounded restarts."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from device_agents.agent import PROTOCOL
from device_agents.faults import Fault
from mosegnet.common.console import warn
from mosegnet.common.errors import DeviceError
from profiler.devices import Device

AGENT_COMMAND = (sys.executable, "-m", "device_agents")
RESTARTS = 3  # in a row, over one model
SILENCE_S = 120.0  # an agent at work says something after every run, at most once a second
_START_S = 60.0
_CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Rule:
    """When a measurement stops: see `device_agents.timing.Rule`, which it becomes on the device."""

    target: float = 0.01
    floor: int = 5
    cap: int = 60
    limit_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Timing:
    """What the agent measured of one model: milliseconds a run in the order taken, on each of its clocks.

    `spent_s` is how long the device was busy with it: loading, warm-up and samples.
    """

    samples_ms: dict[str, list[float]]
    loops: int
    warm_up_runs: int
    warm: bool
    converged: bool
    spent_s: float


@dataclass(frozen=True, slots=True)
class Profile:
    """A network timed by node, by the runtime's own profiler: see `device_agents.profiling`.

    `nodes` are (name, operator, milliseconds of each run) in the order they run. `contention` is wall time over
    processor time of each run, or empty where it cannot be told.
    """

    nodes: tuple[tuple[str, str, tuple[float, ...]], ...]
    total_ms: tuple[float, ...]
    contention: tuple[float, ...]
    spent_s: float


class LinkLost(Exception):
    """The agent died, fell silent or talks nonsense: this process of it is of no more use."""


class Link:
    """An agent that is started when needed and started again when it fails.

    Raises:
        DeviceError: the agent failed `RESTARTS` times in a row over one request; what it last said is quoted.
    """

    def __init__(self, device: Device, command: Sequence[str] | None = None, silence_s: float = SILENCE_S) -> None:
        self._device, self._command, self._silence_s = device, command or AGENT_COMMAND, silence_s
        self._process: _Process | None = None
        self._hello: dict[str, Any] = {}
        self.restarts = 0

    def __enter__(self) -> Link:
        self.hello()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def hello(self) -> dict[str, Any]:
        """What the agent says of itself, its runtime and its system."""
        self._persist("starting", lambda process: None)
        return self._hello

    def time(self, model: bytes | Path, rule: Rule, name: str) -> Timing | Fault:
        """Load a model, measure and unload it; `name` is for messages. A Fault is the device's own refusal."""
        return self._persist(f"measuring {name}", lambda process: self._time(process, model, rule))

    def profile(self, model: bytes, warm_up: int, runs: int, name: str) -> Profile | Fault:
        """Time a model node by node. A Fault is the device's own refusal."""
        request = {"bytes": _text(model), "warm_up": warm_up, "runs": runs}

        def action(process: _Process) -> Profile | Fault:
            answer = process.ask("profile", request, self._silence_s)
            return answer if isinstance(answer, Fault) else _profile(answer)

        return self._persist(f"profiling {name}", action)

    def telemetry(self) -> dict[str, Any]:
        """What the device's system can say of itself now."""
        readings = self._persist("reading telemetry", lambda process: process.ask("telemetry", {}, self._silence_s))
        return {} if isinstance(readings, Fault) else readings

    def close(self) -> None:
        """End the agent."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def _time(self, process: _Process, model: bytes | Path, rule: Rule) -> Timing | Fault:
        source = {"path": str(model.resolve())} if isinstance(model, Path) else {"bytes": _text(model)}
        loaded = process.ask("load", source, self._silence_s)
        if isinstance(loaded, Fault):
            return loaded
        answer = process.ask("measure", {"model": loaded["model"], "rule": asdict(rule)}, self._silence_s)
        process.ask("unload", {"model": loaded["model"]}, self._silence_s)
        return answer if isinstance(answer, Fault) else _timing(answer, loaded.get("spent_s", 0.0))

    def _persist(self, doing: str, action: Any) -> Any:
        """Carry out `action`, on a new process of the agent after each failure."""
        for attempt in itertools.count():
            try:
                if self._process is None:
                    self._start()
                return action(self._process)
            except LinkLost as lost:
                last_words = self._process.last_words() if self._process is not None else ""
                self.close()
                reason = f"{lost}{f' ({last_words})' if last_words else ''}"
                if attempt == RESTARTS:
                    raise DeviceError(
                        f"device {self._device.name}: {reason} while {doing}, {RESTARTS + 1} times in a row; "
                        "what was measured is kept"
                    ) from None
                self.restarts += 1
                warn(f"device {self._device.name}: {reason} while {doing}; starting it again")
            except BaseException:
                self.close()  # Ctrl-C in the middle of an answer: the rest of it must not be taken for the next one
                raise
        raise AssertionError

    def _start(self) -> None:
        self._process = _Process(self._command)
        device = self._device
        fields = {
            "protocol": PROTOCOL,
            "runtime": device.runtime,
            "options": device.options,
            "cores": device.pinned_cores(),
        }
        answer = self._process.ask("hello", fields, _START_S)
        if isinstance(answer, Fault):
            self.close()
            raise DeviceError(f"device {device.name} cannot be used: {answer.detail}")
        if self._hello and _identity(answer) != _identity(self._hello):
            raise DeviceError(f"device {device.name} came back as another one: its runtime or chip has changed")
        self._hello = answer


def _identity(hello: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in hello.items() if key != "pid"}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _timing(answer: dict[str, Any], load_s: float) -> Timing:
    """The answer checked: it comes from outside."""
    try:
        samples = {str(clock): [float(ms) for ms in values] for clock, values in answer["samples_ms"].items()}
        if "wall" not in samples or not all(samples.values()):
            raise ValueError("no samples")
        return Timing(
            samples,
            int(answer["loops"]),
            int(answer["warm_up_runs"]),
            bool(answer["warm"]),
            bool(answer["converged"]),
            round(float(load_s) + float(answer["spent_s"]), 5),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LinkLost(f"the agent's measurement makes no sense: {error!r}") from None


def _profile(answer: dict[str, Any]) -> Profile:
    try:
        nodes = tuple(
            (str(node["name"]), str(node["op"]), tuple(float(ms) for ms in node["ms"])) for node in answer["nodes"]
        )
        total_ms = tuple(float(ms) for ms in answer["total_ms"])
        contention = tuple(float(ratio) for ratio in answer.get("contention", ()))
        runs = {len(node[2]) for node in nodes} | ({len(contention)} if contention else set())
        if not nodes or not total_ms or runs != {len(total_ms)}:
            raise ValueError("runs are missing")
        return Profile(nodes, total_ms, contention, float(answer["spent_s"]))
    except (KeyError, TypeError, ValueError) as error:
        raise LinkLost(f"the agent's profile makes no sense: {error!r}") from None


class _Process:
    """One process of the agent."""

    def __init__(self, command: Sequence[str]) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,  # Ctrl-C in the terminal is the near side's to handle
            )
        except OSError as error:
            raise DeviceError(f"cannot start the agent {command[0]}: {error.strerror}") from error
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._in, self._out = self._popen.stdin.fileno(), self._popen.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self._buffer = b""
        self._ids = itertools.count(1)

    def ask(self, op: str, fields: dict[str, Any], silence_s: float) -> Any:
        """The answer to one request: JSON data or a Fault.

        Raises:
            LinkLost: the agent is gone, silent for `silence_s`, or answers something else.
        """
        number = next(self._ids)
        self._write(json.dumps({"id": number, "op": op, **fields}).encode() + b"\n", silence_s)
        while True:
            answer = _parse(self._read_line(silence_s))
            if answer.get("id") != number:
                raise LinkLost(f"the agent answered request {answer.get('id')!r} instead of {number}")
            if "alive" in answer:
                continue
            if "fault" in answer:
                return _fault(answer["fault"])
            if not isinstance(answer.get("ok"), dict):
                raise LinkLost("the agent's answer is neither a result nor a fault")
            return answer["ok"]

    def last_words(self) -> str:
        """The last line it wrote to standard error."""
        self._stderr.seek(0)
        lines = self._stderr.read()[-4000:].decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def end(self) -> None:
        """Close its input, wait a little, then kill it."""
        with contextlib.suppress(OSError):
            assert self._popen.stdin is not None
            self._popen.stdin.close()
        try:
            self._popen.wait(_CLOSE_S if self._popen.poll() is None and not self._buffer else 0)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        assert self._popen.stdout is not None
        self._popen.stdout.close()
        self._stderr.close()

    def _write(self, data: bytes, silence_s: float) -> None:
        while data:
            self._wait(self._in, selectors.EVENT_WRITE, silence_s)
            try:
                data = data[os.write(self._in, data) :]
            except BlockingIOError:
                continue
            except OSError:
                raise LinkLost(self._death()) from None

    def _read_line(self, silence_s: float) -> bytes:
        while b"\n" not in self._buffer:
            self._wait(self._out, selectors.EVENT_READ, silence_s)
            chunk = os.read(self._out, 1 << 16)
            if not chunk:
                raise LinkLost(self._death())
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def _wait(self, descriptor: int, event: int, silence_s: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, event)
            if not selector.select(silence_s):
                self._popen.kill()
                raise LinkLost(f"the agent was silent for {silence_s:g} s")

    def _death(self) -> str:
        deadline = time.monotonic() + 1.0
        while self._popen.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        status = self._popen.poll()
        if status is None:
            return "the agent closed its output"
        return f"the agent was killed by signal {-status}" if status < 0 else f"the agent ended with status {status}"


def _parse(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise LinkLost(f"the agent answered {line[:60]!r}, which is not JSON data")
    return answer


def _fault(value: Any) -> Fault:
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise LinkLost("the agent's fault makes no sense")
    return Fault(value["kind"], value.get("detail", ""))
