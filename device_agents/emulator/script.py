"""Faults to come, from a file that a person can read.

    # event [which]: action
    soc: Ascend310P3                   what the chip is
    outputs: wrong                     results of a wrong conversion
    throttle from execute 100: 1.4     from the 100th run on, all takes 1.4 times as long
    load 3: oom                        the third load of each process
    execute 50: 507011                 any code of acl, from the call itself, or from synchronize for execute_async
    execute 120: hang
    all execute 20: crash              the 20th run counted over all processes: it happens once
    set_device 1: 507033 EL0004        a code, and what get_recent_err_msg says with it
    all execute 9: reboot 5            the process dies; for 5 s the device cannot be opened
    all atc 2: unsupported             the second conversion; without a number, every one

Events: init, set_device, malloc, load, execute, atc. `3..5` is a range. Actions of acl: a code, oom, soc, corrupt,
hang, crash, reboot SECONDS. Actions of atc: usage, file, unsupported, environment, internal, killed, library, hang,
no-file, or `exit N`. `all` needs the setting STATE.
"""

import fcntl
import os
import re

EVENTS = ("init", "set_device", "malloc", "load", "execute", "atc")
ACL_ACTIONS = ("oom", "soc", "corrupt", "hang", "crash", "reboot")
ATC_ACTIONS = (
    "usage",
    "file",
    "unsupported",
    "environment",
    "internal",
    "killed",
    "library",
    "hang",
    "no-file",
    "exit",
)
_LINE = re.compile(r"(?P<all>all )?(?P<event>\w+)(?: (?P<first>\d+)(?:\.\.(?P<last>\d+))?)?: *(?P<action>\S.*)")
_THROTTLE = re.compile(r"throttle from execute (\d+): *([\d.]+)")


class Script(object):
    """What is to go wrong. `text` is that of the file; `state` a folder, or empty. Raises ValueError for a bad line."""

    def __init__(self, text, state=""):
        self._state = state
        self._rules = []
        self._counts = {}
        self._throttles = []
        self.facts = {}
        for number, words in enumerate(text.splitlines(), 1):
            line = words.split("#")[0].strip()
            if line:
                try:
                    self._read(line)
                except ValueError as error:
                    raise ValueError("fault script, line {}: {!r}: {}".format(number, line, error)) from None

    @classmethod
    def of(cls, settings):
        """The script that the settings name."""
        if not settings.faults:
            return cls("")
        with open(settings.faults, "r") as file:
            return cls(file.read(), settings.state)

    def happens(self, event):
        """Count one `event`; the words of the action that it meets, or None."""
        count = self._counts[event] = self._counts.get(event, 0) + 1
        total = self._count_all(event) if any(rule[0] and rule[1] == event for rule in self._rules) else 0
        for over_all, name, first, last, words in self._rules:
            if name == event and first <= (total if over_all else count) <= last:
                return words
        return None

    def slowdown(self):
        """By how much the current run is slower than it should be."""
        runs = self._counts.get("execute", 0)
        return max([factor for first, factor in self._throttles if runs >= first] or [1.0])

    def remember(self, name, value):
        """Keep a short text for processes to come."""
        with open(os.path.join(self._state, name), "w") as file:
            file.write(value)

    def recall(self, name):
        """What `remember` kept, or an empty string."""
        path = os.path.join(self._state, name)
        if not (self._state and os.path.exists(path)):
            return ""
        with open(path, "r") as file:
            return file.read()

    def _read(self, line):
        throttle = _THROTTLE.match(line)
        if throttle:
            self._throttles.append((int(throttle.group(1)), float(throttle.group(2))))
            return
        name, _, value = line.partition(":")
        if name in ("soc", "outputs"):
            self.facts[name] = value.strip()
            return
        found = _LINE.match(line)
        if not found or found.group("event") not in EVENTS:
            raise ValueError("not `event number: action` with an event of {}".format(", ".join(EVENTS)))
        words = found.group("action").split()
        known = ATC_ACTIONS if found.group("event") == "atc" else ACL_ACTIONS
        if words[0] not in known and not (words[0].isdigit() and found.group("event") != "atc"):
            raise ValueError("not an action: there are {}".format(", ".join(known)))
        if (found.group("all") or words[0] == "reboot") and not self._state:
            raise ValueError("needs the setting STATE, a folder to count in")
        first = int(found.group("first") or 1)
        last = int(found.group("last") or (found.group("first") or 10**9))
        self._rules.append((bool(found.group("all")), found.group("event"), first, last, words))

    def _count_all(self, event):
        with open(os.path.join(self._state, "count-" + event), "a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            count = int(file.read() or 0) + 1
            file.seek(0)
            file.truncate()
            file.write(str(count))
            file.flush()
        return count
