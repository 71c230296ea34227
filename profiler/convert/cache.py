"""Conversions on disk, by content: checked when read, bounded in size, shared by any number of processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from pathlib import Path

from mosegnet.common.console import warn
from mosegnet.common.errors import UserError
from mosegnet.common.files import write_atomic

LIMIT_BYTES = 20 * 10**9
_ABANDONED_S = 3600.0  # a part this old has nobody who will finish it
_ROOM = 0.9  # of the limit is left after a clean-up, so that not every conversion cleans up


def user_cache() -> Path:
    """The folder for what can be made again: `$XDG_CACHE_HOME/mosegnas`, or the one in the home."""
    stated = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (stated if stated.is_absolute() else Path.home() / ".cache") / "mosegnas"


class ModelCache:
    """Models by key, each in a file named after its key and its own SHA-256.

    A file appears whole, by a rename, so several processes need no lock: at worst both convert and the results lie
    side by side. A damaged file is removed, with a warning, and counts as absent. The least recently used go when all
    together exceed `limit_bytes`. A disk that cannot be written is said once, and the work goes on without it.
    """

    def __init__(self, folder: Path | None = None, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = folder or user_cache() / "om"
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._writable = True

    def get(self, key: str) -> bytes | None:
        """The model under `key`, or None."""
        for path in self._files(key):
            try:
                data = path.read_bytes()
            except OSError:
                continue  # another process has just removed it
            if hashlib.sha256(data).hexdigest() == path.suffixes[0][1:]:
                with contextlib.suppress(OSError):
                    os.utime(path)
                return data
            warn(f"{path} was damaged: it is removed and converted again")
            with contextlib.suppress(OSError):
                path.unlink()
        return None

    def put(self, key: str, data: bytes) -> None:
        """Keep a model under `key`, if the disk lets us."""
        if not self._writable or len(data) > self._limit_bytes:
            return
        path = self._shelf(key) / f"{key}.{hashlib.sha256(data).hexdigest()}.om"
        try:
            write_atomic(path, data)
        except UserError as error:
            with self._lock:
                said, self._writable = not self._writable, False
            if not said:
                warn(f"conversions are not cached any more in this run: {error}")
            return
        with contextlib.suppress(OSError), self._lock:
            self._make_room()

    def _shelf(self, key: str) -> Path:
        return self.folder / key[:2]

    def _files(self, key: str) -> list[Path]:
        try:
            return sorted(self._shelf(key).glob(f"{key}.*.om"))
        except OSError:
            return []

    def _make_room(self) -> None:
        """Remove the least recently used until enough is free; parts that killed processes left go with them."""
        files = []
        abandoned_s = time.time() - _ABANDONED_S
        for path in self.folder.glob("*/*"):
            with contextlib.suppress(OSError):  # removed by another process
                stat = path.stat()
                if path.suffix == ".part" and stat.st_mtime > abandoned_s:
                    continue  # another process is at it
                files.append((stat.st_mtime, stat.st_size, path))
        total_bytes = sum(size for _, size, _ in files)
        if total_bytes <= self._limit_bytes:
            return
        for _, size, path in sorted(files)[:-1]:  # never the newest, which has just been made
            with contextlib.suppress(OSError):
                path.unlink()
            total_bytes -= size
            if total_bytes <= _ROOM * self._limit_bytes:
                return
