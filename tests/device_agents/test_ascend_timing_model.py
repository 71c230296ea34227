"""The timing model of the Ascend 310: what it must share with the real one, whatever its parameters."""

import json
import time

import numpy as np
import pytest
from ascend_board import fresh_acl
from hypothesis import given
from hypothesis import strategies as st

from device_agents import emulator
from device_agents.emulator import convert, passing
from device_agents.emulator.onnx_operators import read
from device_agents.emulator.timing_model import Parameters, TimingModel, kernels
from mosegnet import onnx_graph, space
from mosegnet.graph import operators
from mosegnet.unit import LayerUnit

FILE = emulator.FOLDER + "/ascend310.json"
PARAMETERS = Parameters(FILE)
MODEL = TimingModel(PARAMETERS)


def conv(channels, out, height, width, kernel=1, stride=1):
    """The definition of a convolution alone, without its boundaries."""
    shape = {"x": [1, channels, height, width], "y": [1, out, height // stride, width // stride]}
    shape["w"] = [out, channels, kernel, kernel]
    operator = {
        "name": "c", "op": "Conv", "inputs": ["x"], "outputs": ["y"], "shapes": shape, "weights": ["w"],
        "kernel": [kernel] * 2, "stride": [stride] * 2, "group": 1, "mode": "",
    }  # fmt: skip
    return kernels([operator])[0]


def read_model(data):
    return read(data, {}, (9, 13))


@pytest.fixture(scope="module")
def networks():
    """(definition, multiply-adds) of some networks of the paper's space."""
    paper = space.load("paper")
    found = []
    for encoding in paper.sample(12, np.random.default_rng(0)):
        architecture = paper.decode(encoding)
        macs = sum(op.macs for unit in architecture.units for op in operators(unit))
        found.append((read_model(onnx_graph.network_model(architecture)), macs, architecture))
    return found


def test_every_parameter_has_a_unit_and_a_source():
    with open(FILE) as file:
        for name, entry in json.load(file).items():
            assert set(entry) == {"value", "unit", "source"}, name
            assert entry["source"].startswith("chosen") or any(
                word in entry["source"] for word in ("vendor", "ACL", "CANN", "peak")
            ), name


def test_peak_is_that_of_the_chip():
    macs_per_s = PARAMETERS.cores * PARAMETERS.cube_edge**3 * PARAMETERS.clock_ghz * 1e9
    assert 2 * macs_per_s == pytest.approx(11e12, rel=0.01)


sizes = st.integers(1, 300)


@given(sizes, sizes, st.integers(4, 64), st.sampled_from([1, 3]), st.integers(1, 64))
def test_more_work_never_takes_less_time(channels, out, height, kernel, more):
    base = MODEL.kernel_ms(conv(channels, out, height, height, kernel))
    assert MODEL.kernel_ms(conv(channels + more, out, height, height, kernel)) >= base
    assert MODEL.kernel_ms(conv(channels, out + more, height, height, kernel)) >= base
    assert MODEL.kernel_ms(conv(channels, out, height + more, height, kernel)) >= base


@given(st.integers(0, 15), st.integers(0, 15), st.integers(1, 15), st.integers(1, 15))
def test_channels_of_a_block_cost_alike(block, other, a, b):
    times = {MODEL.kernel_ms(conv(16 * block + x, 16 * other + y, 32, 32, 3)) for x in (a, 16) for y in (b, 16)}
    assert len(times) == 1
    assert MODEL.kernel_ms(conv(16 * block + 17, 16 * other + 1, 64, 64, 3)) > times.pop()


def test_wide_layers_use_the_cube_better_than_narrow_ones():
    def ms_per_mac(channels):
        kernel = conv(channels, channels, 64, 128, 3)
        return MODEL.kernel_ms(kernel) / (channels**2 * 9 * 64 * 128)

    assert ms_per_mac(16) > 2 * ms_per_mac(64) > 2 * ms_per_mac(512)


def test_large_maps_of_few_channels_are_bound_by_memory():
    cheap = MODEL.kernel_ms(conv(16, 16, 512, 1024))
    assert cheap == pytest.approx(MODEL.kernel_ms(conv(16, 16, 512, 1024)), rel=1e-9)
    slow = Parameters(FILE)
    slow.ddr_gb_s = PARAMETERS.ddr_gb_s / 2
    assert TimingModel(slow).kernel_ms(conv(16, 16, 512, 1024)) > 1.8 * cheap
    assert TimingModel(slow).kernel_ms(conv(512, 512, 64, 128, 3)) == MODEL.kernel_ms(conv(512, 512, 64, 128, 3))


def test_networks_take_as_long_as_on_such_a_chip(networks):
    large = [MODEL.device_ms(definition) for definition, _, a in networks if a.input_hw == (1024, 2048)]
    assert 100 < min(large) < max(large) < 400


def test_latency_is_not_flops(networks):
    per_mac = [MODEL.device_ms(definition) / macs for definition, macs, _ in networks]
    assert max(per_mac) > 1.3 * min(per_mac)


def test_a_network_takes_less_than_its_units_alone(networks):
    """Layouts are converted at its ends only, and small tensors stay on the chip."""
    for definition, _, architecture in networks[:3]:
        alone = sum(MODEL.device_ms(read_model(onnx_graph.unit_model(unit))) for unit in architecture.units)
        assert alone > 1.2 * MODEL.device_ms(definition)


def test_a_layer_is_three_kernels():
    """Each ReLU goes into the conv before it, and so does the sum."""
    unit = LayerUnit(height=32, width=64, channels_in=64, middle=32, channels=64, stride=1, projection=False)
    fused = kernels(read_model(onnx_graph.unit_model(unit))["operators"])
    assert [kernel.first["op"] for kernel in fused] == ["Conv"] * 3
    assert [op["op"] for op in fused[2].absorbed] == ["Add", "Relu"]
    assert fused[2].output == "y"


def test_a_tensor_that_two_read_is_written():
    unit = LayerUnit(height=32, width=64, channels_in=64, middle=32, channels=128, stride=1, projection=True)
    fused = kernels(read_model(onnx_graph.unit_model(unit))["operators"])
    assert sum(kernel.first["op"] == "Conv" for kernel in fused) == 4
    assert sum(len(kernel.absorbed) for kernel in fused) == 4
    produced = set()
    for kernel in fused:  # nothing is read before it is there
        assert all(name in produced or name == "x0" for name in kernel.inputs)
        produced.add(kernel.output)


def test_runs_are_warm_after_some_and_noisy_for_ever():
    times = passing.Passing(PARAMETERS, "0", 0)
    runs = [times.run_ms(10.0, run) for run in range(400)]
    assert runs[0] > 1.4 * np.median(runs)
    assert np.median(runs[5:]) == pytest.approx(10.0, rel=0.01)
    assert 0.002 < np.subtract(*np.percentile(runs[5:], [75, 25])) / 10 / 1.35 < 0.006
    again = passing.Passing(PARAMETERS, "0", 0)
    assert [again.run_ms(10.0, run) for run in range(400)] == runs
    assert passing.Passing(PARAMETERS, "1", 0).run_ms(10.0, 9) != runs[9]


def test_a_chip_at_work_grows_slower():
    times = passing.Passing(PARAMETERS, "0", 0)
    early = np.median([times.run_ms(100.0, 9) for _ in range(30)])
    for _ in range(3000):
        times.run_ms(100.0, 9)
    late = np.median([times.run_ms(100.0, 9) for _ in range(30)])
    assert late == pytest.approx(early * (1 + PARAMETERS.heat_slowdown), rel=0.004)


def test_time_passes_for_the_callers_clock(monkeypatch):
    """Never less than the model says; how much more is the machine's affair."""
    from device_agents import runtimes

    fresh_acl(monkeypatch, time_factor=1)
    unit = LayerUnit(height=64, width=128, channels_in=64, middle=64, channels=64, stride=1, projection=False)
    om, definition = convert.convert(onnx_graph.unit_model(unit), "Ascend310", "6.0.0")
    model = runtimes.create("acl", {}).load(om)
    expected_ms = MODEL.device_ms(definition) + 1e-3 * PARAMETERS.execute_host_us
    for _ in range(5):
        began = time.perf_counter()
        model.run()
        assert 1e3 * (time.perf_counter() - began) > 0.97 * expected_ms
    device = [model.run_by_events() for _ in range(9)]
    assert np.median(device) == pytest.approx(MODEL.device_ms(definition), rel=0.02)


def test_waiting_keeps_the_interpreters_lock_when_it_should():
    """As `acl.mdl.execute` does: other threads of the agent stand still."""
    from threading import Thread

    counts = []

    def counting():
        while not counts or counts[-1] < 1e9:
            if stop:
                return
            counts.append(len(counts))
            time.sleep(0.001)

    for hold in (True, False):
        stop: list[int] = []
        counts.clear()
        thread = Thread(target=counting)
        thread.start()
        time.sleep(0.01)
        before = len(counts)
        passing.wait(0.2, hold=hold)
        ran = len(counts) - before
        stop.append(1)
        thread.join()
        assert ran <= 3 if hold else ran > 3
