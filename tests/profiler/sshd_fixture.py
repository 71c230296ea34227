"""A real OpenSSH server on the loopback, with keys and a known_hosts of its own, in a temporary home."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from profiler.devices import Device

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


class Server:
    """An sshd with its files in `folder`; `home` is the client's."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home, self.user, self.python = folder, home, getpass.getuser(), sys.executable
        self.remote = folder / "far side"  # with a space: every path must be quoted
        self.remote.mkdir(parents=True)
        (home / ".ssh").mkdir(parents=True, exist_ok=True)
        self.host_key, self.user_key = self.make_key("host"), self.make_key("user")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (folder / "authorized").write_text((folder / "user.pub").read_text())
        (folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.host_key}\nUsePAM no\nStrictModes no\n"
            f"AuthorizedKeysFile {folder / 'authorized'}\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            f"Subsystem sftp internal-sftp\nPidFile none\nMaxStartups 100\nPermitRootLogin yes\nLogLevel ERROR\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def make_key(self, name: str, kind: str = "ed25519", passphrase: str = "") -> Path:
        path = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)], check=True)
        return path

    def start(self) -> None:
        log = open(self.folder / "log", "ab")  # noqa: SIM115 - the server's
        self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(self.folder / "config")], stderr=log)
        until_s = time.monotonic() + 10
        while time.monotonic() < until_s:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        if self._process is not None:
            self.cut()
            self._process.kill()
            self._process.wait()

    def cut(self) -> int:
        """Kill every session, as a cable pulled would end them; how many there were."""
        sessions = self.sessions()
        for pid in sessions:
            with contextlib.suppress(ProcessLookupError):  # it may just have ended by itself
                os.kill(pid, signal.SIGKILL)
        return len(sessions)

    def sessions(self) -> list[int]:
        """The processes of sshd that serve one connection each."""
        assert self._process is not None
        return self.children(self._process.pid)

    @staticmethod
    def children(pid: int) -> list[int]:
        path = Path(f"/proc/{pid}/task/{pid}/children")
        return [int(word) for word in path.read_text().split()] if path.exists() else []

    def configure(self, line: str) -> None:
        """From the next login on, one more line of its configuration holds."""
        self.stop()
        with open(self.folder / "config", "a") as config:
            config.write(f"{line}\n")
        self.start()

    def force(self, command: str) -> None:
        """From the next login on, whatever is asked for runs this instead."""
        self.configure(f"ForceCommand {command}")

    def trust(self, key: Path | None = None) -> None:
        """Put a host key into the client's known_hosts: the server's own, or another one."""
        words = (key or self.host_key).with_suffix(".pub").read_text().split()
        (self.home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {words[0]} {words[1]}\n")

    def device(self, **changes: object) -> Device:
        settings = {
            "name": "board", "link": "ssh", "host": "127.0.0.1", "port": self.port, "user": self.user,
            "key": self.user_key, "python": self.python, "folder": str(self.remote / "it's $HOME; agents"),
        }  # fmt: skip
        return Device(**(settings | changes))


def _available() -> str | None:
    if not Path(SSHD).exists():
        return "no sshd on this machine: apt-get install openssh-server"
    if shutil.which("ssh-keygen") is None:
        return "no ssh-keygen on this machine"
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd's own demand
    return None


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A running server whose key is trusted."""
    if reason := _available():
        pytest.skip(reason)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    server = Server(tmp_path, home)
    server.trust()
    server.start()
    yield server
    server.stop()


def assert_gone(pid: int) -> None:
    """A process has ended, or does so at once."""
    until_s = time.monotonic() + 10
    while time.monotonic() < until_s and Path(f"/proc/{pid}").exists():
        with contextlib.suppress(OSError):
            if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()
