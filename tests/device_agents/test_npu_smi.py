"""Telemetry of Ascend boards: three tables, a list, and everything optional."""

import os

import pytest

from device_agents import emulator, npu_smi, telemetry
from device_agents.emulator import npu_smi_tables

COMMON = {
    "npu_memory_percent": 65,
    "npu_load_percent": 12,
    "npu_frequency_max_mhz": 680,
    "npu_frequency_mhz": 650,
    "npu_temperature_c": 51,
    "npu_rated_power_w": 12.8,
}


def board(root, script):
    """A board whose npu-smi is this shell script."""
    path = root / "usr/local/sbin/npu-smi"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return str(root)


@pytest.mark.parametrize(("version", "used", "total"), [(21, 5324, 8192), (22, 5745, 7757), (23, 5745, 7757)])
def test_tables_of_all_drivers(version, used, total):
    assert npu_smi.parse_table(npu_smi_tables.table(version)) == {
        "npu_name": "310",
        "npu_health": "OK",
        "npu_rated_power_w": 12.8,
        "npu_temperature_c": 51,
        "npu_load_percent": 0,
        "npu_memory_used_mb": used,
        "npu_memory_mb": total,
    }


def test_fields_that_are_not_available_are_absent():
    table = npu_smi_tables.table(22).replace("12.8 ", "NA ").replace("| OK ", "| Alarm ").replace("51 ", "NA ")
    readings = npu_smi.parse_table(table)
    assert "npu_rated_power_w" not in readings
    assert "npu_temperature_c" not in readings
    assert readings["npu_health"] == "Alarm"
    assert npu_smi.parse_list("Temperature(C) : NA\nAicore Usage Rate(%) : 239\nsomething else : 5\n") == {}
    assert npu_smi.parse_list("NPU Real-time Power(W) : 6.4\n") == {"npu_power_w": 6.4}
    for text in ("", "no table\n", "| 0 310 | OK |\n", "| 0 310 | OK | 1 2 |\n"):
        assert npu_smi.parse_table(text) == {}


@pytest.mark.parametrize("can", ["common", "21", "22", "23"])
def test_reads_the_stand_in(monkeypatch, can):
    monkeypatch.setenv("PATH", emulator.BIN + os.pathsep + os.environ["PATH"])
    monkeypatch.setenv("ASCEND_EMULATOR_NPU_SMI", can)
    if npu_smi.find("/") != os.path.join(emulator.BIN, "npu-smi"):
        pytest.skip("this machine has an npu-smi of its own")
    readings = npu_smi.read()
    raw = readings.pop("npu_smi")
    if can == "common":
        assert readings == COMMON
        assert "Chip Count" in raw
    else:
        assert readings["npu_temperature_c"] == 51
        assert "npu-smi " + can in raw
    monkeypatch.setenv("ASCEND_EMULATOR_NPU_SMI", "none")
    assert npu_smi.read() == {}


def test_the_list_is_completed_by_the_table(tmp_path):
    script = 'if [ "$2" = -t ]; then echo "Aicore curFreq(MHZ) : 500"; else cat "$0.table"; fi\n'
    root = board(tmp_path, script)
    (tmp_path / "usr/local/sbin/npu-smi.table").write_text(npu_smi_tables.table(22))
    readings = npu_smi.read(root)
    assert readings["npu_frequency_mhz"] == 500
    assert readings["npu_temperature_c"] == 51


@pytest.mark.parametrize("script", ["exit 1\n", "printf '\\377\\376garbage'\n", "kill -9 $$\n"])
def test_a_board_that_answers_nonsense_costs_nothing(tmp_path, script):
    readings = npu_smi.read(board(tmp_path, script))
    assert set(readings) <= {"npu_smi"}


def test_a_hung_npu_smi_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(npu_smi, "_TIMEOUT_S", 0.2)
    assert npu_smi.read(board(tmp_path, "exec sleep 60\n")) == {}


def test_telemetry_has_it_with_the_rest(tmp_path):
    root = board(tmp_path, 'echo "Temperature(C) : 47"\n')
    assert telemetry.read(root)["npu_temperature_c"] == 47


def test_no_command_is_run_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(npu_smi, "_run", lambda command: pytest.fail(f"ran {command}"))
    assert npu_smi.read(str(tmp_path)) == {}
