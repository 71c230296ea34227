import os
import sys
import time

import pytest
from profiler_fixtures import COMMAND

from device_agents.faults import Fault
from mosegnet.common.errors import DeviceError
from mosegnet.onnx_graph import context_model
from profiler.devices import Device
from profiler.link import RESTARTS, Link, Rule

DEVICE = Device(name="scripted")
MODEL = context_model((8, 4, 4))


@pytest.fixture
def fault(monkeypatch):
    return lambda value: monkeypatch.setenv("FAULT", value)


def test_times_a_model_from_bytes_and_from_a_file(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(MODEL)
    with Link(DEVICE, COMMAND) as link:
        by_bytes, by_path = link.time(MODEL, Rule(), "it"), link.time(path, Rule(), "it")
        assert by_bytes.samples_ms == by_path.samples_ms
        assert len(by_bytes.samples_ms["thread_cpu"]) == Rule().floor
        assert link.telemetry()["time_s"] > 0


def test_a_large_model_passes_through_the_pipe():
    """Larger than a pipe's buffer, both ways blocked would hang."""
    with Link(DEVICE, COMMAND, silence_s=30) as link:
        assert isinstance(link.time(b"x" * 3_000_000, Rule(), "it"), Fault)


def test_a_refusal_is_a_value():
    with Link(DEVICE, COMMAND) as link:
        fault = link.time(b"no model", Rule(), "it")
        assert isinstance(fault, Fault)
        assert fault.kind == "load"
        assert not isinstance(link.time(MODEL, Rule(), "it"), Fault)


def test_an_agent_that_always_dies_is_given_up_with_its_last_words(fault, capsys):
    fault("die:1")
    with Link(DEVICE, COMMAND) as link, pytest.raises(DeviceError) as error:
        link.time(MODEL, Rule(), "unit 7")
    assert "killed by signal 9" in str(error.value)
    assert "about to fail" in str(error.value)
    assert "unit 7" in str(error.value)
    assert capsys.readouterr().err.count("starting it again") == RESTARTS


def test_an_agent_that_dies_now_and_then_serves(fault):
    """Restarts are counted in a row: progress in between starts the count anew."""
    fault("die:3")
    with Link(DEVICE, COMMAND) as link:
        timings = [link.time(MODEL, Rule(), "it") for _ in range(12)]
        assert link.restarts > RESTARTS
    assert all(timing.samples_ms == timings[0].samples_ms for timing in timings)


def test_garbage_is_not_taken_for_an_answer(fault):
    fault("garbage")
    with pytest.raises(DeviceError, match="Welcome to the board"):
        Link(DEVICE, COMMAND).hello()


def test_silence_ends_at_the_deadline(fault):
    fault("silence")
    with Link(DEVICE, COMMAND, silence_s=0.3) as link, pytest.raises(DeviceError, match=r"silent for 0\.3 s"):
        link.time(MODEL, Rule(), "it")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ('{"id": 99, "ok": {}}', "99"),
        ('{"id": 1}', "neither"),
        ('{"id": 1, "ok": 5}', "neither"),
        ('{"id": 1, "fault": "bad"}', "no sense"),
        ("[]", "not JSON data"),
        ("\\xff\\xfe", "not JSON data"),
    ],
)
def test_answers_that_make_no_sense(answer, words):
    code = f"import sys; sys.stdin.readline(); sys.stdout.buffer.write(b'{answer}\\n'); sys.stdout.flush(); input()"
    with pytest.raises(DeviceError, match=words):
        Link(DEVICE, (sys.executable, "-c", code)).hello()


def test_a_runtime_that_cannot_be_had_is_said():
    code = (
        "import device_agents.runtimes as r; from device_agents.faults import Fault; from device_agents import agent\n"
        "r.create = lambda name, options: Fault('runtime', 'ImportError: no such library'); agent.main()"
    )
    with pytest.raises(DeviceError, match="no such library"):
        Link(DEVICE, (sys.executable, "-c", code)).hello()


def test_a_command_that_is_not_there():
    with pytest.raises(DeviceError, match="cannot start the agent"):
        Link(DEVICE, ("/there/is/no/agent",)).hello()


def test_no_process_is_left_behind():
    with Link(DEVICE, COMMAND) as link:
        pid = link.hello()["pid"]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and os.path.exists(f"/proc/{pid}"):
        time.sleep(0.01)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
