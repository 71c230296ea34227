"""What `profiler doctor` says: one thing looked at, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; without `good`, `remedy` says what to do. After the `last` one, no other has a point."""

    what: str
    good: bool
    remedy: str = ""
    last: bool = False
