"""The runtime for Ascend devices, on a strict stand-in for acl."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from ascend_board import HELLO, NEW, OLD, Board, fresh_acl, om
from handmade_models import conv_case, conv_model

from device_agents import runtimes
from device_agents.conformance import RuntimeConformance
from device_agents.emulator import convert
from device_agents.faults import Fault, FaultError
from device_agents.runtimes import acl_calls, acl_memory
from device_agents.runtimes.acl_calls import AclError, Calls
from device_agents.timing import Rule, measure


class Conformance(RuntimeConformance):
    tolerance = 3e-3  # half precision in and out
    cann = OLD

    @pytest.fixture(autouse=True)
    def _board(self, monkeypatch):
        self.acl = fresh_acl(monkeypatch, cann=self.cann)

    def make_runtime(self):
        runtime = runtimes.create("acl", {})
        assert not isinstance(runtime, Fault), runtime
        return runtime

    def make_model(self):
        return (om(), *conv_case()[1:])

    def make_unfit(self):
        options = [{"device_id": bad} for bad in (-1, "0", 1.0, True)] + [{"soc": 310}]
        return [runtimes.create("acl", option) for option in options]

    def test_gives_everything_back(self):
        runtime = self.make_runtime()
        one, _ = runtime.load(om()), runtime.load(om(8))
        one.close()
        assert runtime.close() is None  # acl counts what is left
        assert isinstance(runtime.load(om()), Fault)
        assert runtimes.create("acl", {}).kind == "runtime"


class TestOldBoard(Conformance):
    pass


class TestNewBoard(Conformance):
    cann = NEW

    def make_unfit(self):
        return [*super().make_unfit(), runtimes.create("acl", {"soc": "Ascend310P3"})]


@pytest.fixture
def board(monkeypatch):
    return fresh_acl(monkeypatch, cann=NEW)


def test_says_what_it_is_and_that_it_is_not_real(board):
    description = runtimes.create("acl", {"soc": "Ascend310"}).describe()
    assert description["soc"] == "Ascend310"
    assert description["run_mode"] == "device"
    assert description["simulated"] is True
    assert description["emulator"]["time_factor"] == 0
    assert description["version"] == NEW


def test_a_real_board_is_not_called_simulated(board, monkeypatch):
    monkeypatch.delattr(board, "__emulator__")
    assert "simulated" not in runtimes.create("acl", {}).describe()


def test_version_comes_from_the_installation(board, monkeypatch, tmp_path):
    (tmp_path / "aarch64-linux").mkdir()
    info = tmp_path / "aarch64-linux" / "ascend_toolkit_install.info"
    info.write_text("package_name=Ascend-cann-toolkit\nversion=5.1.RC2.alpha008\ninnerversion=V1\n")
    monkeypatch.setenv("ASCEND_TOOLKIT_HOME", str(tmp_path))
    assert runtimes.create("acl", {}).describe()["version"] == "5.1.RC2.alpha008"


def test_without_acl_says_what_to_do():
    code = "from device_agents import runtimes; print(runtimes.create('acl', {}).detail)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "set_env.sh" in done.stdout


def test_both_clocks_are_kept_and_tell_different_things(monkeypatch):
    fresh_acl(monkeypatch, time_factor=1)
    model = runtimes.create("acl", {}).load(om(64))
    result = measure(model, Rule(target=0.5, floor=5, cap=5), "wall", lambda: None)
    wall, device = (np.median(result["samples_ms"][clock]) for clock in ("wall", "device"))
    assert 0 < device < wall  # the host's part is not on the device


def test_events_in_the_wrong_order_are_a_clock_fault(board, monkeypatch):
    model = runtimes.create("acl", {}).load(om())
    monkeypatch.setattr(board.rt, "event_elapsed_time", lambda start, end: (-1.0, 0))
    assert measure(model, Rule(), "wall", lambda: None).kind == "clock"


@pytest.mark.parametrize("broken", ["create_event_with_flag", "record_event", "event_elapsed_time"])
def test_a_board_whose_events_do_not_work_has_the_hosts_clock(board, monkeypatch, broken):
    codes = {"create_event_with_flag": (0, 207000), "record_event": 507000, "event_elapsed_time": (0.0, 507000)}
    monkeypatch.setattr(board.rt, broken, lambda *args: codes[broken])
    runtime = runtimes.create("acl", {})
    assert list(runtime.describe()["clocks"]) == ["wall"]
    result = measure(runtime.load(om()), Rule(target=0.5, floor=3, cap=3), "wall", lambda: None)
    assert "device" not in result["samples_ms"]
    assert len(result["samples_ms"]["wall"]) == 3
    assert runtime.close() is None


def test_wrong_inputs_are_said(board):
    model = runtimes.create("acl", {}).load(om())
    with pytest.raises(ValueError, match="inputs are x, not z"):
        model.infer({"z": [1.0]})
    with pytest.raises(ValueError, match="cannot reshape 1 values"):
        model.infer({"x": [1.0]})


def test_half_precision_inputs_and_outputs(board):
    x = np.linspace(-2, 2, 256)
    model = runtimes.create("acl", {}).load(om(output_fp16=True, fp16_inputs=("x",)))
    whole = runtimes.create("acl", {}).load(om())
    assert model.infer({"x": x.tolist()})["y"] == pytest.approx(whole.infer({"x": x.tolist()})["y"], abs=1e-6)


def test_a_wrong_conversion_gives_other_outputs(monkeypatch, tmp_path):
    x = {"x": [0.5] * 256}
    fresh_acl(monkeypatch)
    right = runtimes.create("acl", {}).load(om()).infer(x)["y"]
    (tmp_path / "faults").write_text("outputs: wrong\n")
    fresh_acl(monkeypatch, faults=tmp_path / "faults")
    wrong = runtimes.create("acl", {}).load(om()).infer(x)["y"]
    assert wrong != pytest.approx(right, rel=0.05)


@pytest.mark.parametrize("lacking", [(), ("util.bytes_to_ptr", "util.ptr_to_bytes")])
@pytest.mark.parametrize("has_ctypes", [True, False])
def test_copies_with_whatever_there_is(board, monkeypatch, lacking, has_ctypes):
    for name in lacking:
        monkeypatch.delattr(board.util, name.split(".")[1])
    runtimes.create("acl", {})
    calls = Calls(board)
    copies = acl_memory.Copies(calls, True)
    if not has_ctypes:  # as in a Python that was built without libffi
        hide_ctypes(monkeypatch)
    pointer = calls.get("rt.malloc", 1000, acl_calls.MALLOC_HUGE_FIRST)
    data = bytes(range(250)) * 4
    copies.to_device(pointer, data)
    assert copies.from_device(pointer, 1000) == data
    calls.do("rt.free", pointer)


def hide_ctypes(monkeypatch):
    """Imports of ctypes by the runtime fail; the stand-in has its own already."""
    import builtins

    real = builtins.__import__

    def no_ctypes(name, globals_=None, *rest):
        if name == "ctypes" and (globals_ or {}).get("__name__", "").startswith("device_agents.runtimes"):
            raise ImportError(name)
        return real(name, globals_, *rest)

    monkeypatch.setattr(builtins, "__import__", no_ctypes)


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (207001, None, "memory"), (207018, None, "memory"), (245000, None, "memory"), (200000, None, "memory"),
        (507033, "EL0004: Failed to allocate memory.", "memory"), (507033, None, "device"), (507011, None, "device"),
        (507015, "x", "device"), (507018, None, "device"), (507899, None, "device"), (507901, None, "device"),
        (500003, None, "device"), (500004, None, "device"), (500002, "E10001", "load"), (145006, None, "load"),
        (145002, None, "load"), (545002, None, "load"), (107001, None, "load"), (100000, None, "load"),
    ],
)  # fmt: skip
def test_codes_become_kinds(code, message, kind):
    fault = AclError("mdl.load_from_file", code, message).fault("load")
    assert fault.kind == kind
    assert str(code) in fault.detail
    assert (message or "") in fault.detail


def test_the_message_is_read_once_right_after_the_failure():
    said = []
    acl = SimpleNamespace(
        rt=SimpleNamespace(malloc=lambda size, policy: (0, 207001)),
        get_recent_err_msg=lambda: said.append(1) or "EL0004: none left",
    )
    with pytest.raises(AclError, match="none left"):
        Calls(acl).get("rt.malloc", 5, 0)
    assert said == [1]


def test_after_a_device_fault_nothing_goes_on(monkeypatch, tmp_path):
    (tmp_path / "faults").write_text("execute 2: 507011\n")
    fresh_acl(monkeypatch, cann=NEW, faults=tmp_path / "faults")
    runtime = runtimes.create("acl", {})
    model = runtime.load(om())
    model.run()
    with pytest.raises(FaultError) as raised:
        model.run()
    assert raised.value.fault.kind == "device"
    assert "507011" in raised.value.fault.detail
    fault = runtime.load(om())
    assert fault.kind == "device"
    assert "507011" in fault.detail


def test_failure_of_an_asynchronous_run_comes_with_the_synchronization(monkeypatch, tmp_path):
    (tmp_path / "faults").write_text("execute 1: 507015\n")
    fresh_acl(monkeypatch, cann=NEW, faults=tmp_path / "faults")
    model = runtimes.create("acl", {}).load(om())
    with pytest.raises(FaultError, match=r"rt\.synchronize_stream returned 507015"):
        model.run_by_events()


@pytest.mark.parametrize("failing", range(1, 4))
def test_out_of_memory_leaves_nothing_behind(monkeypatch, tmp_path, failing):
    """At whatever step it happens: the load, or the memory of the input or the output."""
    (tmp_path / "faults").write_text("load 1: oom\n" if failing == 3 else f"malloc {failing}: oom\n")
    acl = fresh_acl(monkeypatch, faults=tmp_path / "faults")
    runtime = runtimes.create("acl", {})
    free = acl.rt.get_mem_info(0)[0]
    fault = runtime.load(om())
    assert fault.kind == "memory"
    assert acl.rt.get_mem_info(0)[0] == free
    model = runtime.load(om())
    assert not isinstance(model, Fault), "and the next model is as welcome as ever"
    model.close()
    assert runtime.close() is None


def test_a_board_whose_memory_is_too_small_says_so(monkeypatch):
    fresh_acl(monkeypatch, memory_mb=1)
    big = convert.convert(conv_model(64, 256), "Ascend310", OLD)[0]
    assert runtimes.create("acl", {}).load(big).kind == "memory"


def test_the_first_fault_of_the_device_is_the_one_told(monkeypatch, tmp_path):
    (tmp_path / "faults").write_text("set_device 1: 507033 EL0004: Failed to allocate memory.\n")
    fresh_acl(monkeypatch, cann=NEW, faults=tmp_path / "faults")
    assert runtimes.create("acl", {}).kind == "memory"
    assert "new one" in runtimes.create("acl", {}).detail


def test_no_such_device(monkeypatch):
    fresh_acl(monkeypatch)
    fault = runtimes.create("acl", {"device_id": 3})
    assert fault.kind == "runtime"
    assert "107001" in fault.detail


def test_wrong_chip_and_newer_converter_are_load_faults(monkeypatch):
    fresh_acl(monkeypatch, cann=NEW)
    runtime = runtimes.create("acl", {})
    wrong = runtime.load(om(soc="Ascend310P3"))
    assert wrong.kind == "load"
    assert "soc version is not support" in wrong.detail
    newer = runtime.load(om(cann="9.0.0"))
    assert newer.kind == "load"
    assert "opp version" in newer.detail
    assert not isinstance(runtime.load(om()), Fault)


def test_one_process_keeps_to_one_device(monkeypatch):
    fresh_acl(monkeypatch, devices=2)
    assert not isinstance(runtimes.create("acl", {"device_id": 1}), Fault)
    assert "device 1" in runtimes.create("acl", {"device_id": 0}).detail


def test_description_is_plain_json_over_the_agent():
    board = Board()
    hello = board.ask("hello", **HELLO)
    assert json.loads(json.dumps(hello)) == hello
    assert hello["runtime"]["simulated"] is True
    assert hello["clock"] == "device"
    assert board.end()[0] == 0
