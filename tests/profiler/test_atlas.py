"""The Atlas from end to end: real OpenSSH, the real agent, real converter calls, on the emulator's far side."""

import gzip
import json
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from profiler_fixtures import small_space

from device_agents.emulator.install import install
from mosegnet.common.errors import DeviceError
from profiler.build import Method, build, journal_path, samples_path
from profiler.devices import find
from profiler.doctor import examine
from profiler.lut import load

SPACE = type(small_space()).from_dict({**small_space().to_dict(), "scales": [[32, 32]]})
METHOD = Method("hybrid", 10)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Conversions are shared among these tests, as among a user's builds."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "conversions"))


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    """A table of another device, made up: what costs what it counts."""
    from mosegnet.cost import unit_costs
    from profiler.schema import Calibration, DeviceRecord, Entry, MethodRecord, Table

    entries = {
        unit.key: Entry(latency_ms=0.01 + 1e-7 * float(row[0]), ci95_ms=1e-4, samples=9, converged=True)
        for unit, row in zip(SPACE.units, unit_costs(SPACE), strict=False)
    }
    text = dict.fromkeys(("name", "kind", "chip", "system", "runtime", "runtime_version", "agent_version"), "made up")
    device = DeviceRecord(**text, runtime_options={}, precision="fp32", batch=1, simulated=False)
    method = MethodRecord(
        **dict.fromkeys(("name", "clock", "statistic", "reference", "started", "finished", "tool_version"), "made up"),
        **dict.fromkeys(("target_percent", "limit_s", "reference_ms", "drift_percent", "device_time_s"), 1.0),
        **dict.fromkeys(("seed", "floor", "cap", "visits", "restarts"), 1), plan={},
    )  # fmt: skip
    calibration = Calibration(constant_ms=[0.1], noise_percent=1.0, interval_percent=[2.0], networks=[])
    from profiler import lut

    path = tmp_path_factory.mktemp("prior") / "prior.json"
    lut.save(
        path,
        Table(device=device, space=SPACE.to_dict(), method=method, entries=entries, calibration=calibration),
    )
    return load(path)


def board(server, faults="", **settings):
    """A board behind the server, with a CANN of its own, where faults happen as the script says."""
    folder = server.remote / "Ascend"
    state = server.folder / "state"
    state.mkdir(exist_ok=True)
    script = server.folder / "faults"
    script.write_text(faults)
    values = {"time_factor": 0.02, "state": state, "faults": script, **settings}
    set_env = install(str(folder), **values)
    return server.device(
        runtime="acl", soc="Ascend310", set_env=set_env, atc=str(folder / "bin" / "atc"), host_set_env=set_env
    )


def records(out):
    return [json.loads(line) for line in gzip.decompress(samples_path(out).read_bytes()).splitlines()]


def measured_once(out):
    keys = [(one["visit"], one["key"]) for one in records(out) if one["what"] == "measured"]
    return len(keys) == len(set(keys))


def test_a_table_over_ssh(server, tmp_path, prior, capsys):
    out = tmp_path / "atlas.json"
    lut = build(board(server), SPACE, out, seed=0, resume=False, method=Method("hybrid", 10, prior))
    table = lut.table
    assert table.device.simulated
    assert table.device.runtime == "acl"
    assert table.device.precision == "fp16"
    assert table.device.runtime_options["conversion"]["soc"] == "Ascend310"
    assert table.validation.kendall_tau > table.validation.flops.kendall_tau - 0.2
    assert table.validation.mape_percent < 10
    assert "4 converted units compute what their graphs say" in capsys.readouterr().err
    clocks = {clock for one in records(out) if one["what"] == "measured" for clock in one["samples_ms"]}
    assert {"wall", "device"} <= clocks
    load(out)
    assert "simulated" in capsys.readouterr().err


