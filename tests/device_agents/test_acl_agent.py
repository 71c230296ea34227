"""The agent as a process on the emulated board: the order of its calls, and everything that can befall it."""

import base64
import os
import re
import shutil
import signal
import time
import zipapp
from pathlib import Path

import pytest
from ascend_board import HELLO, NEW, OLD, Board, om

from device_agents import emulator

MEASURE = {"model": 1, "rule": {"target": 0.5, "floor": 3, "cap": 3}}
OM = base64.b64encode(om()).decode()

# Section 2.4 of the reference, each line by the calls it consists of; the two of a sample may repeat.
MANDATORY_ORDER = """
init
rt.set_device
rt.create_context
rt.create_stream
rt.create_event, rt.record_event, rt.create_event, rt.record_event, rt.synchronize_stream, rt.event_elapsed_time
mdl.load_from_file
mdl.create_desc
mdl.get_desc
mdl.create_dataset, rt.malloc, create_data_buffer, mdl.add_dataset_buffer
mdl.create_dataset, rt.malloc, create_data_buffer, mdl.add_dataset_buffer
rt.memcpy
mdl.execute
rt.record_event, mdl.execute_async, rt.record_event, rt.synchronize_stream, rt.event_elapsed_time
destroy_data_buffer, destroy_data_buffer
mdl.destroy_dataset, mdl.destroy_dataset
rt.free, rt.free
mdl.destroy_desc
mdl.unload
rt.destroy_event, rt.destroy_event
rt.destroy_stream
rt.destroy_context
rt.reset_device
finalize
"""
ASKING = re.compile(r"(mdl\.)?get_(?!desc)|rt\.get_|util\.")  # reads something and may be called at any time


@pytest.fixture
def boards():
    """Makes boards, and ends their agents."""
    made = []

    def make(**settings):
        made.append(Board(**settings))
        return made[-1]

    yield make
    for board in made:
        if board.process.poll() is None:
            board.kill()
            board.end()


def faults(tmp_path, text):
    (tmp_path / "faults").write_text(text)
    (tmp_path / "state").mkdir(exist_ok=True)
    return {"faults": tmp_path / "faults", "state": tmp_path / "state"}


def load(board, deadline_s=60.0):
    return board.ask("load", deadline_s, bytes=OM)


@pytest.mark.parametrize("cann", [OLD, NEW])
def test_calls_come_in_the_mandatory_order(boards, tmp_path, cann):
    board = boards(cann=cann, calls=tmp_path / "calls")
    board.ask("hello", **HELLO)
    assert load(board)["model"] == 1
    assert "samples_ms" in board.ask("measure", **MEASURE)
    assert board.ask("unload", model=1) == {}
    assert board.ask("shutdown") == {}
    assert board.end() == (0, "")
    lines = (tmp_path / "calls").read_text().splitlines()
    names = [line.split("(")[0].replace("acl.", "", 1).replace("_with_flag", "") for line in lines]
    said = " ".join(name for name in names if not ASKING.match(name)) + " "
    by_events = "rt.record_event mdl.execute_async rt.record_event rt.synchronize_stream rt.event_elapsed_time "
    for repeated in ("mdl.execute ", by_events, "mdl.execute " + by_events):
        said = re.sub(f"({re.escape(repeated)})+", repeated, said)
    assert said.split() == MANDATORY_ORDER.replace(",", " ").split()
    assert not [line for line in lines if re.search(r"-> \(?(.*, )?[1-9]\d{5}\)?$", line)], "no call failed"


def test_an_agent_whose_input_ends_gives_everything_back(boards, tmp_path):
    board = boards(calls=tmp_path / "calls")
    board.ask("hello", **HELLO)
    load(board)
    load(board)
    status, said = board.end()
    assert (status, said) == (0, "")
    assert (tmp_path / "calls").read_text().splitlines()[-1] == "acl.finalize() -> 0"


def test_hello_twice_is_one_session(boards, tmp_path):
    board = boards(calls=tmp_path / "calls")
    assert board.ask("hello", **HELLO) == board.ask("hello", **HELLO)
    assert board.end() == (0, "")
    assert (tmp_path / "calls").read_text().count("acl.init(") == 1


def test_measures_with_the_devices_clock_when_asked(boards):
    board = boards()
    assert board.ask("hello", clock="device", **HELLO)["clock"] == "device"
    load(board)
    samples = board.ask("measure", **MEASURE)["samples_ms"]
    assert min(samples["device"]) > 0.04


def test_infers_over_the_line(boards):
    board = boards()
    board.ask("hello", **HELLO)
    load(board)
    outputs = board.ask("infer", model=1, inputs={"x": [0.5] * 256})["outputs"]
    assert len(outputs["y"]) == 192
    assert board.ask("infer", model=1, inputs={"x": [0.5]})["kind"] == "run"


@pytest.mark.parametrize(
    ("script", "kind", "word"),
    [
        ("load 1: oom", "memory", "245000"),
        ("load 1: soc", "load", "500002"),
        ("load 1: corrupt", "load", "145006"),
        ("load 1: 507899", "device", "507899"),
        ("malloc 1: oom", "memory", "207001"),
    ],
)
def test_a_load_that_fails_is_a_fault(boards, tmp_path, script, kind, word):
    board = boards(cann=NEW, **faults(tmp_path, script))
    board.ask("hello", **HELLO)
    fault = load(board)
    assert fault["kind"] == kind
    assert word in fault["detail"]
    again = load(board)
    assert again["kind"] == "device" if kind == "device" else again["model"] == 1


