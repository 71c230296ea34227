"""The errors that a person can mend. Anything else is a bug and keeps its traceback."""

from __future__ import annotations


class UserError(Exception):
    """A mistake that the user can mend: one line that says what, where and how."""

    exit_status = 2
    has_lines = False  # whether lines below the first are meant as such: a tree of files, a picture in text


class DeviceError(UserError):
    """A device failed after the retries; everything measured so far is kept."""

    exit_status = 3