@pytest.mark.parametrize(
    "faults",
    [
        "all execute 60: crash",
        "all execute 60: reboot 1",
        "all execute 60: 507011",
        "all load 9: 507033 EL0004",
        "all load 9: oom",
    ],
)
def test_a_board_that_fails_in_the_middle_serves_to_the_end(server, tmp_path, prior, faults):
    out = tmp_path / "atlas.json"
    lut = build(board(server, faults), SPACE, out, seed=0, resume=False, method=Method("hybrid", 10, prior))
    assert lut.complete
    assert measured_once(out)
    assert (lut.table.method.restarts > 0) == ("oom" not in faults)


def test_a_cable_pulled_in_the_middle(server, tmp_path, prior):
    """Every SSH session is killed when some networks are measured; the build reconnects and measures nothing twice."""
    out = tmp_path / "atlas.json"

    def pull():
        until_s = time.monotonic() + 60
        while time.monotonic() < until_s:
            if journal_path(out).exists() and journal_path(out).read_bytes().count(b"\n") > 12:
                server.cut()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=pull)
    thread.start()
    lut = build(board(server), SPACE, out, seed=0, resume=False, method=Method("hybrid", 10, prior))
    thread.join()
    assert lut.complete
    assert measured_once(out)
    assert lut.table.method.restarts > 0


def test_a_disk_that_fills_up_in_the_middle(server, small_disk, tmp_path, prior):
    """Another program fills the board's disk when some networks are measured: one line, and later --resume."""
    out, filling = tmp_path / "atlas.json", small_disk / "filling"
    device = board(server).model_copy(update={"folder": str(small_disk)})
    over = threading.Event()

    def fill():
        while not (journal_path(out).exists() and journal_path(out).read_bytes().count(b"\n") > 12):
            if over.wait(0.01):
                return
        with filling.open("ab", buffering=0) as file:
            while not over.wait(0.001):  # what the build frees of its own is taken as well
                with suppress(OSError):
                    file.write(bytes(1 << 12))

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        with pytest.raises(DeviceError, match=r"No space left on device.*what was measured is kept"):
            build(device, SPACE, out, seed=0, resume=False, method=Method("hybrid", 10, prior))
    finally:
        over.set()
        thread.join()
    filling.unlink()
    lut = build(device, SPACE, out, seed=0, resume=True, method=Method("hybrid", 10, prior))
    assert lut.complete
    assert measured_once(out)


def test_a_wrong_conversion_is_not_timed(server, tmp_path, prior):
    device = board(server, "outputs: wrong")
    with pytest.raises(DeviceError, match=r"outputs are off by .* conversion is wrong"):
        build(device, SPACE, tmp_path / "atlas.json", seed=0, resume=False, method=Method("hybrid", 10, prior))


def test_a_board_with_another_chip_is_refused(server, tmp_path, prior):
    device = board(server, "soc: Ascend310P3")
    with pytest.raises(DeviceError, match=r"500002.*for this chip"):
        build(device, SPACE, tmp_path / "atlas.json", seed=0, resume=False, method=Method("hybrid", 10, prior))


def test_the_doctor_walks_to_the_board(server):
    findings = list(examine(board(server), 2))
    words = "\n".join(finding.what for finding in findings)
    for expected in ("host key is known", "Python 3", "`import acl` works", "SIMULATED", "a first unit is converted"):
        assert expected in words
    broken = list(examine(board(server).model_copy(update={"set_env": "/nowhere/set_env.sh"}), 2))
    assert not broken[-1].good
    assert broken[-1].remedy


def test_the_emulator_needs_no_board(tmp_path, monkeypatch, prior):
    monkeypatch.setenv("ASCEND_EMULATOR_TIME_FACTOR", "0.02")
    lut = build(find("atlas-emulator"), SPACE, tmp_path / "e.json", 0, False, method=Method("hybrid", 10, prior))
    assert lut.device.simulated
    assert lut.device.runtime_options["emulator"]
    model = tmp_path / "m.onnx"
    from mosegnet.onnx_graph import network_model

    model.write_bytes(network_model(SPACE.decode(SPACE.smallest())))
    command = [sys.executable, "-m", "profiler.cli", "measure", "--device", "atlas-emulator", str(model), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)[0]["latency_ms"]
    assert found == pytest.approx(lut.predict(SPACE.smallest())[0], rel=0.3)
