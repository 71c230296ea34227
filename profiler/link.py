"""The line to an agent, here or on a board: JSON lines, with deadlines and bounded restarts."""

from __future__ import annotations

import itertools
import json
import math
import sys
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
from profiler.pipe import Host, LinkLost, LocalHost, Pipe

AGENT_COMMAND = (sys.executable, "-m", "device_agents")
RESTARTS = 3  # in a row, over one model
SILENCE_S = 120.0  # an agent at work says something after every run, at most once a second
_START_S = 60.0
_LONGEST_LINE = 64 << 20  # bytes; a profile of a large network is a few hundred kB
_SHORT = 60


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


class Link:
    """An agent that is started when needed and started again when it fails, on this machine or on a board.

    Raises:
        UserError: something that the user can mend stands in the way, such as a host key that is not known.
        DeviceError: the agent failed `RESTARTS` times in a row over one request; what it last said is quoted.
    """

    def __init__(self, device: Device, command: Sequence[str] | None = None, silence_s: float = SILENCE_S) -> None:
        self._device, self._silence_s = device, silence_s
        self._host: Host = host_of(device, command or AGENT_COMMAND)
        self._talk: _Conversation | None = None
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
        self._persist("starting", lambda talk: None)
        return self._hello

    def time(self, model: bytes | Path, rule: Rule, name: str) -> Timing | Fault:
        """Load a model, measure and unload it; `name` is for messages. A Fault is the device's own refusal."""
        return self._persist(f"measuring {name}", lambda talk: self._time(talk, model, rule))

    def profile(self, model: bytes | Path, warm_up: int, runs: int, name: str) -> Profile | Fault:
        """Time a model node by node. A Fault is the device's own refusal."""

        def action(talk: _Conversation) -> Profile | Fault:
            request = {**self._host.place(model), "warm_up": warm_up, "runs": runs}
            answer = self._ask(talk, "profile", request)
            return answer if isinstance(answer, Fault) else _profile(answer)

        return self._persist(f"profiling {name}", action)

    def infer(self, model: bytes | Path, inputs: dict[str, list[float]], name: str) -> dict[str, list[float]] | Fault:
        """Outputs of one inference by name, flat lists of floats; for checks, not for timing."""
        return self._persist(f"running {name}", lambda talk: self._infer(talk, model, inputs))

    def telemetry(self) -> dict[str, Any]:
        """What the device's system can say of itself now."""
        readings = self._persist("reading telemetry", lambda talk: self._ask(talk, "telemetry", {}))
        return {} if isinstance(readings, Fault) else readings

    def close(self) -> None:
        """End the agent and let go of its host."""
        self._hang_up()
        self._host.close()

    def _time(self, talk: _Conversation, model: bytes | Path, rule: Rule) -> Timing | Fault:
        loaded = self._ask(talk, "load", self._host.place(model))
        if isinstance(loaded, Fault):
            return loaded
        answer = self._ask(talk, "measure", {"model": loaded["model"], "rule": asdict(rule)})
        self._ask(talk, "unload", {"model": loaded["model"]})
        return answer if isinstance(answer, Fault) else _timing(answer, loaded.get("spent_s", 0.0))

    def _infer(
        self, talk: _Conversation, model: bytes | Path, inputs: dict[str, list[float]]
    ) -> dict[str, list[float]] | Fault:
        loaded = self._ask(talk, "load", self._host.place(model))
        if isinstance(loaded, Fault):
            return loaded
        answer = self._ask(talk, "infer", {"model": loaded["model"], "inputs": inputs})
        self._ask(talk, "unload", {"model": loaded["model"]})
        return answer if isinstance(answer, Fault) else _outputs(answer)

    def _ask(self, talk: _Conversation, op: str, fields: dict[str, Any]) -> Any:
        """The answer, JSON data or a Fault; a device that needs a reset needs a new process as well."""
        answer = talk.ask(op, fields, self._silence_s)
        if isinstance(answer, Fault) and answer.kind == "device":
            raise LinkLost(answer.detail)
        return answer

    def _persist(self, doing: str, action: Any) -> Any:
        """Carry out `action`, on a new process of the agent after each failure."""
        for attempt in itertools.count():
            try:
                if self._talk is None:
                    self._start()
                return action(self._talk)
            except LinkLost as lost:
                last_words = self._talk.last_words() if self._talk is not None else ""
                self._hang_up()
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

    def _hang_up(self) -> None:
        if self._talk is not None:
            self._talk.end()
            self._talk = None

    def _start(self) -> None:
        device = self._device
        self._talk = _Conversation(self._host.start())
        fields = {
            "protocol": PROTOCOL,
            "runtime": device.runtime,
            "options": device.options,
            "cores": device.pinned_cores(),
        }
        answer = self._ask_hello(fields)
        if isinstance(answer, Fault):
            self.close()
            raise DeviceError(f"device {device.name} cannot be used: {answer.detail}")
        if self._hello and _identity(answer) != _identity(self._hello):
            raise DeviceError(f"device {device.name} came back as another one: its runtime or chip has changed")
        self._hello = answer

    def _ask_hello(self, fields: dict[str, Any]) -> Any:
        assert self._talk is not None
        return self._talk.ask("hello", fields, _START_S)


def host_of(device: Device, command: Sequence[str]) -> Host:
    """Where the device's agent runs; `command` starts it on this machine."""
    if device.link == "ssh":
        from profiler.ssh import SshHost  # only who has a board waits for paramiko to load

        return SshHost(device)
    return LocalHost(command, device.agent_environment)


def _identity(hello: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in hello.items() if key != "pid"}


def _timing(answer: dict[str, Any], load_s: float) -> Timing:
    """The answer checked: it comes from outside."""
    try:
        samples = {str(clock): [_positive(ms) for ms in values] for clock, values in answer["samples_ms"].items()}
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


def _outputs(answer: dict[str, Any]) -> dict[str, list[float]]:
    try:
        return {str(name): [float(value) for value in values] for name, values in answer["outputs"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LinkLost(f"the agent's outputs make no sense: {error!r}") from None


def _positive(ms: Any) -> float:
    """A time, as a number that can be one."""
    if not 0 < float(ms) < math.inf:
        raise ValueError(f"{ms} is no time")
    return float(ms)


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


class _Conversation:
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
        self._pipe.send(json.dumps({"id": number, "op": op, **fields}).encode() + b"\n", silence_s)
        while True:
            answer = _parse(self._read_line(silence_s))
            if answer.get("id") != number:
                raise LinkLost(f"the agent answered request {_short(answer.get('id'))} instead of {number}")
            if "alive" in answer:
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

    def _read_line(self, silence_s: float) -> bytes:
        pieces = [self._buffer]
        size = len(self._buffer)
        while b"\n" not in pieces[-1]:
            pieces.append(self._pipe.receive(silence_s))
            size += len(pieces[-1])
            if size > _LONGEST_LINE:
                self._buffer = b"too much"  # no more patience with it
                raise LinkLost(f"the agent's answer is longer than {_LONGEST_LINE >> 20} MiB")
        line, self._buffer = b"".join(pieces).split(b"\n", 1)
        return line


def _parse(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise LinkLost(f"the agent answered {_short(line)}, which is not JSON data")
    return answer


def _fault(value: Any) -> Fault:
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise LinkLost("the agent's fault makes no sense")
    return Fault(value["kind"], value.get("detail", ""))


def _short(value: Any) -> str:
    """Anything from outside, in a few printable characters."""
    words = ascii(value)
    return words if len(words) <= _SHORT else words[:_SHORT] + "…"
