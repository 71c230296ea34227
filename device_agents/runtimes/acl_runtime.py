"""Ascend devices by pyACL, with nothing but it and the standard library: what runs on the Atlas 200 DK.

Order of calls, pointers, return values and memory are those of the documented
interface: one process, one device, one context, one stream. Clocks: "wall" is the host's around the synchronous
`acl.mdl.execute` alone, as msame and ais_bench take it; "device" is the time between two events around
`acl.mdl.execute_async`, in runs of its own, so that neither holds the other's book-keeping.
"""

import os
import re
import sys

from device_agents.faults import Fault, FaultError
from device_agents.runtimes.acl_calls import (
    EVENT_TIME_LINE,
    REPEAT_FINALIZE,
    REPEAT_INITIALIZE,
    RUN_MODE_DEVICE,
    AclError,
    Calls,
)
from device_agents.runtimes.acl_memory import Copies
from device_agents.runtimes.acl_model import AclModel

_CLOCKS = {"wall": "host clock around acl.mdl.execute", "device": "events around acl.mdl.execute_async"}
_FINALIZED = Fault("runtime", "acl was finalized in this process: it needs a new one")
_session = None  # acl is initialized once in a process and never again


def create(options):
    """options: `device_id` (default 0), `soc` (the chip that is expected; any when absent). Runtime or Fault."""
    device_id, soc = options.get("device_id", 0), options.get("soc")
    if type(device_id) is not int or device_id < 0:
        return Fault("protocol", "device_id must be a whole number of 0 or more, not {!r}".format(device_id))
    if soc is not None and not isinstance(soc, str):
        return Fault("protocol", "soc must be the name of a chip such as Ascend310, not {!r}".format(soc))
    session = _opened(device_id)
    if isinstance(session, Fault):
        return session
    if soc and session.soc and soc != session.soc:
        return Fault("runtime", "the chip is {}, not the {} that is expected".format(session.soc, soc))
    return AclRuntime(session, soc)


def _opened(device_id):
    """The session of this process, on that device; or a Fault."""
    global _session  # noqa: PLW0603
    if _session is None:
        try:
            import acl
        except ImportError as error:
            return Fault("runtime", "acl cannot be imported ({}): was CANN's set_env.sh sourced?".format(error))
        _session = _Session(Calls(acl), device_id)
        fault = _session.open()
        if fault is not None:
            return fault
    if _session.closed:
        return _FINALIZED
    if _session.device_id != device_id:
        return Fault("runtime", "this process is on device {} already".format(_session.device_id))
    return _session


class _Session(object):
    """What one process has once: the device, a context, a stream, two events to time with where they work."""

    def __init__(self, calls, device_id):
        self.calls, self.device_id = calls, device_id
        self.context = self.stream = 0
        self.copies = self.run_mode = self.soc = None
        self.closed = self._is_set = False
        self.failed = None  # the device fault after which nothing here works any more
        self.models = []
        self.events = []
        self._made_events = []

    def open(self):
        """None, or the Fault that keeps the device from being used."""
        calls = self.calls
        try:
            try:
                calls.do("init")
            except AclError as error:
                if error.code != REPEAT_INITIALIZE:
                    raise
            calls.do("rt.set_device", self.device_id)
            self._is_set = True
            self.run_mode = calls.get("rt.get_run_mode")
            self.context = calls.get("rt.create_context", self.device_id)
            self.stream = calls.get("rt.create_stream")
            self.soc = calls.value("get_soc_name") if calls.has("get_soc_name") else None
        except AclError as error:
            self.close()
            return error.fault("runtime")
        self._try_events()
        self.copies = Copies(calls, self.run_mode == RUN_MODE_DEVICE)
        return None

    def _try_events(self):
        # Boards differ in what their events can do; one that cannot time with them has its host's clock.
        calls = self.calls
        try:
            for _ in range(2):
                if calls.has("rt.create_event_with_flag"):
                    self._made_events.append(calls.get("rt.create_event_with_flag", EVENT_TIME_LINE))
                else:
                    self._made_events.append(calls.get("rt.create_event"))
                calls.do("rt.record_event", self._made_events[-1], self.stream)
            calls.do("rt.synchronize_stream", self.stream)
            calls.get("rt.event_elapsed_time", *self._made_events)
        except (AclError, AttributeError) as error:
            sys.stderr.write("agent: no time by events: {}\n".format(error))
            return
        self.events = self._made_events

    def fault(self, error, kind):
        """The Fault of an AclError; a device fault stays."""
        fault = error.fault(kind)
        if fault.kind == "device":
            self.failed = fault
        return fault

    def close(self):
        """Models, events, stream, context, device, acl, in this order. The first Fault, or None."""
        if self.closed:
            return None
        self.closed = True
        first = None
        for model in list(self.models):
            try:
                model.close()
            except FaultError as error:
                first = first or error.fault
        steps = [("rt.destroy_event", [event]) for event in self._made_events]
        steps += [("rt.destroy_stream", [self.stream])] if self.stream else []
        steps += [("rt.destroy_context", [self.context])] if self.context else []
        steps += [("rt.reset_device", [self.device_id])] if self._is_set else []
        for name, args in steps + [("finalize", [])]:
            try:
                self.calls.do(name, *args)
            except AclError as error:
                if error.code != REPEAT_FINALIZE:
                    first = first or error.fault("runtime")
        return first


