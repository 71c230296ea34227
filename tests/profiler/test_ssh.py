"""Boards over SSH, against a real sshd with the real agent on its far side."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from sshd_fixture import assert_gone

from mosegnet.common.errors import DeviceError, UserError
from mosegnet.onnx_graph import context_model, network_model
from mosegnet.space import load
from profiler.agent_file import agent_file, agent_sha256
from profiler.link import Link, Rule, Timing
from profiler.ssh_address import address_of
from profiler.ssh_connection import Connection

MODEL = context_model((8, 8, 8))
QUICK = Rule(target=0.5, floor=5, cap=6)


def agents(folder):
    return sorted(Path(folder).glob("agent-*/agent.pyz"))


def test_measures_through_a_real_server(server):
    device = server.device()
    with Link(device) as link:
        assert link.hello()["runtime"]["name"] == "onnxruntime"
        timing = link.time(MODEL, QUICK, "a model")
        assert isinstance(timing, Timing)
        assert link.telemetry()["time_s"] > 0
        pid = link.hello()["pid"]
    (agent,) = agents(device.folder)
    assert agent.read_bytes() == agent_file()
    assert agent_sha256()[:12] in str(agent)
    assert_gone(pid)


def test_the_agent_is_one_reproducible_file():
    names = zipfile.ZipFile(__import__("io").BytesIO(agent_file())).namelist()
    assert "__main__.py" in names
    assert "device_agents/agent.py" in names
    assert not any("emulator" in name or "__pycache__" in name for name in names)
    agent_file.cache_clear()
    assert hashlib.sha256(agent_file()).hexdigest() == agent_sha256()


def test_an_unknown_host_key_is_shown_and_never_accepted(server):
    known = server.home / ".ssh" / "known_hosts"
    known.write_text("")
    with pytest.raises(UserError) as error:
        Link(server.device()).hello()
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(server.host_key) + ".pub"], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert shown in str(error.value)
    assert f"ssh-keyscan -p {server.port} 127.0.0.1 >> ~/.ssh/known_hosts" in str(error.value)
    assert "\n" not in str(error.value)
    assert known.read_text() == ""
    assert not Path(server.device().folder).exists()


def test_a_changed_host_key_is_refused(server):
    server.trust(server.make_key("former"))
    with pytest.raises(UserError, match="CHANGED"):
        Link(server.device()).hello()


def test_a_key_that_the_board_does_not_know(server):
    with pytest.raises(UserError, match=r"was refused.*MOSEGNAS_SSH_PASSWORD"):
        Link(server.device(key=server.make_key("stranger"))).hello()


def test_a_port_where_nobody_listens(server):
    server.stop()
    with pytest.raises(DeviceError, match="cannot be reached"):
        Link(server.device()).hello()


def test_a_changed_agent_file_is_replaced_before_it_runs(server, capsys):
    device = server.device()
    Link(device).close()
    with Link(device):
        pass
    (agent,) = agents(device.folder)
    agent.write_bytes(agent.read_bytes() + b"tampered")
    with Link(device) as link:
        assert isinstance(link.time(MODEL, QUICK, "a model"), Timing)
    assert "was changed; it is replaced" in capsys.readouterr().err
    assert agent.read_bytes() == agent_file()


def test_an_agent_already_there_is_not_sent_again(server):
    device = server.device()
    with Link(device):
        pass
    (agent,) = agents(device.folder)
    before = agent.stat().st_mtime_ns
    with Link(device):
        pass
    assert agents(device.folder) == [agent]
    assert agent.stat().st_mtime_ns == before


def test_a_large_model_is_sent_once_and_by_content(server):
    space = load("tiny")
    model = network_model(space.decode(space.largest()))
    large = model + b"\x32" + b"\xf0\xff\x05" + b"x" * 98288  # an unknown field: still ONNX, and large
    device = server.device()
    with Link(device) as link:
        for _ in range(2):
            link.time(large, QUICK, "a large model")
    (stored,) = (Path(device.folder) / "models").iterdir()
    assert stored.name == hashlib.sha256(large).hexdigest()
    assert stored.read_bytes() == large


def test_a_connection_cut_in_the_middle_comes_back(server, capsys):
    with Link(server.device()) as link:
        assert isinstance(link.time(MODEL, QUICK, "a model"), Timing)
        assert server.cut() > 0
        assert isinstance(link.time(MODEL, QUICK, "a model"), Timing)
        assert link.restarts == 1
    assert "starting it again" in capsys.readouterr().err


def test_an_agent_that_freezes_is_killed_at_the_deadline(server):
    with Link(server.device(), silence_s=2.0) as link:
        pid = link.hello()["pid"]
        os.kill(pid, signal.SIGSTOP)
        assert isinstance(link.time(MODEL, QUICK, "a model"), Timing)
        assert link.restarts == 1
        assert link.hello()["pid"] != pid
    assert_gone(pid)


def test_a_jump_host(server):
    with Link(server.device(jump=f"127.0.0.1:{server.port}")) as link:
        assert isinstance(link.time(MODEL, QUICK, "a model"), Timing)
    with pytest.raises(UserError, match=r"is no \[user@\]host"):
        Link(server.device(jump="user@:x")).hello()


def test_the_users_ssh_config_counts(server):
    (server.home / ".ssh" / "config").write_text(
        f"Host my-board\n  HostName 127.0.0.1\n  Port {server.port}\n  IdentityFile {server.user_key}\n"
        f"Host jumped\n  HostName 127.0.0.1\n  Port {server.port}\n  IdentityFile {server.user_key}\n"
        "  ProxyJump my-board\n"
    )
    for name in ("my-board", "jumped"):
        device = server.device(host=name, port=None, key=None, user=None)
        assert address_of(device).port == server.port
        connection = Connection(address_of(device))
        assert connection.run(["echo", "$HOME; it's here"], 5.0).output == b"$HOME; it's here\n"
        connection.close()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("print('Welcome to the board!')", "Welcome to the board"),
        ("sys.stdout.write('x' * (70 << 20))", "longer than 64 MiB"),
        ('print(\'{"id": 77, "ok": {}}\')', "request 77"),
        ('print(\'{"id": 1, "ok": {"runtime": 5}}\')', "introduces itself as"),
        ("print('[' * 200000)", "not JSON data"),
        ("sys.stderr.write('\\x1b[2Jbad\\x07 \\n'); sys.exit(3)", "[2Jbad"),
        ('print(\'{"id": "../../etc/passwd\\\\u001b[2J", "ok": {}}\')', "passwd"),
        ("pass", "ended with status 0"),
    ],
)
def test_a_hostile_board(server, said, words):
    """Its python hashes files honestly, and is no agent."""
    fake = server.folder / "python"
    honest = f"if sys.argv[1] == '-c':\n    os.execv({sys.executable!r}, sys.argv)\n"
    fake.write_text(f"#!{sys.executable}\nimport os, sys\n{honest}{said}\n")
    fake.chmod(0o755)
    with pytest.raises(DeviceError) as error:
        Link(server.device(python=str(fake)), silence_s=20).hello()
    assert words in str(error.value)
    assert "\x1b" not in str(error.value)


def test_a_board_without_python_or_room(server):
    with pytest.raises(UserError, match="cannot run python9"):
        Link(server.device(python="python9")).hello()
    with pytest.raises(DeviceError, match=r"cannot write in /proc/nowhere.*\(No such file or directory\): free some"):
        Link(server.device(folder="/proc/nowhere")).hello()


def test_set_env_is_sourced_and_its_absence_said(server):
    script = server.remote / "set env.sh"
    script.write_text("export MOSEGNAS_TEST=sourced\n")
    python = server.folder / "py"
    python.write_text(f'#!/bin/sh\necho "$MOSEGNAS_TEST" >> \'{server.folder}/seen\'\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with Link(server.device(set_env=str(script), python=str(python))):
        pass
    assert "sourced" in (server.folder / "seen").read_text().split()
    with pytest.raises(UserError, match=r"has no /nowhere/set_env.sh"):
        Link(server.device(set_env="/nowhere/set_env.sh")).hello()


def test_the_command_reaches_a_board_of_devices_toml(server, tmp_path, monkeypatch):
    device = server.device()
    fields = device.model_dump(mode="json", include={"link", "host", "port", "user", "key", "python", "folder"})
    folder = tmp_path / "project"
    folder.mkdir()
    lines = [f"{name} = {json.dumps(value)}" for name, value in fields.items()]
    (folder / "devices.toml").write_text("[devices.my-board]\n" + "\n".join(lines) + "\n")
    (folder / "m.onnx").write_bytes(MODEL)
    command = [sys.executable, "-m", "profiler.cli", "measure", "--device", "my-board", "m.onnx", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["latency_ms"] > 0
