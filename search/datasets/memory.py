"""How much memory decoded images may take, and a cache that keeps to it."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable
from pathlib import Path

from torch import Tensor

CACHE_SHARE = 0.4  # of what is available when the data set is opened; the training needs the rest
_GIB = 2**30
_UNKNOWN_BYTES = 4 * _GIB  # available memory where the system does not tell

Pixels = tuple[Tensor, Tensor]


def available_bytes() -> int:
    """Memory that this process may still take: the machine's, or its control group's where that is less."""
    found = [_meminfo_bytes(), _cgroup_bytes()]
    return min([value for value in found if value is not None], default=_UNKNOWN_BYTES)


def cache_bytes() -> int:
    """What one process may keep decoded: a share of the available memory, divided among the processes of a host."""
    return int(CACHE_SHARE * available_bytes() / local_processes())


def local_processes() -> int:
    """How many processes of one training run on this host, as torchrun tells."""
    return max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


class PixelCache:
    """Decoded images and masks up to a number of bytes; safe to use from many threads.

    What came first stays. Every epoch visits every image once in a new order: throwing out the least recently used
    would throw out many of those that come next, while keeping any fixed share of them answers exactly that share.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes, self.used_bytes = limit_bytes, 0
        self._kept: dict[Hashable, Pixels] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Pixels | None:
        """What was kept under `key`."""
        return self._kept.get(key)

    def keep(self, key: Hashable, pixels: Pixels) -> None:
        """Keep `pixels` if they still fit."""
        size = sum(tensor.nbytes for tensor in pixels)
        with self._lock:
            if key not in self._kept and self.used_bytes + size <= self.limit_bytes:
                self._kept[key] = pixels
                self.used_bytes += size


def _meminfo_bytes() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _cgroup_bytes() -> int | None:
    root = Path("/sys/fs/cgroup")
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            return max(0, int((root / limit).read_text()) - int((root / used).read_text()))
        except (OSError, ValueError):  # absent, or "max"
            continue
    return None
