"""Whole builds, on the scripted device whose costs are known and, once, on this machine's processor."""

import errno
import gzip
import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest
from profiler_fixtures import RUN, hear_ctrl_c
from scripted_agent import CALL_MS, model_ms

from mosegnet.common import journal as journals
from mosegnet.common.errors import DeviceError, UserError
from mosegnet.common.journal import read_journal
from mosegnet.onnx_graph import network_model, unit_model
from profiler import session as sessions
from profiler import whole
from profiler.build import Method, build, journal_path, samples_path, set_aside
from profiler.devices import Device
from profiler.lut import load
from profiler.validate import validation
from profiler.visits import Estimate

DEVICE = Device(name="scripted")


def samples(table_file):
    return [json.loads(line) for line in gzip.decompress(samples_path(table_file).read_bytes()).splitlines()]


@pytest.mark.parametrize(("method", "share"), [("stub", 0.01), ("designed", 0.04)])
@pytest.mark.usefixtures("scripted")
def test_entries_are_the_units_alone(tmp_path, space, method, share):
    """On a device without border effects, what is around a unit must cancel out."""
    lut = build(DEVICE, space, tmp_path / "cpu.json", seed=0, resume=False, method=Method(method))
    for unit in space.units:
        expected_ms = model_ms(unit_model(unit)) - CALL_MS
        assert lut.table.entries[unit.key].latency_ms == pytest.approx(expected_ms, rel=share, abs=2e-4), unit.key


@pytest.mark.parametrize(("method", "error"), [("stub", 1), ("designed", 1), ("hybrid", 1), ("networks", 4)])
@pytest.mark.usefixtures("scripted")
def test_every_method_predicts_what_it_never_saw(tmp_path, space, method, error):
    lut = build(DEVICE, space, tmp_path / "cpu.json", seed=0, resume=False, method=Method(method))
    assert lut.table.method.name == method
    assert lut.table.validation.mape_percent < error
    assert lut.table.validation.mape_percent < lut.table.validation.flops.mape_percent
    assert lut.complete


@pytest.mark.usefixtures("scripted")
def test_the_default_follows_the_runtime(tmp_path, space, monkeypatch):
    monkeypatch.setenv("NODES", "no")
    lut = build(DEVICE, space, tmp_path / "cpu.json", seed=0, resume=False)
    assert lut.table.method.name == "hybrid"
    with pytest.raises(UserError, match="times single nodes, scripted does not"):
        build(DEVICE, space, tmp_path / "other.json", seed=0, resume=False, method=Method("designed"))


@pytest.mark.usefixtures("scripted")
def test_ten_networks_bring_a_table_to_another_device(tmp_path, space, monkeypatch, table_file):
    """Another device: twice as fast, its 3x3 convolutions relatively slower."""
    prior = load(table_file)
    monkeypatch.setenv("FASTER", "2")
    monkeypatch.setenv("SKEW", "1")
    lut = build(DEVICE, space, tmp_path / "new.json", seed=0, resume=False, method=Method("hybrid", 10, prior))
    assert lut.table.method.prior == prior.sha256
    assert len(lut.table.calibration.networks) == 10
    measured = np.array([network.measured_ms for network in lut.table.validation.measured])
    predicted = prior.predict([network.encoding for network in lut.table.validation.measured])
    scaled = np.abs(predicted * np.median(measured / predicted) / measured - 1).mean()
    assert lut.table.validation.mape_percent < 50 * scaled
    other = type(space).from_dict({**space.to_dict(), "name": "other", "classes": 5})
    with pytest.raises(UserError, match="prior is a table of space 'small', not of this 'other'"):
        build(DEVICE, other, tmp_path / "x.json", seed=0, resume=False, method=Method("hybrid", 10, prior))


def test_networks_never_seen_are_predicted(table_file, space):
    lut = load(table_file)
    X = space.sample(20, np.random.default_rng(9))
    true_ms = np.array([model_ms(network_model(space.decode(x))) for x in X])
    np.testing.assert_allclose(lut.predict(X), true_ms, rtol=0.01)


