"""The agent as a process, spoken to as the near side does."""

import base64
import json
import shutil
import signal
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest
from handmade_models import conv_model
from hypothesis import given, settings
from hypothesis import strategies as st

import device_agents
from device_agents.agent import PROTOCOL, Agent

HELLO = {"id": 1, "op": "hello", "protocol": PROTOCOL, "runtime": "onnxruntime", "options": {"threads": 1}}


class Process:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, request):
        self.send(request if isinstance(request, str) else json.dumps(request))
        while True:
            answer = json.loads(self.process.stdout.readline())
            if "alive" not in answer:
                return answer

    def close(self):
        self.process.stdin.close()
        status = self.process.wait(20)
        self.process.stdout.close()
        return status


@pytest.fixture
def agent():
    process = Process([sys.executable, "-m", "device_agents"])
    yield process
    if process.process.poll() is None:
        process.process.kill()
        process.process.wait()
    process.process.stdin.close()
    process.process.stdout.close()


def test_a_whole_conversation(agent, tmp_path):
    hello = agent.ask(HELLO)["ok"]
    assert hello["protocol"] == PROTOCOL
    assert hello["runtime"]["name"] == "onnxruntime"
    assert hello["clock"] == "thread_cpu"
    file = tmp_path / "model.onnx"
    file.write_bytes(conv_model())
    by_path = agent.ask({"id": 2, "op": "load", "path": str(file)})["ok"]["model"]
    by_bytes = agent.ask({"id": 3, "op": "load", "bytes": base64.b64encode(conv_model()).decode()})["ok"]["model"]
    assert by_path != by_bytes
    x = [0.5] * (4 * 8 * 8)
    outputs = [
        agent.ask({"id": 4, "op": "infer", "model": model, "inputs": {"x": x}})["ok"]["outputs"]["y"]
        for model in (by_path, by_bytes)
    ]
    assert outputs[0] == outputs[1]
    measured = agent.ask({"id": 5, "op": "measure", "model": by_path, "rule": {"floor": 6, "cap": 6}})
    assert measured["id"] == 5
    assert len(measured["ok"]["samples_ms"]["thread_cpu"]) == 6
    assert agent.ask({"id": 6, "op": "unload", "model": by_path})["ok"] == {}
    assert agent.ask({"id": 7, "op": "measure", "model": by_path})["fault"]["kind"] == "protocol"
    assert agent.ask({"id": 8, "op": "telemetry"})["ok"]["time_s"] > 0
    assert agent.ask({"id": 9, "op": "shutdown"})["ok"] == {}
    assert agent.process.wait(20) == 0


def test_prints_of_libraries_cannot_corrupt_the_protocol(tmp_path):
    """Python prints and writes of C code to descriptor 1, during a request, must not reach the near side."""
    code = (
        "import os\n"
        "from device_agents import agent, telemetry\n"
        "def noisy():\n"
        "    print('from python'); os.write(1, b'from c'); os.system('echo from a child')\n"
        "    return {'time_s': 1.0}\n"
        "telemetry.read = noisy\n"
        "agent.main()\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        input='{"id": 1, "op": "telemetry"}\n', capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(process.stdout) == {"id": 1, "ok": {"time_s": 1.0}}
    for words in ("from python", "from c", "from a child"):
        assert words in process.stderr


def test_ctrl_c_does_not_reach_it(agent):
    agent.ask(HELLO)
    agent.process.send_signal(signal.SIGINT)
    assert "ok" in agent.ask({"id": 2, "op": "telemetry"})


def test_ends_when_the_input_ends(agent):
    agent.ask(HELLO)
    assert agent.close() == 0


@pytest.mark.parametrize(
    ("request_", "kind", "word"),
    [
        ("{", "protocol", "not a request"),
        ("[1, 2]", "protocol", "JSON object"),
        ({"id": 5, "op": "dance"}, "protocol", "dance"),
        ({"id": 5}, "protocol", "None"),
        ({"id": 5, "op": "measure", "model": 1}, "protocol", "hello"),
        ({**HELLO, "protocol": 99}, "protocol", "99"),
        ({**HELLO, "runtime": "abacus"}, "runtime", "abacus"),
        ({**HELLO, "clock": "sundial"}, "protocol", "sundial"),
    ],
)
def test_bad_requests_before_hello(request_, kind, word):
    answer = answer_of(Agent, request_)
    assert answer["fault"]["kind"] == kind
    assert word in answer["fault"]["detail"]


@pytest.mark.parametrize(
    ("request_", "kind", "word"),
    [
        ({"id": 5, "op": "measure"}, "protocol", "model"),
        ({"id": 5, "op": "measure", "model": 77}, "protocol", "77"),
        ({"id": 5, "op": "unload", "model": 77}, "protocol", "77"),
        ({"id": 5, "op": "infer", "model": 77}, "protocol", "77"),
        ({"id": 5, "op": "load"}, "protocol", "bytes"),
        ({"id": 5, "op": "load", "bytes": "no base64!"}, "load", "base64"),
        ({"id": 5, "op": "load", "path": "/there/is/no.onnx"}, "load", "/there/is/no.onnx"),
        ({"id": 5, "op": "measure", "model": 1, "rule": {"floor": 1}}, "protocol", "floor"),
        ({"id": 5, "op": "measure", "model": 1, "rule": {"speed": 1}}, "protocol", "speed"),
        ({"id": 5, "op": "infer", "model": 1, "inputs": {"x": [1.0]}}, "run", "reshape"),
    ],
)
def test_bad_requests_after_hello(request_, kind, word):
    def greeted(say):
        agent = Agent(say)
        agent.handle(json.dumps(HELLO))
        agent.handle(json.dumps({"id": 2, "op": "load", "bytes": base64.b64encode(conv_model()).decode()}))
        return agent

    answer = answer_of(greeted, request_)
    assert answer["id"] == 5
    assert answer["fault"]["kind"] == kind
    assert word in answer["fault"]["detail"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40) | json_values.map(json.dumps))
def test_any_line_gets_exactly_one_answer(line):
    said = []
    Agent(said.append).handle(line)
    assert len(said) == 1
    assert ("ok" in said[0]) != ("fault" in said[0])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["load", "measure", "infer", "unload"]), st.dictionaries(st.text(max_size=6), json_values))
def test_any_request_gets_exactly_one_answer(op, fields):
    said = []
    agent = Agent(said.append)
    agent._runtime = object()  # past hello; whatever the request does to it must come back as a fault
    agent.handle(json.dumps({**fields, "op": op, "model": fields.get("model"), "id": 3}))
    assert len(said) == 1
    assert said[0]["id"] == 3
    assert "fault" in said[0]


def test_ships_as_one_file(tmp_path):
    """The zipapp that a board gets, run without site-packages: it answers and says what it lacks."""
    shutil.copytree(
        Path(device_agents.__file__).parent, tmp_path / "app" / "device_agents",
        ignore=shutil.ignore_patterns("__pycache__"),
    )  # fmt: skip
    target = tmp_path / "agent.pyz"
    zipapp.create_archive(tmp_path / "app", target, main="device_agents.agent:main", compressed=True)
    process = Process([sys.executable, "-I", "-S", str(target)])
    assert "time_s" in process.ask({"id": 1, "op": "telemetry"})["ok"]
    fault = process.ask(HELLO)["fault"]
    assert fault["kind"] == "runtime"
    assert "numpy" in fault["detail"]
    assert process.close() == 0


def answer_of(make, request):
    said = []
    agent = make(said.append)
    said.clear()
    agent.handle(request if isinstance(request, str) else json.dumps(request))
    assert len(said) == 1
    return said[0]
