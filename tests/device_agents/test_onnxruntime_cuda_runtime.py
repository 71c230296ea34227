"""ONNX Runtime's GPU providers: conformance on the real library with a card feigned, and every fall-back a fault."""

import json
import types

import onnxruntime
import pytest
from handmade_models import conv_case, conv_model, typed_model
from onnx import TensorProto

from device_agents import profiling, runtimes, standins
from device_agents.conformance import RuntimeConformance
from device_agents.faults import Fault

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class Binding:
    """What the runtime calls of an IOBinding, on values that claim to lie on a card."""

    def __init__(self, session):
        self.session, self.feed, self.names, self.outputs = session, {}, [], None

    def bind_ortvalue_input(self, name, value):
        assert isinstance(value, Value)
        self.feed[name] = value.array

    def bind_output(self, name, device, device_id):
        assert device == "cuda"
        self.names.append(name)

    def copy_outputs_to_cpu(self):
        return self.outputs


class Value:
    def __init__(self, array):
        self.array = array

    @classmethod
    def ortvalue_from_numpy(cls, array, device, device_id):
        assert (device, device_id) == ("cuda", 0)
        return cls(array)


class Session(onnxruntime.InferenceSession):
    """The processor's session, which says that it is the card's; `host_ops` are nodes that it says ran on the host."""

    chosen = (CUDA, CPU)
    host_ops = ()
    given = None

    def __init__(self, data, options, providers):
        Session.given = providers
        super().__init__(data, options, providers=[CPU])

    def get_providers(self):
        return list(self.chosen)

    def io_binding(self):
        return Binding(self)

    def run_with_iobinding(self, binding):
        binding.outputs = self.run(binding.names, binding.feed)

    def end_profiling(self):
        path = super().end_profiling()
        with open(path) as file:
            events = json.load(file)
        for event in events:
            if event.get("args", {}).get("provider") == CPU and event["args"]["op_name"] not in self.host_ops:
                event["args"]["provider"] = CUDA
        with open(path, "w") as file:
            json.dump(events, file)
        return path


@pytest.fixture
def card(monkeypatch):
    """onnxruntime as on a host with a card."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["TensorrtExecutionProvider", CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "OrtValue", Value)
    monkeypatch.setattr(Session, "chosen", (CUDA, CPU))
    monkeypatch.setattr(standins, "nvml", types.SimpleNamespace)


@pytest.mark.usefixtures("card")
class TestConformance(RuntimeConformance):
    def make_runtime(self):
        runtime = runtimes.create("onnxruntime-cuda", {})
        assert not isinstance(runtime, Fault), runtime
        return runtime

    def make_model(self):
        return conv_case()

    def make_unfit(self):
        bad = [{"provider": "rocm"}, {"precision": "int8"}, {"device": -1}, {"device": "first"}]
        return [runtimes.create("onnxruntime-cuda", options) for options in bad]


def test_the_package_of_this_host_has_no_cuda_provider():
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this host's onnxruntime is built for a card")
    for provider in ("cuda", "tensorrt"):
        fault = runtimes.create("onnxruntime-cuda", {"provider": provider})
        assert fault.kind == "runtime"
        assert "onnxruntime-gpu" in fault.detail


def test_a_provider_that_does_not_load_is_a_fault_and_no_number(card, monkeypatch):
    """The package knows CUDA, its libraries are missing: ONNX Runtime warns and goes on with the processor."""
    monkeypatch.setattr(Session, "chosen", (CPU,))
    fault = runtimes.create("onnxruntime-cuda", {}).load(conv_model())
    assert isinstance(fault, Fault)
    assert f"the runtime chose {CPU}" in fault.detail


def test_a_real_fall_back_is_found(monkeypatch):
    """Nothing feigned but the list of providers: the real session falls back, as on a host without libraries."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    runtime = runtimes.create("onnxruntime-cuda", {})
    for fault in (runtime.load(conv_model()), runtime.profile(conv_model(), 1, 1, lambda: None)):
        assert isinstance(fault, Fault)


def test_a_node_that_falls_back_is_a_fault(card, monkeypatch):
    monkeypatch.setattr(Session, "host_ops", ("Conv",))
    fault = runtimes.create("onnxruntime-cuda", {}).load(conv_model())
    assert isinstance(fault, Fault)
    assert f"(Conv) ran on {CPU}" in fault.detail


def test_convolutions_of_another_precision_are_a_fault(card):
    fault = runtimes.create("onnxruntime-cuda", {"precision": "fp16"}).load(conv_model())
    assert isinstance(fault, Fault)
    assert "fp16 was asked for" in fault.detail


def test_inputs_that_cannot_be_made_are_a_fault(card):
    runtime = runtimes.create("onnxruntime-cuda", {})
    for data in (typed_model(TensorProto.INT64, (1, 2)), typed_model(TensorProto.FLOAT, ("batch", 2))):
        assert "'x'" in runtime.load(data).detail


def test_the_tensorrt_provider_keeps_its_engines(card, monkeypatch, tmp_path):
    monkeypatch.setattr(Session, "chosen", ("TensorrtExecutionProvider", CPU))
    runtime = runtimes.create("onnxruntime-cuda", {"provider": "tensorrt", "cache_dir": str(tmp_path / "kept")})
    assert "ran on CUDAExecutionProvider" in runtime.load(conv_model()).detail  # a part that TensorRT left over
    ((name, options),) = Session.given
    assert name == "TensorrtExecutionProvider"
    assert options["trt_engine_cache_path"] == str(tmp_path / "kept")
    assert (tmp_path / "kept").is_dir()


def test_shapes_and_constants_may_run_anywhere(tmp_path):
    def node(name, op, provider):
        return {"cat": "Node", "name": name + "_kernel_time", "dur": 1, "args": {"op_name": op, "provider": provider}}

    path = tmp_path / "profile.json"
    path.write_text(
        json.dumps(
            [node("s", "Shape", CPU), node("c", "Conv", CUDA), node("r", "Resize", CPU), node("r", "Resize", CPU)]
        )
    )
    assert profiling.strays(str(path), CUDA, ("Shape",)) == [f"r (Resize) ran on {CPU}"]
