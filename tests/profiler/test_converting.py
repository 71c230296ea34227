"""`profiler convert`: what a device loads, and what it computes."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from mosegnet.onnx_graph import network_model
from profiler.cli import cli

SPACE = spaces.load({"preset": "tiny", "name": "small", "scales": [[32, 64], [64, 96], [64, 128]], "classes": 3})


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # of the agent, which starts in that folder
    path = tmp_path / "net.onnx"
    path.write_bytes(network_model(SPACE.decode(SPACE.smallest()), output="classes"))
    return path


def convert(*args):
    return CliRunner().invoke(cli, ["convert", *map(str, args)])


def test_a_device_that_loads_onnx_gets_it_and_runs_it(model, tmp_path):
    images = np.random.default_rng(0).normal(size=(3, 1, 3, 32, 64)).astype(np.float32)
    np.savez(tmp_path / "in.npz", image=images)
    done = convert("--device", "cpu", model, "--out", "same.onnx", "--run", "in.npz", "--results", "out.npz", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["device"], said["precision"], said["simulated"]) == ("cpu", "fp32", False)
    assert (tmp_path / "same.onnx").read_bytes() == model.read_bytes()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    with np.load("out.npz") as file:
        found = file["classes"]
    expected = np.stack([session.run(None, {"image": image})[0].ravel() for image in images])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["none.onnx", "--out", "x"], "does not exist"),
        (["net.onnx", "--out", "x", "--run", "in.npz"], "go together"),
        (["net.onnx", "--out", "x", "--run", "none.npz", "--results", "y"], "do not exist"),
        (["net.onnx", "--out", "x", "--run", "net.onnx", "--results", "y"], "is no .npz"),
        (["net.onnx", "--out", "x", "--run", "odd.npz", "--results", "y"], "as many runs"),
        (["net.onnx", "--out", "x", "--run", "short.npz", "--results", "y"], "cannot run net.onnx"),
    ],
)
def test_mistakes_are_one_line(args, said, model, tmp_path):
    np.savez(tmp_path / "odd.npz", image=np.zeros((2, 3)), other=np.zeros((1, 3)))
    np.savez(tmp_path / "short.npz", image=np.zeros((1, 3)))
    error = convert("--device", "cpu", *args).exception
    assert isinstance(error, UserError)
    assert said in str(error)
    assert "\n" not in str(error)
    assert not (tmp_path / "x").exists()
