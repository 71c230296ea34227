"""Boards that reboot, freeze, fill up or lie, over a real server."""

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from sshd_fixture import assert_gone

from mosegnet.common.errors import DeviceError, UserError
from mosegnet.onnx_graph import context_model
from profiler import ssh, ssh_connection, ssh_files
from profiler.link import Link, Rule, Timing
from profiler.ssh_address import address_of
from profiler.ssh_connection import Connection
from profiler.ssh_errors import ConnectionGone, Unwritable
from profiler.ssh_files import RemoteFiles
from profiler.ssh_pipe import Process, kill

MODEL = context_model((8, 8, 8))
QUICK = Rule(target=0.5, floor=5, cap=6)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(ssh, "_WAITS_S", (0.1,))
    monkeypatch.setattr(ssh_connection, "LOGIN_S", 2.0)


def measure(link):
    assert isinstance(link.time(MODEL, QUICK, "a model"), Timing)


def later(seconds, action):
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


@pytest.mark.usefixtures("impatient")
def test_a_board_that_reboots_is_waited_for(server, capsys):
    with Link(server.device()) as link:
        measure(link)
        server.stop()
        back = later(1.0, server.start)
        measure(link)
        back.join()
        assert link.restarts == 1
    assert "cannot be reached (Unable to connect" in capsys.readouterr().err


@pytest.mark.usefixtures("impatient")
def test_a_board_that_refuses_logins_until_it_is_up(server, capsys):
    """As systemd lets nobody in before the end of the boot."""
    authorized = server.folder / "authorized"
    keys = authorized.read_text()
    with Link(server.device()) as link:
        authorized.write_text("")
        server.cut()
        back = later(1.0, lambda: authorized.write_text(keys))
        measure(link)
        back.join()
    assert "was refused; trying again" in capsys.readouterr().err


@pytest.mark.usefixtures("impatient")
def test_a_board_that_does_not_come_back_is_given_up_once(server, monkeypatch, capsys):
    monkeypatch.setattr(ssh, "_BACK_S", 0.5)
    with Link(server.device()) as link:
        server.stop()
        with pytest.raises(DeviceError, match="cannot be reached"):
            measure(link)
    assert capsys.readouterr().err.count("starting it again") == 1


@pytest.mark.usefixtures("impatient")
def test_a_changed_key_after_a_reboot_is_not_waited_for(server):
    with Link(server.device()) as link:
        server.trust(server.make_key("another"))
        server.cut()
        with pytest.raises(UserError, match="CHANGED"):
            measure(link)


@pytest.mark.usefixtures("impatient")
def test_a_frozen_board_is_left_and_its_agent_ended_once_it_is_back(server):
    """The session's sshd stands still: nothing is refused, nothing answers, and the agent runs on."""
    with Link(server.device(), silence_s=1.0) as link:
        measure(link)
        pid = link.hello()["pid"]
        frozen = server.sessions()
        for session in frozen:
            os.kill(session, signal.SIGSTOP)
        try:
            measure(link)
            assert link.restarts == 1
            assert link.hello()["pid"] != pid
            assert_gone(pid)
        finally:
            for session in frozen:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(session, signal.SIGCONT)


def test_every_step_of_a_transfer_has_a_deadline(server, monkeypatch):
    monkeypatch.setattr(ssh_files, "_STEP_S", 1.0)
    connection = Connection(address_of(server.device()))
    files = RemoteFiles(connection, str(server.remote), "python3", "t")
    files.upload(b"small", files.root / "before")
    (session,) = server.sessions()
    os.kill(session, signal.SIGSTOP)
    try:
        with pytest.raises(ConnectionGone, match="connection broke while after was sent"):
            files.upload(os.urandom(20 << 20), files.root / "after")
    finally:
        os.kill(session, signal.SIGCONT)
        connection.close()


