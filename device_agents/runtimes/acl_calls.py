"""Numbers of the ACL and what its return codes mean here; pyACL itself has no constants. From the ACL headers."""

from device_agents.faults import Fault

SUCCESS = 0
MALLOC_HUGE_FIRST = 0  # huge pages where they fit, else normal ones
MEMCPY_HOST_TO_DEVICE, MEMCPY_DEVICE_TO_HOST, MEMCPY_DEVICE_TO_DEVICE = 1, 2, 3
RUN_MODE_DEVICE = 0  # the program runs on the board itself: host and device share the memory
EVENT_TIME_LINE = 8
FLOAT, FLOAT16, INT32, UINT8, INT64 = 0, 1, 3, 4, 9
REPEAT_INITIALIZE, REPEAT_FINALIZE = 100002, 100037

_MEMORY = (200000, 207001, 207018, 245000)
_DEVICE = (107022, 500003, 500004)
_DEV_SETUP_ERROR = 507033
_OUT_OF_MEMORY_MESSAGE = "EL0004"  # a device that cannot be opened was seen to mean just this
_NAMES = {
    100000: "invalid parameter",
    100001: "not initialized",
    100011: "unknown model id",
    100039: "a stub library was loaded in place of the real one",
    107000: "invalid parameter",
    107001: "no such device, or its driver is not loaded",
    107002: "no context",
    107003: "stream of another context",
    107004: "model of another context",
    107006: "event not completed",
    145002: "model file missing or empty",
    145003: "unknown model id",
    145006: "damaged OM file",
    148051: "not everything was given back",
    200000: "out of memory",
    207001: "out of memory",
    207006: "no permission: is the user in the group of /dev/davinci*?",
    207018: "out of device memory",
    245000: "out of memory",
    500002: "graph engine failure: is the model for this chip and this CANN",
    507000: "internal error",
    507010: "heartbeat lost",
    507011: "model execution failed",
    507013: "system DMA",
    507014: "AI core timeout",
    507015: "AI core exception",
    507016: "AI core trap",
    507017: "AI CPU timeout",
    507018: "AI CPU exception",
    507033: "the device could not be set up",
    507046: "stream timeout",
    507899: "driver error",
    507901: "connection to the device lost",
    545002: "damaged OM file (partition table)",
}


class AclError(Exception):
    """A call failed. `call` is its name, `code` what it returned, `message` what get_recent_err_msg said, or None."""

    def __init__(self, call, code, message):
        detail = "acl.{} returned {}".format(call, code)
        if code in _NAMES:
            detail += " ({})".format(_NAMES[code])
        if message:
            detail += ": " + " ".join(message.split())[:500]
        Exception.__init__(self, detail)
        self.call, self.code, self.message = call, code, message

    def fault(self, kind):
        """As a value; `kind` is that of what was being done, for codes that say no more."""
        if self.code == _DEV_SETUP_ERROR and _OUT_OF_MEMORY_MESSAGE in (self.message or ""):
            return Fault("memory", self)
        if self.code in _MEMORY:
            return Fault("memory", self)
        if self.code in _DEVICE or 507000 <= self.code <= 507999:
            return Fault("device", self)
        return Fault(kind, self)


class Calls(object):
    """Calls functions of pyACL by name and raises AclError where one fails. `acl` is the module."""

    def __init__(self, acl):
        self.acl = acl

    def has(self, name):
        """Whether this version of pyACL has the function; `name` is such as rt.create_event_with_flag."""
        try:
            self.function(name)
        except AttributeError:
            return False
        return True

    def function(self, name):
        """The function itself. Raises AttributeError where there is none."""
        found = self.acl
        for part in name.split("."):
            found = getattr(found, part)
        return found

    def do(self, name, *args):
        """A call that returns nothing but its code."""
        self._check(name, self.function(name)(*args))

    def get(self, name, *args):
        """A call that returns a value and its code; several values as a tuple."""
        answer = self.function(name)(*args)
        self._check(name, answer[-1])
        return answer[0] if len(answer) == 2 else answer[:-1]

    def make(self, name, *args):
        """A call that returns a handle alone, 0 where it fails."""
        handle = self.function(name)(*args)
        if not handle:
            raise AclError(name, handle, self.message())
        return handle

    def value(self, name, *args):
        """A call that returns a value alone."""
        return self.function(name)(*args)

    def _check(self, name, code):
        if code != SUCCESS:
            raise AclError(name, code, self.message())

    def message(self):
        """What the library says of the call that just failed, or None."""
        # it is cleared by reading, and is of this thread alone: once, right after the failure
        return self.acl.get_recent_err_msg() if hasattr(self.acl, "get_recent_err_msg") else None