class AclRuntime(object):
    """See `device_agents.runtimes`. soc: what the near side says the chip is, for boards that cannot tell."""

    def __init__(self, session, soc):
        self._session, self._soc = session, soc
        self._emulator = getattr(session.calls.acl, "__emulator__", None)
        # A person waits by the host's clock. The stand-in's host is not the board's: what others do on it meanwhile
        # is no property of the device.
        self.clock = "device" if self._emulator is not None and session.events else "wall"

    def describe(self):
        """What the numbers of this runtime depend on."""
        session, emulator = self._session, self._emulator
        description = {
            "name": "acl",
            "kind": "npu",
            "version": _cann_version() or (emulator or {}).get("cann", "unknown"),
            "acl_version": _acl_version(session.calls),
            "soc": session.soc or self._soc or "unknown",
            "soc_reported": session.soc is not None,
            "run_mode": "device" if session.run_mode == RUN_MODE_DEVICE else "host",
            "device_id": session.device_id,
            "precision": "fp16",
            "batch": 1,
            "clocks": _CLOCKS if session.events else {"wall": _CLOCKS["wall"]},
        }
        if emulator is not None:
            description.update(simulated=True, emulator=emulator)
        return description

    def load(self, data):
        """A model from the bytes of an OM file, or a Fault."""
        session = self._session
        if session.closed:
            return _FINALIZED
        if session.failed is not None:
            return Fault("device", "this process cannot go on after: {}".format(session.failed.detail))
        try:
            return AclModel(session, data)
        except AclError as error:
            return session.fault(error, "load")
        except Exception as error:
            return Fault.of(error, "load")

    def close(self):
        """Give back everything, down to acl itself; the process can do no more on the device. A Fault or None."""
        return self._session.close()


def _acl_version(calls):
    try:
        return ".".join(str(part) for part in calls.get("get_version"))
    except (AclError, AttributeError):
        return "unknown"


def _cann_version():
    """From the installation's own files: the same on all versions. An empty string where there are none."""
    home = os.environ.get("ASCEND_TOOLKIT_HOME") or os.environ.get("ASCEND_HOME_PATH") or ""
    for folder in (os.path.join(home, "aarch64-linux"), os.path.join(home, "x86_64-linux"), home):
        for name in ("ascend_toolkit_install.info", "ascend_nnrt_install.info", "version.cfg", "version.info"):
            try:
                with open(os.path.join(folder, name), "r") as file:
                    text = file.read()
            except (OSError, UnicodeDecodeError):
                continue
            found = re.search(r"^\s*[\w.]*version\w*\s*=\s*\[?([^\s\]:]+)", text, re.MULTILINE | re.IGNORECASE)
            if found:
                return found.group(1)
    return ""