def test_a_device_fault_needs_a_new_process(boards, tmp_path):
    settings = faults(tmp_path, "all execute 5: 507011")
    board = boards(**settings)
    board.ask("hello", **HELLO)
    load(board)
    assert board.ask("measure", **MEASURE)["kind"] == "device"
    assert board.ask("measure", **MEASURE)["samples_ms"], "the stand-in recovers, the agent does not insist"
    assert load(board)["kind"] == "device"
    assert board.end()[0] == 0
    board = boards(**settings)
    board.ask("hello", **HELLO)
    assert load(board)["model"] == 1


def test_a_hung_run_is_ended_from_outside(boards, tmp_path):
    board = boards(**faults(tmp_path, "all execute 4: hang"))
    board.ask("hello", **HELLO)
    load(board)
    assert board.ask("measure", 5.0, **MEASURE) is None
    assert board.end()[0] == -signal.SIGKILL
    board = boards(**faults(tmp_path, "all execute 4: hang"))
    board.ask("hello", **HELLO)
    load(board)
    assert "samples_ms" in board.ask("measure", **MEASURE)


def test_a_crash_happens_once(boards, tmp_path):
    settings = faults(tmp_path, "all execute 4: crash")
    board = boards(**settings)
    board.ask("hello", **HELLO)
    load(board)
    assert board.ask("measure", **MEASURE) is None
    status, said = board.end()
    assert status == 139
    assert "crashes" in said
    board = boards(**settings)
    board.ask("hello", **HELLO)
    load(board)
    assert "samples_ms" in board.ask("measure", **MEASURE)


def test_a_board_that_reboots_comes_back(boards, tmp_path):
    settings = faults(tmp_path, "all execute 2: reboot 600")
    board = boards(**settings)
    board.ask("hello", **HELLO)
    load(board)
    assert board.ask("measure", **MEASURE) is None
    assert board.end()[0] == 129
    board = boards(**settings)
    fault = board.ask("hello", **HELLO)
    assert (fault["kind"], "507033" in fault["detail"]) == ("device", True)
    board.end()
    (tmp_path / "state" / "down-until").write_text(repr(time.time() - 1))
    board = boards(**settings)
    assert "runtime" in board.ask("hello", **HELLO)


def test_throttling_shows_in_the_samples(boards, tmp_path):
    slow = boards(**faults(tmp_path, "throttle from execute 1: 1.5"))
    fast = boards()
    times = []
    for board in (slow, fast):
        board.ask("hello", clock="device", **HELLO)
        load(board)
        times.append(min(board.ask("measure", **MEASURE)["samples_ms"]["device"]))
    assert times[0] == pytest.approx(1.5 * times[1], rel=0.05)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("load 3 oom", "line 1"),
        ("# fine\nexplode 1: oom", "line 2"),
        ("load 1: melt", "not an action"),
        ("atc 1: 507011", "not an action"),
        ("all load 1: oom", "STATE"),
    ],
)
def test_a_script_that_cannot_be_read_says_where(text, word):
    from device_agents.emulator.script import Script

    with pytest.raises(ValueError, match=word):
        Script(text)


def test_ranges_and_counts_over_all(tmp_path):
    from device_agents.emulator.script import Script

    script = Script("load 2..3: oom\nall execute 2: crash", str(tmp_path))
    assert [script.happens("load") is not None for _ in range(4)] == [False, True, True, False]
    others = [Script("all execute 2: crash", str(tmp_path)) for _ in range(3)]
    assert [other.happens("execute") for other in others] == [None, ["crash"], None]


def test_the_one_file_that_a_board_gets(boards, tmp_path):
    """It has no emulator in it, and still finds the one that `import acl` leads to; in a folder of its own."""
    folder = tmp_path / "app" / "device_agents"
    shutil.copytree(emulator.FOLDER + "/..", folder, ignore=shutil.ignore_patterns("__pycache__", "emulator"))
    zipapp.create_archive(tmp_path / "app", tmp_path / "agent.pyz", main="device_agents.agent:main")
    board = boards(app=tmp_path / "agent.pyz")
    assert board.ask("hello", **HELLO)["runtime"]["simulated"] is True
    assert "samples_ms" in (load(board) and board.ask("measure", **MEASURE))
    assert board.end() == (0, "")


def old_python():
    """A Python 3.6, as boards have, where this machine has one."""
    places = [*Path.home().glob(".pyenv/versions/3.6*/bin/python3.6"), Path("/usr/bin/python3.6")]
    return next((str(path) for path in places if os.access(path, os.X_OK)), None)


@pytest.mark.skipif(old_python() is None, reason="no Python 3.6 on this machine")
def test_on_a_real_python_36(boards):
    board = boards(python=old_python())
    hello = board.ask("hello", **HELLO)
    assert hello["python"].startswith("3.6.")
    load(board)
    assert "samples_ms" in board.ask("measure", **MEASURE)
    assert board.ask("shutdown") == {}
    assert board.end() == (0, "")