def test_a_command_that_does_not_end_has_a_deadline(server):
    connection = Connection(address_of(server.device()))
    with pytest.raises(ConnectionGone, match="no answer in time"):
        connection.run(["sleep", "60"], 0.3)
    with pytest.raises(ConnectionGone, match="said too much, 'yyyy"):
        connection.run(["sh", "-c", "yes | tr -d '\\n'"], 20.0)
    assert connection.run(["sh", "-c", "head -c 3000000 /dev/zero >&2; echo done"], 20.0).output == b"done\n"
    assert connection.run(["cat"], 20.0, b"x" * 500_000).output == b"x" * 500_000
    assert connection.run(["true"], 20.0, b"x" * 500_000).status == 0
    connection.close()


def test_only_the_process_that_was_started_is_killed(server):
    """Numbers of processes are given out again."""
    connection = Connection(address_of(server.device()))
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as innocent:
        kill(connection, Process(innocent.pid, innocent.pid, "a-mark"))
        assert innocent.poll() is None
        kill(connection, Process(innocent.pid, innocent.pid, "60"))
        assert innocent.wait(5) == -signal.SIGKILL
    connection.close()


def test_children_of_the_agent_end_with_it(server):
    python = server.folder / "py"
    python.write_text(f"#!/bin/sh\nsleep 300 & echo $! > '{server.folder}/child'\nexec '{server.python}' \"$@\"\n")
    python.chmod(0o755)
    with Link(server.device(python=str(python)), silence_s=1.0) as link:
        child = int((server.folder / "child").read_text())
        os.kill(link.hello()["pid"], signal.SIGSTOP)
        measure(link)
        assert_gone(child)
    os.kill(int((server.folder / "child").read_text()), signal.SIGKILL)


def test_words_before_the_agents_own_do_not_hide_its_number(server):
    """As a login shell's startup files may complain on standard error."""
    server.force('echo "bash: warning: setlocale: LC_ALL" >&2; exec sh -c "$SSH_ORIGINAL_COMMAND"')
    python = server.folder / "py"
    python.write_text(f"#!/bin/sh\nexec '{server.python}' \"$@\"\n")
    python.chmod(0o755)
    folder = server.remote / "agents"
    files = folder / "agent-x"
    files.mkdir(parents=True)
    connection = Connection(address_of(server.device()))
    from profiler.ssh_pipe import SshPipe

    pipe = SshPipe(connection, None, str(python), ["-c", "import time; time.sleep(60)", "mark"], "mark")
    until_s = time.monotonic() + 10
    while pipe.process is None and time.monotonic() < until_s:
        time.sleep(0.02)
    assert pipe.process is not None
    assert "setlocale" in pipe.last_words()
    pipe.end(patient=False)
    assert_gone(pipe.process.pid)
    connection.close()


def test_paths_that_begin_with_the_home(server):
    home = Path(subprocess.run(["sh", "-c", "cd; pwd -P"], capture_output=True, text=True, check=True).stdout.strip())
    assert home == server.home.resolve()  # the fixture's, or the test below would write into a real one
    server.configure(f"SetEnv HOME={home}")
    (home / "env.sh").write_text(f"export MARK=seen\necho noise\ncat > '{home}/stdin'\n")
    (home / "py").write_text(f"#!/bin/sh\necho \"$MARK\" > '{home}/mark'\nexec '{server.python}' \"$@\"\n")
    (home / "py").chmod(0o755)
    with Link(server.device(set_env="~/env.sh", python="~/py", folder="~/agents")) as link:
        measure(link)
    assert (home / "mark").read_text() == "seen\n"
    assert (home / "stdin").read_text() == ""  # a script that reads takes nothing of the agent's requests
    assert list((home / "agents").glob("agent-*/agent.pyz"))


# --- disks ---------------------------------------------------------------------------------------------------------


def large(number, size=1 << 20):
    """A model of a given size: an unknown field is skipped by whoever reads ONNX."""
    filling = bytes([number]) * size
    length = len(filling)
    varint = bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14 & 0x7F | 0x80, length >> 21])
    return MODEL + b"\xfa\x3f" + varint + filling


