"""The agent: one request a line on standard input, one answer a line on standard output, all JSON.

    {"id": 1, "op": "hello", "protocol": 1, "runtime": "onnxruntime", "options": {"threads": 1}, "cores": [1]}
    {"id": 1, "ok": {"agent": "1", "runtime": {…}, "clock": "thread_cpu", …}}

An answer is `{"id", "ok"}` or `{"id", "fault": {"kind", "detail"}}`; a long request says `{"id", "alive": true}` about
once a second while it makes progress. Standard error is for people. When the input ends, so does the agent.
"""

import array
import base64
import json
import os
import platform
import signal
import sys
import time
from typing import Any

from device_agents import energy, runtimes, telemetry
from device_agents.faults import Fault
from device_agents.timing import CLOCKS, Rule, clock_step_us, measure

PROTOCOL = 1
VERSION = "1"
_ALIVE_EVERY_S = 1.0


class Agent(object):
    """Holds the runtime and the loaded models, and answers requests. `say` takes JSON data for the near side."""

    def __init__(self, say):
        self._say = say
        self._runtime: Any = None
        self._clock = None
        self._clock_step_us = 0.0
        self._models = {}
        self._next = 0
        self._current = None  # id of the request being answered
        self._said_s = 0.0
        self.finished = False

    def handle(self, line):
        """Answer one line."""
        self._current = None
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError("a request is a JSON object")
        except ValueError as error:
            answer = Fault("protocol", "not a request: {}".format(error))
        else:
            self._current = request.get("id")
            answer = self._answer(request)
        if isinstance(answer, Fault):
            self._send({"id": self._current, "fault": answer.to_dict()})
        else:
            self._send({"id": self._current, "ok": answer})

    def close(self):
        """Give back the models, and what the runtime holds of the device. The first Fault, or None."""
        first, models, runtime = None, list(self._models.values()), self._runtime
        self._models.clear()
        self._runtime = None
        for model in models:
            try:
                model.close()
            except Exception as error:
                first = first or Fault.of(error, "internal")
        fault = runtime.close() if hasattr(runtime, "close") else None
        return first or fault

    def _answer(self, request):
        name = request.get("op")
        operation = self._OPERATIONS.get(name)
        if operation is None:
            known = ", ".join(sorted(self._OPERATIONS))
            return Fault("protocol", "unknown operation {!r}: this agent has {}".format(name, known))
        if self._runtime is None and name not in ("hello", "telemetry", "shutdown"):
            return Fault("protocol", "say hello first")
        try:
            return operation(self, request)
        except KeyError as error:
            return Fault("protocol", "{} needs {}".format(name, error))
        except Exception as error:  # the near side decides what to do; an agent that dies tells it nothing
            import traceback

            traceback.print_exc()
            return Fault.of(error, "internal")

    def _hello(self, request):
        if request.get("protocol") != PROTOCOL:
            return Fault("protocol", "this agent speaks protocol {}, not {}".format(PROTOCOL, request.get("protocol")))
        cores = request.get("cores")
        if cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)
        runtime = runtimes.create(request["runtime"], request.get("options", {}))
        if isinstance(runtime, Fault):
            return runtime
        self._runtime, self._clock = runtime, request.get("clock") or runtime.clock
        if self._clock not in CLOCKS:
            return Fault("protocol", "unknown clock {!r}: there are {}".format(self._clock, ", ".join(CLOCKS)))
        self._clock_step_us = clock_step_us(self._clock)
        if hasattr(runtime, "say_alive"):
            runtime.say_alive(self._alive)
        return {
            "agent": VERSION,
            "protocol": PROTOCOL,
            "pid": os.getpid(),
            "python": platform.python_version(),
            "system": "{} {} {}".format(platform.system(), platform.release(), platform.machine()),
            "chip": telemetry.chip(),
            "cores": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
            "cores_total": os.cpu_count(),
            "runtime": runtime.describe(),
            "clock": self._clock,
            "node_profiler": hasattr(runtime, "profile"),
            "energy_meter": not isinstance(getattr(runtime, "card", Fault("energy", "")), Fault),
        }

    def _load(self, request):
        began_s = time.perf_counter()
        try:
            model = self._runtime.load(_data(request))
        except (OSError, ValueError) as error:
            return Fault.of(error, "load")
        if isinstance(model, Fault):
            return model
        self._next += 1
        self._models[self._next] = model
        return {"model": self._next, "spent_s": round(time.perf_counter() - began_s, 5)}

    def _profile(self, request):
        if not hasattr(self._runtime, "profile"):
            return Fault("profile", "this runtime cannot time single nodes")
        began_s = time.perf_counter()
        try:
            data = _data(request)
        except (OSError, ValueError) as error:
            return Fault.of(error, "load")
        try:
            found = self._runtime.profile(data, int(request["warm_up"]), int(request["runs"]), self._alive)
        except Exception as error:
            return Fault.of(error, "run")
        return found if isinstance(found, Fault) else dict(found, spent_s=round(time.perf_counter() - began_s, 5))

    def _measure(self, request):
        model = self._model(request)
        if isinstance(model, Fault):
            return model
        try:
            rule = Rule(**request.get("rule", {}))
        except (TypeError, ValueError) as error:
            return Fault("protocol", error)
        return measure(model, rule, self._clock, self._alive)

    def _energy(self, request):
        model = self._model(request)
        if isinstance(model, Fault):
            return model
        card = getattr(self._runtime, "card", Fault("energy", "this runtime knows no meter of energy"))
        if isinstance(card, Fault):
            return card
        try:
            return energy.measure_energy(model, card, request.get("window_s", energy.WINDOW_S), self._alive)
        except Exception as error:
            return Fault.of(error, "run")

    def _infer(self, request):
        model = self._model(request)
        if isinstance(model, Fault):
            return model
        try:
            if not request.get("packed"):
                return {"outputs": model.infer(request["inputs"])}
            found = model.infer({name: _unpacked(text) for name, text in request["inputs"].items()})
            return {"outputs": {name: _packed(values) for name, values in found.items()}}
        except Exception as error:
            return Fault.of(error, "run")

    def _build(self, request):
        """The model as the runtime itself keeps it, such as an engine of TensorRT."""
        if not hasattr(self._runtime, "build"):
            return Fault("load", "this runtime loads models as they are: there is nothing to build")
        try:
            built = self._runtime.build(_data(request))
        except (OSError, ValueError) as error:
            return Fault.of(error, "load")
        return built if isinstance(built, Fault) else {"bytes": base64.b64encode(built).decode("ascii")}

    def _unload(self, request):
        model = self._model(request)
        if isinstance(model, Fault):
            return model
        del self._models[request["model"]]
        model.close()
        return {}

    def _telemetry(self, request):
        readings = telemetry.read()
        if self._clock is not None:
            readings["clock_step_us"] = self._clock_step_us
        if hasattr(self._runtime, "telemetry"):
            readings.update(self._runtime.telemetry())
        return readings

    def _shutdown(self, request):
        self.finished = True
        return self.close() or {}

    _OPERATIONS = {
        "hello": _hello,
        "load": _load,
        "measure": _measure,
        "profile": _profile,
        "energy": _energy,
        "infer": _infer,
        "build": _build,
        "unload": _unload,
        "telemetry": _telemetry,
        "shutdown": _shutdown,
    }

    def _model(self, request):
        found = self._models.get(request["model"])
        return Fault("protocol", "no model {!r} is loaded".format(request["model"])) if found is None else found

    def _alive(self):
        if time.perf_counter() - self._said_s >= _ALIVE_EVERY_S:
            self._send({"id": self._current, "alive": True})

    def _send(self, answer):
        self._say(answer)
        self._said_s = time.perf_counter()


def _data(request):
    """The model's bytes: of the file at `path`, or those sent along."""
    if "path" in request:
        with open(request["path"], "rb") as file:
            return file.read()
    return base64.b64decode(request["bytes"], validate=True)


def _unpacked(text):
    """Numbers sent as single floats in little-endian order and base64: images are long in digits."""
    values = array.array("f")
    values.frombytes(base64.b64decode(text, validate=True))
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _packed(values):
    """The other way; whole numbers up to 2 ** 24, which classes are, stay what they are."""
    found = array.array("f", values)
    if sys.byteorder == "big":
        found.byteswap()
    return base64.b64encode(found.tobytes()).decode("ascii")


def main():
    """Answer requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the near side's to handle
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Libraries print, some of them from C: whatever goes to standard output from here on lands on standard error.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)

    def say(answer):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    agent = Agent(say)
    try:
        for line in requests:
            agent.handle(line)
            if agent.finished:
                break
        fault = agent.close()
        if fault is not None:
            sys.stderr.write("agent: {}\n".format(fault.detail))
    except BrokenPipeError:
        agent.close()
        os._exit(0)  # the near side went away; there is nobody to tell


if __name__ == "__main__":
    main()
