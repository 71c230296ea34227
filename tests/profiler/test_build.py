"""Whole builds, on the scripted device whose costs are known and, once, on this machine's processor."""

import errno
import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest
from profiler_fixtures import RUN
from scripted_agent import CALL_MS, model_ms

from mosegnet.common import journal as journals
from mosegnet.common.errors import DeviceError, UserError
from mosegnet.common.journal import read_journal
from mosegnet.onnx_graph import network_model, unit_model
from profiler import build as builds
from profiler import session as sessions
from profiler.build import build, journal_path, samples_path
from profiler.devices import Device
from profiler.lut import load
from profiler.validate import validation

DEVICE = Device(name="scripted")


def test_entries_are_the_units_alone(table_file, space):
    """On a device without border effects, the stub's context must cancel out to the last digit."""
    lut = load(table_file)
    for unit in space.units:
        expected_ms = model_ms(unit_model(unit)) - CALL_MS
        assert lut.table.entries[unit.key].latency_ms == pytest.approx(expected_ms, rel=0.01, abs=2e-4), unit.key


def test_networks_never_seen_are_predicted(table_file, space):
    lut = load(table_file)
    X = space.sample(20, np.random.default_rng(9))
    true_ms = np.array([model_ms(network_model(space.decode(x))) for x in X])
    np.testing.assert_allclose(lut.predict(X), true_ms, rtol=0.01)


def test_a_table_says_where_it_is_from(table_file, space):
    table = load(table_file).table
    assert table.device.runtime == "scripted"
    assert table.method.plan["unit"] == len(space.units)
    assert table.method.clock == "thread_cpu"
    assert table.validation.networks == 24
    assert table.validation.kendall_tau > 0.99
    assert table.validation.flops.kendall_tau < table.validation.kendall_tau
    assert len(table.calibration.networks) == 5 * len(space.scales)
    held_out = {tuple(network.encoding) for network in table.validation.measured}
    assert not held_out & {tuple(network.encoding) for network in table.calibration.networks}


def test_the_samples_stay(table_file):
    records = read_journal(samples_path(table_file))
    assert not journal_path(table_file).exists()
    assert records[0]["what"] == "build"
    keys = {record["key"] for record in records[1:]}
    assert set(load(table_file).table.entries) < keys
    assert all(record["samples_ms"]["wall"] for record in records[1:])


def test_order_is_random_and_the_reference_in_between(table_file):
    records = [record for record in read_journal(samples_path(table_file)) if record["what"] != "build"]
    for start in range(0, len(records) - sessions.BLOCK, sessions.BLOCK):
        assert any(record["what"] == "reference" for record in records[start : start + sessions.BLOCK + 1])
    first, second = (
        [record["key"] for record in records if record["what"] == "measured" and record["visit"] == visit]
        for visit in (0, 1)
    )
    assert sorted(first) == sorted(second)
    assert first != second
    assert first != sorted(first)


@pytest.mark.parametrize("kills", [(300,), (40, 500, 900)])
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
    records = read_journal(samples_path(out))
    done = [(record["visit"], record["key"]) for record in records if record["what"] == "measured"]
    assert len(done) == len(set(done))
    whole = load(table_file).table
    assert load(out).table.entries == whole.entries
    assert load(out).table.calibration == whole.calibration
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "nothing to resume" in again.stderr


def test_ctrl_c_keeps_everything_and_exits_130(tmp_path):
    out = tmp_path / "cpu.json"
    command = [*RUN, "build-lut", "--device", "cpu", "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PAUSE_S": "0.002"})
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


@pytest.mark.usefixtures("scripted")
def test_a_unit_that_the_device_refuses_is_named(tmp_path, space, monkeypatch):
    monkeypatch.setenv("FAULT", "refuse:stub decoder")
    with pytest.raises(DeviceError, match=r"decoder .* cannot be measured .*no kernel"):
        build(DEVICE, space, tmp_path / "cpu.json", seed=0, resume=False)
    assert journal_path(tmp_path / "cpu.json").exists()


@pytest.mark.usefixtures("scripted")
def test_a_journal_of_another_build_is_not_mixed_in(tmp_path, space, monkeypatch):
    out = tmp_path / "cpu.json"
    monkeypatch.setenv("FAULT", "refuse:stub decoder")
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


@pytest.mark.usefixtures("scripted")
def test_validate_measures_other_networks(table_file):
    lut = load(table_file)
    found = builds.validate(lut, DEVICE, networks=10, seed=3)
    assert found.networks == 10
    assert found.mape_percent < 1
    known = {tuple(network.encoding) for network in lut.calibration.networks}
    assert not known & {tuple(network.encoding) for network in found.measured}
    with pytest.raises(UserError, match="2 or more"):
        builds.validate(lut, DEVICE, networks=1, seed=3)


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
        builds.Estimate(network.measured_ms, 0.0, 10, True, (network.measured_ms,) * 2, ())
        for network in lut.table.validation.measured
    ]
    assert validation(fooled, X, measured).mape_percent > 5 * validation(lut, X, measured).mape_percent


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