def test_a_full_disk_loses_old_models_first(server, small_disk):
    device = server.device(folder=str(small_disk))
    with Link(device) as link:
        for number in range(5):
            assert isinstance(link.time(large(number), QUICK, "a large model"), Timing)
        names = {path.name for path in (small_disk / "models").iterdir()}
        assert hashlib.sha256(large(4)).hexdigest() in names
        assert hashlib.sha256(large(0)).hexdigest() not in names
        assert not any(name.endswith(".part") for name in names)
        with pytest.raises(DeviceError, match=r"\(No space left on device\).*what was measured is kept"):
            link.time(large(9, 4 << 20), QUICK, "a model larger than the disk")
        assert link.restarts == 0
    assert not list(small_disk.rglob("*.part"))


def test_a_full_disk_at_the_very_start(server, small_disk):
    (small_disk / "filling").write_bytes(b"x" * (3 << 20))
    with pytest.raises(DeviceError, match="No space left on device"):
        Link(server.device(folder=str(small_disk))).hello()


def test_a_disk_that_is_read_only(server, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(DeviceError, match="Read-only file system"):
        Link(server.device(folder=str(small_disk))).hello()


def test_models_are_kept_within_bounds(server, monkeypatch):
    monkeypatch.setattr(ssh, "_KEPT_BYTES", 2_500_000)
    device = server.device()
    for number in range(4):  # each build leaves its models to the next
        with Link(device) as link:
            link.time(large(number), QUICK, "a large model")
    assert len(list((Path(device.folder) / "models").iterdir())) == 2


def test_a_model_damaged_on_the_board_is_sent_again(server):
    device = server.device()
    with Link(device) as link:
        link.time(large(1), QUICK, "a large model")
    (stored,) = (Path(device.folder) / "models").iterdir()
    stored.write_bytes(b"damaged")
    with Link(device) as link:
        assert isinstance(link.time(large(1), QUICK, "a large model"), Timing)
    assert stored.read_bytes() == large(1)


def test_what_arrives_damaged_is_not_used(server):
    """A hash counted elsewhere than here: the far side's own sha256sum, which here lies."""
    liar = server.folder / "sha256sum"
    liar.write_text("#!/bin/sh\necho " + "0" * 64 + "\n")
    liar.chmod(0o755)
    server.configure(f"SetEnv PATH={server.folder}:/usr/bin:/bin")
    connection = Connection(address_of(server.device()))
    files = RemoteFiles(connection, str(server.remote), "python3", "t")
    with pytest.raises(ConnectionGone, match="arrived damaged"):
        files.upload(b"data", files.root / "file")
    assert list(server.remote.iterdir()) == []
    liar.write_text("#!/bin/sh\necho '../../etc/passwd'\n")
    with pytest.raises(ConnectionGone, match=r"asked for a file's hash it answered '\.\./\.\./etc/passwd'"):
        files.sha256(files.root)
    connection.close()


def test_a_machine_without_sha256sum_counts_with_python(server):
    only = server.folder / "bin"
    only.mkdir()
    for name in ("sh", "mkdir"):
        (only / name).symlink_to(f"/bin/{name}")
    server.configure(f"SetEnv PATH={only}")
    connection = Connection(address_of(server.device()))
    files = RemoteFiles(connection, str(server.remote), server.python, "t")
    files.upload(b"data", files.root / "file")
    assert files.sha256(files.root / "file") == hashlib.sha256(b"data").hexdigest()
    assert files.sha256(files.root / "none") is None
    connection.close()


def test_another_users_folder_is_said(server):
    files = RemoteFiles(Connection(address_of(server.device())), "/proc/1/nowhere", "python3", "t")
    with pytest.raises(Unwritable, match=re.escape("cannot write in /proc/1/nowhere")):
        files.upload(b"data", files.root / "file")
    files.connection.close()
