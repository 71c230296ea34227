"""Our figure beside trtexec's for the same model."""

import json

import pytest
from click.testing import CliRunner

from mosegnet.common.errors import UserError
from mosegnet.onnx_graph import network_model
from profiler.against import against
from profiler.cli import cli
from profiler.imports import Imported
from profiler.initialisers import with_initialisers
from profiler.visits import Estimate


def ours(ms):
    return Estimate(ms, 0.005 * ms, 30, True, (ms, ms), ())


def theirs(clock="device", ms=2.0):
    return Imported("net", "trtexec", clock, (0.99 * ms, ms, 1.01 * ms) * 20, ms, ms)


@pytest.mark.parametrize(("ms", "agrees"), [(2.0, True), (2.035, True), (1.965, True), (2.05, False), (1.9, False)])
def test_within_two_percent_they_agree(ms, agrees):
    found = against(ours(ms), "device", theirs())
    assert found.agrees is agrees
    assert found.ratio == pytest.approx(ms / 2.0)
    assert found.low < found.ratio < found.high


def test_clocks_that_measure_other_things_are_refused():
    for clock, their_clock in (("thread_cpu", "device"), ("wall", "device"), ("device", "wall")):
        with pytest.raises(UserError, match=f"{clock} clock, trtexec by the {their_clock} clock"):
            against(ours(2.0), clock, theirs(their_clock))


def test_the_command_on_the_stand_in(tmp_path, monkeypatch, space):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MOSEGNAS_GPU_STANDIN", "11")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "devices.toml").write_text('[devices.gpu]\nruntime = "tensorrt"\n')
    (tmp_path / "net.onnx").write_bytes(with_initialisers(network_model(space.decode(space.smallest()))))

    def command(*more):
        return CliRunner().invoke(cli, ["measure", "--device", "gpu", "net.onnx", *more])

    measured = json.loads(command("--json").stdout)[0]
    assert measured["clock"] == "device"
    for factor, verdict in ((1.01, "they agree within 2 %"), (1.1, "they differ by more than 2 %")):
        times = [{"computeMs": factor * measured["latency_ms"]}] * 20
        (tmp_path / "times.json").write_text(json.dumps(times))
        assert verdict in command("--against", "times.json").stdout
    (tmp_path / "profile.json").write_text(json.dumps([{"count": 3}, {"name": "x", "averageMs": 1.0}]))
    refused = command("--against", "profile.json")
    assert "--exportTimes" in str(refused.exception)
    assert "take one of them" in str(command("--against", "times.json", "--compare", "net.onnx").exception)
