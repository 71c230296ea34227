"""An emulated Atlas board for the tests: `acl` imported afresh, the agent as a process, models converted."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from handmade_models import conv_model

from device_agents import emulator
from device_agents.agent import PROTOCOL
from device_agents.emulator import convert
from device_agents.runtimes import acl_runtime

OLD, NEW = "6.0.0.alpha003", "8.0.RC2"
HELLO = {"protocol": PROTOCOL, "runtime": "acl", "options": {}}


def om(channels: int = 4, soc: str = "Ascend310", cann: str = OLD, **options: Any) -> bytes:
    """`conv_model` converted: x (1, channels, 8, 8) -> y (1, 3, 8, 8)."""
    data: bytes = convert.convert(conv_model(channels), soc, cann, **options)[0]
    return data


def fresh_acl(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Any:
    """The module `acl` of a new board, as if this process had just started; time does not pass on it."""
    for name in [name for name in os.environ if name.startswith("ASCEND_")]:
        monkeypatch.delenv(name)
    for name, value in emulator.environment(**{"time_factor": 0, **settings}).items():
        if name.startswith("ASCEND_"):
            monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(emulator.SITE)
    for name in ("acl", "acl.rt", "acl.mdl", "acl.util"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(acl_runtime, "_session", None)
    return importlib.import_module("acl")


class Board:
    """The agent as a process on an emulated board, in a process group of its own."""

    def __init__(self, python: str = sys.executable, app: Path | None = None, **settings: Any) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ASCEND_")}
        environment.update(emulator.environment(**{"time_factor": 0, **settings}))
        if app is None:
            environment["PYTHONPATH"] += os.pathsep + str(Path(emulator.FOLDER).parent.parent)
        self.process = subprocess.Popen(
            [python, *([str(app)] if app else ["-m", "device_agents"])], env=environment, start_new_session=True,
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._next = 0

    def ask(self, op: str, deadline_s: float = 60.0, **request: Any) -> Any:
        """The answer: the value of `ok`, or the fault as a dict; None when the agent went away or had to be killed."""
        self._next += 1
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"id": self._next, "op": op, **request}) + "\n")
        self.process.stdin.flush()
        timer = threading.Timer(deadline_s, self.kill)
        timer.start()
        try:
            while True:
                line = self.process.stdout.readline()
                if not line:
                    return None
                answer = json.loads(line)
                if "alive" not in answer:
                    return answer.get("ok", answer.get("fault"))
        finally:
            timer.cancel()

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)

    def end(self) -> tuple[int, str]:
        """Exit status and what went to standard error."""
        if self.process.poll() is None and self.process.stdin:
            self.process.stdin.close()
        status = self.process.wait(30)
        assert self.process.stdout
        assert self.process.stderr
        self.process.stdout.close()
        said = self.process.stderr.read()
        self.process.stderr.close()
        return status, said
