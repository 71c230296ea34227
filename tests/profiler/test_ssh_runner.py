"""Conversions on a machine over SSH: the real server, and the scripted ATC on its far side."""

import shlex
import threading
import time
from pathlib import Path

import pytest
from atc_fixtures import Scripted, model
from sshd_fixture import assert_gone

from profiler.convert.atc import Atc
from profiler.convert.of_device import converter_of
from profiler.convert.runner import KEPT_OF_A_RUN, Stopped
from profiler.plan import Job
from profiler.ssh_address import address_of
from profiler.ssh_runner import SshRunner

NEVER = threading.Event()


@pytest.fixture
def runner(server):
    found = SshRunner(address_of(server.device()), str(server.remote / "it's $HOME; work"))
    yield found
    found.close()


@pytest.fixture
def folder(runner):
    return runner.make_folder()


def test_files_go_there_and_back(runner, folder):
    path = f"{folder}/model.onnx"
    assert runner.get(path) is None
    assert runner.modified_s(path) is None
    runner.put(path, b"bytes" * 100_000)
    assert runner.get(path) == b"bytes" * 100_000
    assert abs(runner.modified_s(path) - time.time()) < 60
    assert runner.make_folder() != folder
    runner.remove(folder)
    assert not Path(folder).exists()
    runner.remove("/")  # nothing outside its own folder


def test_what_there_is_to_convert_with(runner):
    capacity = runner.capacity()
    assert capacity.cores >= 1
    assert capacity.free_memory_bytes > 1 << 20


def test_a_command_runs_in_its_folder_with_its_words_untouched(runner, folder):
    done = runner.run(["sh", "-c", 'pwd; echo "$1"; echo oops >&2; exit 7', "sh", "$HOME; it's"], folder, 20, NEVER)
    assert (done.status, done.stdout, done.stderr) == (7, f"{folder}\n$HOME; it's\n", "oops\n")


def test_a_command_is_ended_with_all_its_children(runner, folder, server):
    script = ["sh", "-c", "sleep 300 & echo $!; sleep 300"]
    late = runner.run(script, folder, 3.0, NEVER)
    assert late.status is None
    assert_gone(int(late.stdout))
    stop = threading.Event()
    threading.Timer(3.0, stop.set).start()
    with pytest.raises(Stopped):
        runner.run(["sh", "-c", f"echo $$ > '{server.folder}/pid'; sleep 300"], folder, 60, stop)
    assert_gone(int((server.folder / "pid").read_text()))
    left = runner.run(["sh", "-c", "sleep 300 > /dev/null 2>&1 & echo $!; kill -9 $$"], folder, 60, NEVER)
    assert left.status == 137
    assert_gone(int(left.stdout))


def test_failed_conversions_are_kept_within_bounds(runner):
    kept = [runner.keep(runner.make_folder()) for _ in range(KEPT_OF_A_RUN + 1)]
    assert kept[-1] is None
    assert all("@127.0.0.1" in path and Path(path.split(":", 2)[2]).is_dir() for path in kept[:-1])


def test_atc_converts_there(runner, server, tmp_path):
    (tmp_path / "atc").mkdir()
    scripted = Scripted(tmp_path / "atc")
    converted = Atc(scripted.options(), runner).convert(model(), "unit")
    assert isinstance(converted, bytes), converted
    assert converted.startswith(b"IMOD")
    assert scripted.alive() == []
    assert list(server.remote.glob("*/conversions/*")) == []


def test_a_conversion_outlives_its_connection(runner, server, tmp_path):
    """Cut in the middle: the server has lost the first ATC with the connection, the second is another one."""
    (tmp_path / "atc").mkdir()
    scripted = Scripted(tmp_path / "atc")
    scripted.modes("hang", "ok")

    def cut():
        while not scripted.calls:
            time.sleep(0.01)
        server.cut()

    cutting = threading.Thread(target=cut)
    cutting.start()
    converted = Atc(scripted.options(), runner).convert(model(), "unit")
    cutting.join()
    assert isinstance(converted, bytes), converted
    assert len(scripted.calls) == 2
    assert scripted.alive() == []


@pytest.mark.parametrize("where", ["board", "builder"])
def test_a_device_says_where_to_convert(server, tmp_path, monkeypatch, where):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    server.configure(f"SetEnv HOME={server.home}")
    (server.home / ".ssh" / "config").write_text(
        f"Host builder\n  HostName 127.0.0.1\n  Port {server.port}\n  IdentityFile {server.user_key}\n"
    )
    (tmp_path / "atc").mkdir()
    scripted = Scripted(tmp_path / "atc")
    atc = server.folder / "atc.sh"
    atc.write_text(f'#!/bin/sh\nexec {shlex.join(scripted.command)} "$@"\n')
    atc.chmod(0o755)
    device = server.device(runtime="acl", soc="Ascend310", atc=str(atc), convert=where)
    with converter_of(device).models([Job("k", "unit", model)]) as models:
        ((_, converted),) = models
    assert isinstance(converted, bytes), converted
    assert converted.startswith(b"IMOD")
    assert "/conversions/work-" in scripted.calls[-1]["cwd"]
    assert (str(server.home) in scripted.calls[-1]["cwd"]) == (where == "builder")
