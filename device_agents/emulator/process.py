"""The state of one process on the emulated board: handles, contexts, messages; and how it dies."""

import os
import sys
import threading

from device_agents.emulator.memory import Memory
from device_agents.emulator.passing import Passing, hang
from device_agents.emulator.script import Script
from device_agents.emulator.settings import Settings
from device_agents.emulator.timing_model import Parameters, TimingModel

SUCCESS = 0
INVALID_PARAM, UNINITIALIZE, REPEAT_INITIALIZE, REPEAT_FINALIZE = 100000, 100001, 100002, 100037
NOT_CLEARED = 148051
PARAM_INVALID, INVALID_DEVICEID, CONTEXT_NULL, STREAM_CONTEXT, MODEL_CONTEXT = 107000, 107001, 107002, 107003, 107004
EVENT_TIMESTAMP_INVALID = 107006
MEMORY_ALLOCATION, NO_EVENT = 207001, 207007
GE_MEMORY_ALLOCATION = 245000
GE_FAILURE = 500002
PATH_INVALID, MODEL_ID_INVALID, MODEL_DATA_INVALID = 145002, 145003, 145006
INTERNAL, SYS_DMA, DEV_SETUP_ERROR, STREAM_SYNC_TIMEOUT = 507000, 507013, 507033, 507046
_ABORTED, _CRASHED, _REBOOTED = 134, 139, 129


class Handle(object):
    """Something made by acl; `kind` is a word, `context` the one it was made in."""

    __slots__ = ("alive", "context", "kind", "number", "state")

    def __init__(self, kind, number, context, state):
        self.kind, self.number, self.context, self.state = kind, number, context, state
        self.alive = True


class Process(object):
    """There is one for each process that imports acl. `settings`: see `settings`."""

    def __init__(self, settings=None):
        self.settings = settings or Settings()
        self.script = Script.of(self.settings)
        self.soc = self.script.facts.get("soc", self.settings.soc)
        self.parameters = Parameters(self.settings.model)
        self.timing = TimingModel(self.parameters)
        self.passing = Passing(self.parameters, self.settings.seed, self.settings.time_factor)
        self.memory = Memory(self.settings.memory_mb * 1024 * 1024, self.crash)
        self.handles = {}
        self.initialized = self.finalized = False
        self.device = None
        self.misuses = []
        self._thread = threading.local()
        self._next = 0x7F0000001000
        self._lock = threading.Lock()

    @property
    def is_old(self):
        """CANN up to 6: the boards' own, with fewer functions."""
        return self.settings.cann_major <= 6

    # --- messages -----------------------------------------------------------------------------------------------

    def fail(self, code, message=None):
        """Leave a message for get_recent_err_msg of this thread; returns the code."""
        self._thread.message = message
        return code

    def take_message(self):
        """The message, once."""
        message, self._thread.message = getattr(self._thread, "message", None), None
        return message

    def misuse(self, text):
        """Note something that the real library lets pass, and that is wrong all the same."""
        self.misuses.append(text)
        _say("misuse: " + text)

    def crash(self, text):
        """End the process: the real library would read or write memory that is not there."""
        _say("the real library would corrupt memory or crash here: " + text)
        os._exit(_ABORTED)

    # --- faults -------------------------------------------------------------------------------------------------

    def fault(self, event):
        """The code of the fault that the script has for this `event`, or None; hangs and deaths happen here."""
        words = self.script.happens(event)
        if words is None:
            return None
        if words[0] == "hang":
            _say("hangs, as the fault script has it")
            hang()
        if words[0] == "crash":
            _say("crashes, as the fault script has it")
            os._exit(_CRASHED)
        if words[0] == "reboot":
            import time

            self.script.remember("down-until", repr(time.time() + float(words[1])))
            _say("reboots, as the fault script has it")
            os._exit(_REBOOTED)
        oom = GE_MEMORY_ALLOCATION if event == "load" else MEMORY_ALLOCATION
        code = {"oom": oom, "soc": GE_FAILURE, "corrupt": MODEL_DATA_INVALID}.get(words[0])
        if code is None:
            code = int(words[0])
        return self.fail(code, " ".join(words[1:]) or _MESSAGES.get(words[0], "EE9999: Inner Error!"))

    # --- contexts and handles -----------------------------------------------------------------------------------

    @property
    def context(self):
        """The current context of this thread, or None."""
        return getattr(self._thread, "context", None)

    @context.setter
    def context(self, handle):
        self._thread.context = handle

    def make(self, kind, state=None, context=None):
        """The number of a new handle."""
        with self._lock:
            number = self._next
            self._next += 0x40
        self.handles[number] = Handle(kind, number, context or self.context, state)
        return number

    def get(self, number, kind):
        """The living handle of a kind; anything else ends the process."""
        handle = self.handles.get(number)
        if handle is None or handle.kind != kind:
            return self.crash("0x{:x} is not a {}".format(number, kind))
        if not handle.alive:
            self.crash("use of the {} 0x{:x}, which was destroyed".format(kind, number))
        return handle

    def destroy(self, number, kind):
        """End a handle."""
        handle = self.get(number, kind)
        handle.alive = False
        handle.state = None
        return handle

    def living(self, kind):
        """Handles of a kind that were not destroyed."""
        return [handle for handle in self.handles.values() if handle.alive and handle.kind == kind]

    def left(self):
        """What was not given back, as words."""
        counts: dict = {}
        for handle in self.handles.values():
            if handle.alive:
                counts[handle.kind] = counts.get(handle.kind, 0) + 1
        counts["block of device memory"] = len(self.memory.blocks)
        counts["block of host memory"] = len(self.memory.hosts)
        counts["device"] = 1 if self.device is not None else 0
        return ["{} {}".format(count, kind) for kind, count in sorted(counts.items()) if count]


_MESSAGES = {
    "oom": "EL0004: Failed to allocate memory.",
    "soc": "E10001: Value [Ascend310] for parameter [soc_version] is invalid. "
    "Reason: Model soc version is not support in this device.",
    "corrupt": "E10001: Value [model] for parameter [om] is invalid. Reason: Invalid om file.",
}


def _say(text):
    sys.stderr.write("acl emulator: {}\n".format(text))
    sys.stderr.flush()