def test_a_table_says_where_it_is_from(table_file, space):
    table = load(table_file).table
    assert table.device.runtime == "scripted"
    assert table.method.name == "designed"
    assert table.method.plan["designed"] == 27 * len(space.scales)
    assert table.method.clock == "thread_cpu"
    assert table.method.device_time_s > 0
    assert table.validation.networks == 24
    assert table.validation.kendall_tau > 0.99
    assert table.validation.flops.kendall_tau < table.validation.kendall_tau
    assert len(table.calibration.networks) == 10 * len(space.scales)
    held_out = {tuple(network.encoding) for network in table.validation.measured}
    assert not held_out & {tuple(network.encoding) for network in table.calibration.networks}


def test_the_samples_stay(table_file):
    records = samples(table_file)
    assert not journal_path(table_file).exists()
    assert records[0]["what"] == "build"
    assert {"reference", "measured", "profiled"} <= {record["what"] for record in records}
    assert all(record["nodes"] for record in records if record["what"] == "profiled")
    assert all(record["samples_ms"]["wall"] for record in records if record["what"] in ("measured", "reference"))


def test_order_is_random_and_the_reference_in_between(table_file):
    records = [record for record in samples(table_file) if record["what"] != "build"]
    for start in range(0, len(records) - sessions.BLOCK, sessions.BLOCK):
        assert any(record["what"] == "reference" for record in records[start : start + sessions.BLOCK + 1])
    first, second = (
        [record["key"] for record in records if record.get("role") == "validation" and record["visit"] == visit]
        for visit in (0, 1)
    )
    assert sorted(first) == sorted(second)
    assert first != second
    assert first != sorted(first)


@pytest.mark.parametrize("kills", [(60,), (20, 90, 170)])
def test_killed_and_resumed_measures_nothing_twice(tmp_path, space, table_file, kills):
    spec = tmp_path / "space.json"
    spec.write_text(json.dumps(space.to_dict()))
    out = tmp_path / "cpu.json"
    command = [*RUN, "build-lut", "--device", "cpu", "--space", str(spec), "--out", str(out), "--resume"]
    for lines in kills:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "PAUSE_S": "0.002"})
        wait_for_lines(journal_path(out), lines, process)
        process.kill()
        process.wait()
        assert not out.exists()
    subprocess.run(command, check=True, capture_output=True)
    done = [(one["visit"], one["key"]) for one in samples(out) if one["what"] in ("measured", "profiled")]
    assert len(done) == len(set(done))
    whole = load(table_file).table
    assert load(out).table.entries == whole.entries
    assert load(out).table.calibration == whole.calibration
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "nothing to resume" in again.stderr


def test_ctrl_c_keeps_everything_and_exits_130(tmp_path):
    out = tmp_path / "cpu.json"
    command = [*RUN, "build-lut", "--device", "cpu", "--out", str(out)]
    environment = {**os.environ, "PAUSE_S": "0.002"}
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=hear_ctrl_c,  # noqa: PLW1509  no locks
    )  # fmt: skip
    wait_for_lines(journal_path(out), 30, process)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in words
    assert len(read_journal(journal_path(out))) >= 30
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "--resume" in refused.stderr


@pytest.mark.usefixtures("scripted")
def test_a_full_disk_is_one_line_and_nothing_is_lost(tmp_path, space, monkeypatch):
    real, calls = os.fsync, []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) > 60:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(journals.os, "fsync", fsync)
    out = tmp_path / "cpu.json"
    with pytest.raises(UserError, match="disk is full"):
        build(DEVICE, space, out, seed=0, resume=False)
    assert not out.exists()
    assert len(read_journal(journal_path(out))) >= 60


@pytest.mark.usefixtures("scripted")
def test_an_agent_killed_in_the_middle_is_started_again(tmp_path, space, monkeypatch, table_file):
    monkeypatch.setenv("FAULT", f"die-once:{tmp_path / 'died'}")
    lut = build(DEVICE, space, tmp_path / "cpu.json", seed=0, resume=False)
    assert (tmp_path / "died").exists()
    assert lut.table.method.restarts == 1
    assert lut.table.entries == load(table_file).table.entries


