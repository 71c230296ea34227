import pytest

from profiler import gpu

FIT = {
    "gpu_driver": "580.00", "gpu_persistence": True, "gpu_temperature_c": 50, "gpu_reasons": [],
    "gpu_other_processes": 0, "gpu_sm_clock_mhz": 1410, "gpu_sm_clock_max_mhz": 1980, "gpu_energy_mj": 5,
}  # fmt: skip


def bad(telemetry):
    return [finding for finding in gpu.findings(telemetry) if not finding.good]


def test_a_fit_card_has_no_remedy_to_take():
    assert len(gpu.findings(FIT)) == 7
    assert bad(FIT) == []


@pytest.mark.parametrize(
    ("change", "what", "remedy"),
    [
        ({"gpu_persistence": False}, "persistence mode: off", "nvidia-smi -pm 1"),
        ({"gpu_other_processes": 2}, "other processes on the card: 2", "stop them"),
        ({"gpu_sm_clock_mhz": 1970}, "1970 MHz of 1980 MHz", "nvidia-smi -lgc 1485"),
        ({"gpu_reasons": ["sw_power_cap", "hw_thermal_slowdown"]}, "sw_power_cap, hw_thermal_slowdown", "-lgc"),
        ({"gpu_reasons": ["hw_power_brake_slowdown"]}, "hw_power_brake_slowdown", "power supply"),
        ({"gpu_temperature_c": 90}, "90", "cool"),
    ],
)
def test_each_fault_has_its_remedy(change, what, remedy):
    (finding,) = bad({**FIT, **change})
    assert what in finding.what
    assert remedy in finding.remedy


def test_an_idle_card_is_not_blamed_for_its_clocks():
    assert bad({**FIT, "gpu_sm_clock_mhz": 210, "gpu_reasons": ["gpu_idle", "applications_clocks_setting"]}) == []


def test_clocks_as_set_are_good_even_at_the_top():
    assert bad({**FIT, "gpu_sm_clock_mhz": 1980, "gpu_sm_clock_application_mhz": 1980}) == []


def test_power_alone_gives_energy_and_silence_gives_nothing():
    assert "samples of power" in gpu.findings({"gpu_power_w": 80.0})[0].what
    assert gpu.findings({"load_1min": 0.1}) == []


def test_a_card_that_cannot_be_asked_is_one_finding():
    (finding,) = gpu.findings({"gpu_fault": "libnvidia-ml.so.1 cannot be loaded"})
    assert not finding.good
    assert "nvidia-smi" in finding.remedy


def test_software_is_told():
    hello = {"cuda_runtime": "13.0", "cuda_driver": "13.0", "tensorrt": "11.4", "gpu": "A card", "tf32": True}
    assert [finding.good for finding in gpu.software(hello)] == [True, True, True]
    (older, *_) = gpu.software({**hello, "cuda_driver": "12.4"})
    assert not older.good
    assert "newer driver" in older.remedy
    assert not gpu.software({**hello, "simulated": True})[-1].good
    assert gpu.software({"name": "onnxruntime"}) == []
