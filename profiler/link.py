"""The line to an agent, here or on a board: JSON lines, with deadlines and bounded restarts."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from device_agents.agent import PROTOCOL
from device_agents.faults import Fault
from mosegnet.common.console import warn
from mosegnet.common.errors import DeviceError
from mosegnet.digits import FloatArray
from profiler.answers import (
    EnergyReading,
    Profile,
    Rule,
    Timing,
    arrays_of,
    energy_of,
    engine_of,
    introduction,
    outputs_of,
    packed,
    profile_of,
    readings_of,
    timing_of,
)
from profiler.conversation import Conversation
from profiler.devices import Device
from profiler.outside import short
from profiler.pipe import DeviceLost, Host, LinkLost, LocalHost

__all__ = ["AGENT_COMMAND", "RESTARTS", "SILENCE_S", "Link", "LinkLost", "Profile", "Rule", "Timing"]

AGENT_COMMAND = (sys.executable, "-m", "device_agents")
RESTARTS = 3  # in a row, over one model
SILENCE_S = 120.0  # an agent at work says something after every run, at most once a second
_DEVICE_WAITS_S = (1.0, 5.0, 20.0)  # before each restart, where the device itself has failed
_START_S = 60.0


class Link:
    """An agent that is started when needed and started again when it fails, on this machine or on a board.

    Raises:
        UserError: something that the user can mend stands in the way, such as a host key that is not known.
        DeviceError: the agent failed `RESTARTS` times in a row over one request; what it last said is quoted.
    """

    def __init__(self, device: Device, command: Sequence[str] | None = None, silence_s: float = SILENCE_S) -> None:
        self._device, self._silence_s = device, silence_s
        self._host: Host = host_of(device, command or AGENT_COMMAND)
        self._talk: Conversation | None = None
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

        def action(talk: Conversation) -> Profile | Fault:
            request = {**self._host.place(model), "warm_up": warm_up, "runs": runs}
            answer = self._ask(talk, "profile", request)
            return answer if isinstance(answer, Fault) else profile_of(answer)

        return self._persist(f"profiling {name}", action)

    def energy(self, model: bytes | Path, window_s: float, name: str) -> EnergyReading | Fault:
        """Run a model for `window_s` seconds and say what an inference takes. A Fault is the device's own refusal."""
        return self._persist(f"measuring the energy of {name}", lambda talk: self._energy(talk, model, window_s))

    def infer(self, model: bytes | Path, inputs: dict[str, list[float]], name: str) -> dict[str, list[float]] | Fault:
        """Outputs of one inference by name, flat lists of floats; for checks, not for timing."""
        return self._persist(f"running {name}", lambda talk: self._infer(talk, model, inputs))

    def run(self, model: bytes | Path, inputs: dict[str, FloatArray], name: str) -> dict[str, FloatArray] | Fault:
        """As `infer`, with arrays: images and maps of classes of any size. Outputs are flat."""

        def action(talk: Conversation) -> dict[str, FloatArray] | Fault:
            fields = {"packed": True, "inputs": {key: packed(array) for key, array in inputs.items()}}
            answer = self._ask_loaded(talk, model, fields)
            return answer if isinstance(answer, Fault) else arrays_of(answer)

        return self._persist(f"running {name}", action)

    def build(self, model: bytes | Path, name: str) -> bytes | Fault:
        """What the device's runtime makes of a model and keeps, such as an engine. A Fault is its own refusal."""

        def action(talk: Conversation) -> bytes | Fault:
            answer = self._ask(talk, "build", self._host.place(model))
            return answer if isinstance(answer, Fault) else engine_of(answer)

        return self._persist(f"building {name}", action)

    def telemetry(self) -> dict[str, Any]:
        """What the device's system can say of itself now."""
        readings = self._persist("reading telemetry", lambda talk: self._ask(talk, "telemetry", {}))
        return {} if isinstance(readings, Fault) else readings_of(readings)

    def close(self) -> None:
        """End the agent and let go of its host."""
        self._hang_up()
        self._host.close()

    def _time(self, talk: Conversation, model: bytes | Path, rule: Rule) -> Timing | Fault:
        loaded = self._load(talk, model)
        if isinstance(loaded, Fault):
            return loaded
        answer = self._ask(talk, "measure", {"model": loaded["model"], "rule": asdict(rule)})
        self._ask(talk, "unload", {"model": loaded["model"]})
        return (
            answer if isinstance(answer, Fault) else timing_of(answer, loaded.get("spent_s", 0.0), self._hello["clock"])
        )

    def _energy(self, talk: Conversation, model: bytes | Path, window_s: float) -> EnergyReading | Fault:
        began_s = time.monotonic()
        loaded = self._load(talk, model)
        if isinstance(loaded, Fault):
            return loaded
        answer = self._ask(talk, "energy", {"model": loaded["model"], "window_s": window_s})
        self._ask(talk, "unload", {"model": loaded["model"]})
        return answer if isinstance(answer, Fault) else energy_of(answer, time.monotonic() - began_s)

    def _infer(
        self, talk: Conversation, model: bytes | Path, inputs: dict[str, list[float]]
    ) -> dict[str, list[float]] | Fault:
        answer = self._ask_loaded(talk, model, {"inputs": inputs})
        return answer if isinstance(answer, Fault) else outputs_of(answer)

    def _ask_loaded(self, talk: Conversation, model: bytes | Path, fields: dict[str, Any]) -> Any:
        """The answer of one inference."""
        loaded = self._load(talk, model)
        if isinstance(loaded, Fault):
            return loaded
        answer = self._ask(talk, "infer", {"model": loaded["model"], **fields})
        self._ask(talk, "unload", {"model": loaded["model"]})
        return answer

    def _load(self, talk: Conversation, model: bytes | Path) -> Any:
        loaded = self._ask(talk, "load", self._host.place(model))
        if not isinstance(loaded, Fault) and not isinstance(loaded.get("model"), int):
            raise LinkLost(f"the agent loaded a model and calls it {short(loaded.get('model'))}")
        return loaded

    def _ask(self, talk: Conversation, op: str, fields: dict[str, Any]) -> Any:
        """The answer, JSON data or a Fault; a device that needs a reset needs a new process as well."""
        answer = talk.ask(op, fields, self._silence_s)
        if isinstance(answer, Fault) and answer.kind == "device":
            raise DeviceLost(answer.detail)
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
                if isinstance(lost, DeviceLost):
                    time.sleep(_DEVICE_WAITS_S[attempt])
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
        self._talk = Conversation(self._host.start())
        fields = {
            "protocol": PROTOCOL,
            "runtime": device.runtime,
            "options": device.options,
            "cores": device.pinned_cores(),
        }
        answer = self._talk.ask("hello", fields, _START_S)
        if isinstance(answer, Fault):
            if self._hello and answer.kind in ("device", "memory"):  # it was there before: it may be rebooting
                raise DeviceLost(answer.detail)
            self.close()
            raise DeviceError(f"device {device.name} cannot be used: {answer.detail}")
        answer = introduction(answer)
        if self._hello and _identity(answer) != _identity(self._hello):
            raise DeviceError(f"device {device.name} came back as another one: its runtime or chip has changed")
        self._hello = answer


def host_of(device: Device, command: Sequence[str]) -> Host:
    """Where the device's agent runs; `command` starts it on this machine."""
    if device.link == "ssh":
        from profiler.ssh import SshHost  # only who has a board waits for paramiko to load

        return SshHost(device)
    return LocalHost(command, device.agent_environment)


def _identity(hello: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in hello.items() if key != "pid"}