@pytest.mark.parametrize("method", ["stub", "designed"])
@pytest.mark.usefixtures("scripted")
def test_a_unit_that_the_device_refuses_is_kept_with_its_reason(tmp_path, space, monkeypatch, method, capsys):
    """Stems with two blocks: three widths of them at each of two scales."""
    monkeypatch.setenv("FAULT", "refuse:stem.t4|d2 ")
    out = tmp_path / "cpu.json"
    lut = build(DEVICE, space, out, seed=0, resume=False, method=Method(method))
    assert "incomplete" in capsys.readouterr().err
    assert not lut.complete
    assert len(lut.table.unmeasured) == 6
    assert all(key.startswith("stem") and reason == "no kernel for it" for key, reason in lut.table.unmeasured.items())
    assert lut.table.validation.mape_percent < 1
    lut = load(out)
    X = space.sample(50, np.random.default_rng(0))
    np.testing.assert_array_equal(lut.runs(X), X[:, 1] < 2)
    assert np.isfinite(lut.predict(X[lut.runs(X)])).all()
    with pytest.raises(UserError, match=r"no latency for unit 'stem .* d2 .*no kernel"):
        lut.predict(X)


@pytest.mark.usefixtures("scripted")
def test_a_device_that_refuses_everything_is_given_up(tmp_path, space, monkeypatch):
    monkeypatch.setenv("FAULT", "refuse:decoder.t9")
    with pytest.raises(DeviceError, match=r"cannot run the reference.*no kernel"):
        build(DEVICE, space, tmp_path / "cpu.json", seed=0, resume=False)


@pytest.mark.usefixtures("scripted")
def test_a_journal_of_another_build_is_not_mixed_in(tmp_path, space, monkeypatch):
    out = tmp_path / "cpu.json"
    monkeypatch.setenv("FAULT", "die:1")
    with pytest.raises(DeviceError):
        build(DEVICE, space, out, seed=0, resume=False)
    monkeypatch.setenv("FAULT", "")
    with pytest.raises(UserError, match="its seed differs"):
        build(DEVICE, space, out, seed=1, resume=True)
    with pytest.raises(UserError, match="its device differs"):
        build(DEVICE.model_copy(update={"threads": 2}), space, out, seed=0, resume=True)
    monkeypatch.setenv("FAULT", "foreign")
    with pytest.raises(UserError, match="its hello differs"):
        build(DEVICE, space, out, seed=0, resume=True)
    monkeypatch.setenv("FAULT", "")
    with pytest.raises(UserError, match="its method differs"):
        build(DEVICE, space, out, seed=0, resume=True, method=Method("stub"))
    with pytest.raises(UserError, match="--restart to start anew"):
        build(DEVICE, space, out, seed=0, resume=False)
    aside = set_aside(out)
    assert aside.exists()
    assert build(DEVICE, space, out, seed=0, resume=False).complete
    assert aside.exists()


@pytest.mark.usefixtures("scripted")
def test_validate_measures_other_networks(table_file):
    lut = load(table_file)
    found = whole.validate(lut, DEVICE, networks=10, seed=3)
    assert found.networks == 10
    assert found.mape_percent < 1
    known = {tuple(network.encoding) for network in lut.calibration.networks}
    assert not known & {tuple(network.encoding) for network in found.measured}
    with pytest.raises(UserError, match="2 or more"):
        whole.validate(lut, DEVICE, networks=1, seed=3)


def test_a_table_fooled_on_purpose_fails_its_proof(table_file, edit):
    """The proof must notice a table that is wrong: units shuffled within a kind."""

    def shuffle(value):
        keys = [key for key in value["entries"] if key.startswith("decoder")]
        entries = [value["entries"][key] for key in keys]
        for key, entry in zip(keys, entries[::-1], strict=True):
            value["entries"][key] = entry

    lut, fooled = load(table_file), load(edit(shuffle))
    X = np.array([network.encoding for network in lut.table.validation.measured])
    measured = [
        Estimate(network.measured_ms, 0.0, 10, True, (network.measured_ms,) * 2, ())
        for network in lut.table.validation.measured
    ]
    assert validation(fooled, X, measured, 0).mape_percent > 5 * validation(lut, X, measured, 0).mape_percent


def test_on_this_processor(tmp_path, space):
    """The real agent and runtime: the table predicts networks it has not seen. (No wall time is asserted.)"""
    small = type(space).from_dict({**space.to_dict(), "scales": [[32, 32]]})
    lut = build(Device(name="cpu"), small, tmp_path / "cpu.json", seed=0, resume=False)
    assert lut.table.device.runtime == "onnxruntime"
    assert lut.table.validation.pearson_r > 0.5
    largest, smallest = lut.predict([small.largest(), small.smallest()])
    assert largest > smallest > 0


def wait_for_lines(path, count, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    raise AssertionError(f"the journal did not grow to {count} lines")
