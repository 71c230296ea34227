"""Files on a machine over SSH: verified there, whole or absent."""

from __future__ import annotations

import contextlib
import hashlib
import re
import stat
from pathlib import PurePosixPath

import paramiko

from profiler.outside import last_line
from profiler.ssh_connection import Connection
from profiler.ssh_errors import BROKEN, ConnectionGone, SshProblem, Unwritable, words

_STEP_S = 60.0  # for each step of a transfer
_STEP_BYTES = 1 << 18
_READ_S = 600.0
_MOST_READ_BYTES = 1 << 30
_HASH_S = 120.0
_HASH = (  # $1 the file, $2 a Python for machines without sha256sum
    '[ -e "$1" ] || { echo absent; exit 0; }; '
    'if command -v sha256sum >/dev/null 2>&1; then sha256sum < "$1"; else exec "$2" -c "$3" < "$1"; fi'
)
_HASH_IN_PYTHON = "import hashlib,sys;print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"
_SHA256 = re.compile(r"[0-9a-f]{64}")
# says in the system's own words why nothing can be written
_TRY = 'mkdir -p "$(dirname "$1")" && head -c 65536 /dev/zero >> "$1"'


class RemoteFiles:
    """Files in `folder`, which is an absolute path or begins with `~/`; `token` keeps uploads at one time apart."""

    def __init__(self, connection: Connection, folder: str, python: str, token: str) -> None:
        self.connection, self._python, self._token = connection, python, token
        self._sftp: paramiko.SFTPClient | None = None
        self.root = self._home() / folder[2:] if folder.startswith("~/") else PurePosixPath(folder)

    def sha256(self, path: PurePosixPath) -> str | None:
        """The hash of a file, counted there; None: there is none. One that cannot be read has the hash ''.

        Raises:
            ConnectionGone: there is no connection any more, or no answer that makes sense.
        """
        found = self.connection.run(["sh", "-c", _HASH, "sh", str(path), self._python, _HASH_IN_PYTHON], _HASH_S)
        word = (last_line(found.output).split() or [""])[0]
        if found.status == 0 and word == "absent":
            return None
        if found.status == 0 and not _SHA256.fullmatch(word):
            raise ConnectionGone(f"{self.connection.address}: asked for a file's hash it answered {word!a}")
        return word if found.status == 0 else ""

    def upload(self, data: bytes, path: PurePosixPath) -> None:
        """Put a file there: beside its place, its hash compared on the far side, then renamed into it.

        Raises:
            Unwritable: the disk there is full or read-only, or the folder is another user's.
            ConnectionGone: there is no connection any more, or what arrived is not what was sent.
        """
        part = path.with_name(f".{path.name}.{self._token}.part")
        try:
            self._make_folders(path.parent)
            self._write(data, part)
            if self.sha256(part) != hashlib.sha256(data).hexdigest():
                raise ConnectionGone(f"{self.connection.address}: {path.name} arrived damaged")
            with self.connection.within(_STEP_S):
                self._files().posix_rename(str(part), str(path))
        except BROKEN as error:
            if not self.connection.alive:
                raise ConnectionGone(
                    f"{self.connection.address}: the connection broke while {path.name} was sent"
                ) from None
            reason = self._why(part) or words(error)
            self.remove(part)
            raise Unwritable(
                f"{self.connection.address} cannot write in {path.parent} ({reason})",
                "free some space there, or give another `folder` in devices.toml; what was measured is kept",
            ) from None
        except ConnectionGone:
            self.remove(part)
            raise

    def sizes(self, folder: PurePosixPath) -> dict[str, int]:
        """The regular files of a folder with their bytes, those written longest ago first; empty if there is none."""
        try:
            with self.connection.within(_STEP_S):
                entries = self._files().listdir_attr(str(folder))
        except BROKEN:
            return {}
        files = [entry for entry in entries if stat.S_ISREG(entry.st_mode or 0) and "/" not in entry.filename]
        files.sort(key=lambda entry: (entry.st_mtime or 0, entry.filename))
        return {entry.filename: entry.st_size or 0 for entry in files}

    def read(self, path: PurePosixPath) -> bytes | None:
        """The bytes of a file; None: there is none.

        Raises:
            ConnectionGone: there is no connection any more, or the file cannot be read.
        """
        try:
            with self.connection.within(_READ_S), self._files().open(str(path), "rb") as file:
                file.prefetch()
                return file.read(_MOST_READ_BYTES)
        except FileNotFoundError:
            return None
        except BROKEN as error:
            raise ConnectionGone(f"{self.connection.address}: {path} cannot be read ({words(error)})") from None

    def modified_s(self, path: PurePosixPath) -> float | None:
        """When a file was written, in whole seconds of the far clock; None: there is none."""
        try:
            with self.connection.within(_STEP_S):
                return self._files().stat(str(path)).st_mtime
        except FileNotFoundError:
            return None
        except BROKEN as error:
            raise ConnectionGone(f"{self.connection.address}: {path} cannot be read ({words(error)})") from None

    def remove(self, path: PurePosixPath) -> None:
        """Remove a file; one that is not there, or a connection that is gone, is no matter."""
        with contextlib.suppress(*BROKEN, ConnectionGone), self.connection.within(_STEP_S):
            self._files().remove(str(path))

    def _home(self) -> PurePosixPath:
        address = self.connection.address
        found = self.connection.run(["sh", "-c", "cd && pwd -P"], _STEP_S)
        home = last_line(found.output)
        if found.status or not home.startswith("/"):
            raise SshProblem(
                f"{address} has no home folder ({last_line(found.errors) or 'it does not say why'})",
                "give an absolute `folder` in devices.toml",
            )
        return PurePosixPath(home)

    def _write(self, data: bytes, part: PurePosixPath) -> None:
        with self.connection.within(_STEP_S):
            file = self._files().open(str(part), "wb")
        try:
            file.set_pipelined(True)
            for start in range(0, len(data), _STEP_BYTES):
                with self.connection.within(_STEP_S):
                    file.write(data[start : start + _STEP_BYTES])
        finally:
            with self.connection.within(_STEP_S):
                file.close()
        with self.connection.within(_STEP_S):  # paramiko loses the errors of the last pipelined writes
            if self._files().stat(str(part)).st_size != len(data):
                raise OSError("not all of it could be written")

    def _make_folders(self, folder: PurePosixPath) -> None:
        files = self._files()
        with self.connection.within(_STEP_S):
            for path in [*reversed(folder.parents), folder]:
                try:
                    files.stat(str(path))
                except FileNotFoundError:
                    files.mkdir(str(path), 0o700)

    def _why(self, part: PurePosixPath) -> str:
        """Why nothing can be written, in the far system's words; SFTP says no more than "Failure"."""
        with contextlib.suppress(ConnectionGone):
            tried = self.connection.run(["sh", "-c", _TRY, "sh", str(part)], _STEP_S)
            return last_line(tried.errors).rpartition(": ")[2]
        return ""

    def _files(self) -> paramiko.SFTPClient:
        if self._sftp is None:
            self._sftp = self.connection.open_sftp()
        return self._sftp
