"""What goes wrong on a device, as a value that travels back to the near side."""


class Fault(object):
    """Something that failed: `kind` is a word for programs, `detail` one line for people.

    Kinds: protocol (the request makes no sense) · runtime (cannot be used here) · load (the model cannot be made
    ready) · run (an inference failed) · profile (nodes cannot be timed) · energy (it cannot be told) · telemetry (the
    card does not answer) · memory · device (it failed, and only a new process can use it again) · clock (it ran
    backwards or stands still) · internal (a bug).
    """

    __slots__ = ("detail", "kind")

    def __init__(self, kind, detail):
        self.kind = kind
        self.detail = " ".join(str(detail).split())

    @classmethod
    def of(cls, error, kind):
        """The fault that an exception stands for; running out of memory is told apart from the rest."""
        if isinstance(error, FaultError):
            return error.fault
        if isinstance(error, MemoryError):
            return cls("memory", str(error) or "out of memory")
        return cls(kind, "{}: {}".format(type(error).__name__, error))

    def to_dict(self):
        """JSON data."""
        return {"kind": self.kind, "detail": self.detail}

    def __repr__(self):
        return "Fault({!r}, {!r})".format(self.kind, self.detail)


class FaultError(Exception):
    """Carries a Fault out of where only an exception can go, such as a model's `run`."""

    def __init__(self, fault):
        Exception.__init__(self, "{}: {}".format(fault.kind, fault.detail))
        self.fault = fault
