"""Files that are whole or absent: written beside their place, flushed, then renamed into it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mosegnet.common.errors import UserError

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up: free some space and run the same command again",
    errno.EACCES: "permission denied: choose another place or change its permissions",
    errno.EROFS: "the file system is read-only: choose another place",
    errno.EEXIST: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder: name a file",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
}


@contextlib.contextmanager
def explain_os_errors(path: Path | str, doing: str = "write") -> Iterator[None]:
    """Turn an `OSError` about `path` into a `UserError` of one line.

    Raises:
        UserError: names the path, what was being done and, for the common causes, the way out.
    """
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, error.strerror or str(error))
        raise UserError(f"cannot {doing} {path}: {advice}") from error


def write_atomic(path: Path | str, data: bytes | str) -> None:
    """Write `data` to `path` so that a reader or a crash sees the old file or the new one, never a part.

    Raises:
        UserError: the disk is full, the folder cannot be written, …; the old file is untouched.
    """
    path = Path(path)
    payload = data.encode() if isinstance(data, str) else data
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(part, 0o666 & ~_umask())
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as JSON that a person and git can read, atomically; NaN is a bug and raises `ValueError`."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path | str, what: str = "file") -> Any:
    """Read JSON from `path`.

    Raises:
        UserError: the file is missing, unreadable or not JSON; `what` names it in the message.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{what} {path} does not exist")
    with explain_os_errors(path, "read"):
        text = path.read_bytes()
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{what} {path} is damaged or not JSON: {error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
