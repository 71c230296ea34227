import pytest
from handmade_models import conv_case, conv_model, typed_model
from onnx import TensorProto

from device_agents import runtimes
from device_agents.conformance import RuntimeConformance
from device_agents.faults import Fault


class TestConformance(RuntimeConformance):
    def make_runtime(self):
        runtime = runtimes.create("onnxruntime", {"threads": 1})
        assert not isinstance(runtime, Fault), runtime
        return runtime

    def make_model(self):
        return conv_case()

    def make_unfit(self):
        return [runtimes.create("onnxruntime", {"threads": bad}) for bad in (0, -1, "two", 1.5)]


@pytest.mark.parametrize(("threads", "clock"), [(1, "thread_cpu"), (2, "wall")])
def test_clock_follows_the_threads(threads, clock):
    runtime = runtimes.create("onnxruntime", {"threads": threads})
    assert runtime.clock == clock
    assert runtime.describe()["threads"] == threads


@pytest.mark.parametrize(
    ("dtype", "shape"), [(TensorProto.INT64, (1, 2)), (TensorProto.FLOAT, ("batch", 2)), (TensorProto.FLOAT16, (1, 2))]
)
def test_inputs_that_cannot_be_made_are_a_fault(dtype, shape):
    fault = runtimes.create("onnxruntime", {}).load(typed_model(dtype, shape))
    assert isinstance(fault, Fault)
    assert "'x'" in fault.detail


def test_an_unknown_runtime_is_a_fault():
    fault = runtimes.create("tpu", {})
    assert fault.kind == "runtime"
    assert "onnxruntime" in fault.detail


def test_a_provider_chosen_behind_our_back_is_a_fault(monkeypatch):
    import onnxruntime

    runtime = runtimes.create("onnxruntime", {})
    monkeypatch.setattr(onnxruntime.InferenceSession, "get_providers", lambda self: ["OtherExecutionProvider"])
    fault = runtime.load(conv_model())
    assert isinstance(fault, Fault)
    assert "OtherExecutionProvider" in fault.detail


def test_profiled_nodes_carry_the_graphs_names():
    found = runtimes.create("onnxruntime", {}).profile(conv_model(), 2, 4, lambda: None)
    assert any(node["op"] == "Conv" for node in found["nodes"])
    for run, total_ms in enumerate(found["total_ms"]):
        assert sum(node["ms"][run] for node in found["nodes"]) <= total_ms
