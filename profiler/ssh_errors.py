"""What goes wrong with a machine over SSH: what stands in the way, and the way out."""

from __future__ import annotations

import paramiko

from mosegnet.common.errors import DeviceError, UserError
from profiler.outside import printable

BROKEN = (
    OSError,
    EOFError,
    paramiko.SSHException,
)  # what paramiko raises when a connection is gone, or a wait too long


class SshProblem(UserError):
    """The user can mend it: `what` stands in the way, `remedy` says how; `address` answered, and no more is known."""

    def __init__(self, what: str, remedy: str, address: str | None = None) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what, self.remedy, self.address = what, remedy, address


class LoginRefused(SshProblem):
    """The host does not let this user in, with these keys or this password."""


class Unreachable(DeviceError):
    """Nobody answers, or not in time."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}" if remedy else what)
        self.what, self.remedy = what, remedy


class Unwritable(DeviceError):
    """The far disk is full, read-only or not this user's: trying again will not help."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what, self.remedy = what, remedy


class ConnectionGone(DeviceError):
    """There was a connection, and there is none any more."""


def words(error: BaseException) -> str:
    """An error of the network in some words."""
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer in time"
    return printable(getattr(error, "strerror", None) or str(error)) or type(error).__name__
