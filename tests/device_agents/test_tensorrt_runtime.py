"""The TensorRT agent on both stand-ins, and on this host as it is."""

import ast
import base64
import json
from pathlib import Path

import numpy as np
import pytest
from handmade_models import conv_case, conv_model, conv_weights, serialise, typed_model
from onnx import TensorProto, helper, numpy_helper

import device_agents
from device_agents import nvml, runtimes, standins
from device_agents.agent import PROTOCOL, Agent
from device_agents.conformance import RuntimeConformance
from device_agents.faults import Fault
from device_agents.runtimes import tensorrt_engines
from device_agents.standins import cuda_runtime, tensorrt_execution, tensorrt_module

REAL = json.loads((Path(__file__).parents[1] / "assets" / "gpu_library_names.json").read_text())
SOURCES = [
    Path(device_agents.__file__).parent / "cuda.py",
    *sorted((Path(device_agents.__file__).parent / "runtimes").glob("tensorrt_*.py")),
]


@pytest.fixture(params=["10", "11"])
def version(request, monkeypatch, tmp_path):
    monkeypatch.setenv(standins.VERSION, request.param)
    monkeypatch.setenv("HOME", str(tmp_path))  # engines are kept there
    return request.param


def create(**options):
    runtime = runtimes.create("tensorrt", options)
    assert not isinstance(runtime, Fault), runtime
    return runtime


def half_conv_model():
    """x (1, 4, 8, 8) → half → 1x1 conv → single → y."""
    weight, bias = (array.astype(np.float16) for array in conv_weights(4, 3))
    nodes = [
        helper.make_node("Cast", ["x"], ["x16"], to=TensorProto.FLOAT16),
        helper.make_node("Conv", ["x16", "w", "b"], ["y16"], name="conv", kernel_shape=[1, 1]),
        helper.make_node("Cast", ["y16"], ["y"], to=TensorProto.FLOAT),
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, c, 8, 8)) for name, c in (("x", 4), ("y", 3))
    )  # fmt: skip
    tensors = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")]
    return serialise(helper.make_graph(nodes, "half", [x], [y], tensors))


def computed_weights_model():
    """A conv whose weights are a ConstantOfShape, as profiling graphs have them."""
    one = helper.make_tensor("v", TensorProto.FLOAT, [1], [1])
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["w"], value=one),
        helper.make_node("Conv", ["x", "w"], ["y"], name="conv", kernel_shape=[1, 1]),
    ]  # fmt: skip
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, c, 8, 8)) for name, c in (("x", 4), ("y", 3))
    )  # fmt: skip
    shape = numpy_helper.from_array(np.array([3, 4, 1, 1], dtype=np.int64), "shape")
    return serialise(helper.make_graph(nodes, "computed", [x], [y], [shape]))


@pytest.mark.usefixtures("version")
class TestConformance(RuntimeConformance):
    def make_runtime(self):
        return create()

    def make_model(self):
        return conv_case()

    def make_unfit(self):
        bad = [{"precision": "int8"}, {"workspace_mb": 0}, {"workspace_mb": "much"}, {"device": 5}, {"device": "gpu"}]
        return [runtimes.create("tensorrt", options) for options in bad]


class TestConformanceWithoutGraph(TestConformance):
    def make_runtime(self):
        return create(cuda_graph=False, spin=False, workspace_mb=256)


class TestConformanceInHalf(TestConformance):
    tolerance = 5e-3

    def make_runtime(self):
        return create(precision="fp16")

    def make_model(self):
        return (half_conv_model(), *super().make_model()[1:])


def test_describes_all_that_decides_the_number(version):
    said = create(spin=False, workspace_mb=64).describe()
    assert said["simulated"] is True
    assert said["version"] == tensorrt_module.VERSIONS[version]
    assert (said["spin"], said["cuda_graph"], said["workspace_mb"]) == (False, True, 64)
    assert said["data_transfers"] is False
    assert {"gpu", "cuda_driver", "cuda_runtime", "driver", "tf32", "queue_depth", "gpu_sm_clock_max_mhz"} <= set(said)


@pytest.mark.usefixtures("version")
def test_what_it_takes_it_gives_back():
    before = (len(cuda_runtime.DEVICE.blocks), len(cuda_runtime.DEVICE.streams))
    runtime = create()
    model = runtime.load(conv_model())
    model.run()
    model.close()
    runtime.profile(conv_model(), 1, 1, lambda: None)
    for refused in (typed_model(TensorProto.INT64, (1, 2)), typed_model(TensorProto.FLOAT, ("batch", 2))):
        assert isinstance(runtime.load(refused), Fault)
    assert (len(cuda_runtime.DEVICE.blocks), len(cuda_runtime.DEVICE.streams)) == before


@pytest.mark.usefixtures("version")
def test_a_graph_hides_the_launches_of_many_short_kernels():
    """Ten kernels of 2.5 us each, 4 us to launch one: with a graph the device is never idle between them."""
    nodes = [helper.make_node("Sigmoid", [f"t{k}"], [f"t{k + 1}"], name=f"s{k}") for k in range(10)]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in ("t0", "t10"))
    data = serialise(helper.make_graph(nodes, "chain", [x], [y]))
    taken_ms = {}
    for graph in (True, False):
        model = create(cuda_graph=graph).load(data)
        taken_ms[graph] = [model.run() for _ in range(10)][-1]
        model.close()
    assert taken_ms[True] == pytest.approx(10 * 0.0025, rel=0.2)
    assert taken_ms[False] > 1.3 * taken_ms[True]


@pytest.mark.usefixtures("version")
def test_a_profile_names_the_engines_layers():
    found = create().profile(half_conv_model(), 1, 2, lambda: None)
    assert isinstance(found, Fault)  # it is in half, and single was asked for
    found = create(precision="fp16").profile(half_conv_model(), 1, 2, lambda: None)
    assert [node["op"] for node in found["nodes"] if node["name"] == "conv"] == ["CaskConvolution"]


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize(
    ("precision", "data", "words"),
    [
        ("fp16", conv_model(), "FLOAT, but fp16 was asked for"),
        ("fp32", half_conv_model(), "HALF, but fp32 was asked for"),
        ("fp32", computed_weights_model(), "write them as initialisers"),
        ("fp32", b"", "empty"),
        ("fp32", b"no model", "cannot read this model"),
    ],
)
def test_a_model_that_would_give_another_figure_is_a_fault(precision, data, words):
    fault = create(precision=precision).load(data)
    assert isinstance(fault, Fault)
    assert words in fault.detail


def test_the_engines_layers_are_checked_in_both_versions_words():
    def convolution(**words):
        return [{"Name": "c", "LayerType": "CaskConvolution", "Inputs": [words]}]

    half_10, half_11 = {"Format/Datatype": "Row major linear FP16 format"}, {"Datatype": "Half", "Format": "NC/8HW8"}
    single_10, single_11 = {"Format/Datatype": "Row major linear FP32"}, {"Datatype": "Float", "Format": "Row major"}
    for words in (half_10, half_11):
        assert "fp32" in tensorrt_engines.precision_fault(convolution(**words), "fp32").detail
        assert tensorrt_engines.precision_fault(convolution(**words), "fp16") is None
    for words in (single_10, single_11):
        assert "fp16" in tensorrt_engines.precision_fault(convolution(**words), "fp16").detail
        assert tensorrt_engines.precision_fault(convolution(**words), "fp32") is None
    for unknown in ([], [{"Name": "only a name"}], convolution(), convolution(Datatype="Q7")):
        assert tensorrt_engines.precision_fault(unknown, "fp16") is None


def count_builds(monkeypatch):
    builds = []
    real = tensorrt_module.Builder.build_serialized_network
    monkeypatch.setattr(
        tensorrt_module.Builder, "build_serialized_network",
        lambda self, network, config: builds.append(1) or real(self, network, config),
    )  # fmt: skip
    return builds


def test_an_engine_is_built_once_for_each_content_and_precision(version, monkeypatch, tmp_path):
    builds = count_builds(monkeypatch)
    for _ in range(2):
        create().load(conv_model()).close()
    assert len(builds) == 1
    create().load(conv_model(out=5)).close()
    create(precision="fp16").load(half_conv_model()).close()
    assert len(builds) == 3
    folder = tmp_path / ".cache" / "mosegnas-hil" / "tensorrt"
    assert (folder.stat().st_mode & 0o777) == 0o700
    assert not list(folder.glob("*.part"))


@pytest.mark.usefixtures("version")
def test_another_version_builds_its_own(monkeypatch):
    builds = count_builds(monkeypatch)
    for version in ("10", "11"):
        monkeypatch.setenv(standins.VERSION, version)
        create().load(conv_model()).close()
    assert len(builds) == 2


@pytest.mark.usefixtures("version")
def test_a_damaged_cache_is_built_again(monkeypatch, tmp_path):
    builds = count_builds(monkeypatch)
    create().load(conv_model()).close()
    for path in (tmp_path / ".cache" / "mosegnas-hil" / "tensorrt").iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    create().load(conv_model()).close()
    assert len(builds) == 2


@pytest.mark.usefixtures("version")
def test_the_timing_cache_is_kept_between_models(monkeypatch):
    given = []
    real = tensorrt_module.IBuilderConfig.create_timing_cache
    monkeypatch.setattr(
        tensorrt_module.IBuilderConfig, "create_timing_cache",
        lambda self, blob: given.append(blob) or real(self, blob),
    )  # fmt: skip
    create().load(conv_model()).close()
    create().load(conv_model(out=5)).close()
    assert given[0] == b""
    assert given[1]


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize(
    ("kind", "method", "answer", "said", "fault_kind"),
    [
        (tensorrt_module.Builder, "build_serialized_network", None, "Error Code 10: no implementation", "load"),
        (
            tensorrt_module.Builder,
            "build_serialized_network",
            None,
            "Error Code 2: OutOfMemory (no workspace)",
            "memory",
        ),
        (tensorrt_execution.Runtime, "deserialize_cuda_engine", None, "Serialization assertion failed", "load"),
        (tensorrt_execution.ICudaEngine, "create_execution_context", None, "CUDA out of memory", "memory"),
        (tensorrt_execution.IExecutionContext, "execute_async_v3", False, "enqueueV3 failed", "run"),
    ],
)
def test_none_and_false_become_faults_with_the_loggers_words(monkeypatch, kind, method, answer, said, fault_kind):
    def refuse(self, *arguments):
        runtime._engines._logger.log(tensorrt_execution.ILogger.Severity.ERROR, said)
        return answer

    runtime = create()
    monkeypatch.setattr(kind, method, refuse)
    fault = runtime.load(conv_model())
    assert isinstance(fault, Fault)
    assert fault.kind == fault_kind
    assert said in fault.detail


@pytest.mark.usefixtures("version")
def test_a_capture_that_fails_is_a_fault_and_leaves_no_capture(monkeypatch):
    runtime = create()
    monkeypatch.setattr(
        cuda_runtime,
        "cudaGraphInstantiate",
        lambda graph, flags: (cuda_runtime.cudaError_t.cudaErrorInvalidValue, None),
    )
    fault = runtime.load(conv_model())
    assert isinstance(fault, Fault)
    assert "cuda_graph = false" in fault.detail
    assert not isinstance(create(cuda_graph=False).load(conv_model()), Fault)


@pytest.mark.usefixtures("version")
def test_a_full_card_is_a_fault_of_memory(monkeypatch):
    monkeypatch.setattr(
        cuda_runtime, "cudaMalloc", lambda size: (cuda_runtime.cudaError_t.cudaErrorMemoryAllocation, None)
    )
    assert create().load(conv_model()).kind == "memory"


def test_a_host_without_a_card_is_asked_before_tensorrt(version, monkeypatch):
    monkeypatch.setenv(standins.DEVICES, "0")
    monkeypatch.setattr(tensorrt_module, "of_version", lambda version: pytest.fail("TensorRT was touched"))
    fault = runtimes.create("tensorrt", {})
    assert fault.kind == "runtime"
    assert "nvidia-smi" in fault.detail


def test_this_host_says_what_it_lacks(monkeypatch):
    """No stand-in: without the package, the driver or a card there is one line with the way out."""
    monkeypatch.delenv(standins.VERSION, raising=False)
    runtime = runtimes.create("tensorrt", {})
    if not isinstance(runtime, Fault):
        pytest.skip("this host has a card")
    assert runtime.kind == "runtime"
    assert "pip install" in runtime.detail or "nvidia-smi" in runtime.detail


def test_every_name_of_tensorrt_in_the_source_is_in_both_versions():
    """Attributes of `trt` and of its enums; what only one version has must go through getattr, unseen by this."""
    real = {version: set(names["tensorrt"]) for version, names in REAL["tensorrt"].items()}
    found = 0
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Attribute):
                continue
            chain = ast.unparse(node).replace("self._trt.", "trt.").split(".")
            if chain[0] != "trt" or len(chain) < 2:
                continue
            for version, names in REAL["tensorrt"].items():
                assert chain[1] in real[version], chain
                if len(chain) > 2 and chain[1] in names and chain[2] != "__init__":
                    assert chain[2] in names[chain[1]], chain
            found += 1
    assert found > 15


def test_every_name_of_cuda_in_the_source_is_in_both_versions():
    found = 0
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            name = (
                node.attr if isinstance(node, ast.Attribute) else node.value if isinstance(node, ast.Constant) else ""
            )
            if isinstance(name, str) and name.startswith("cuda") and name.isidentifier() and name[4:5].isupper():
                for names in REAL["cuda.bindings.runtime"].values():
                    assert any(name in group for group in names.values()), name
                found += 1
    assert found > 20


def test_an_agent_measures_and_tells_energy(version):
    said = []
    agent = Agent(said.append)

    def ask(**request):
        agent.handle(json.dumps({"id": 1, **request}))
        return said[-1]

    hello = ask(op="hello", protocol=PROTOCOL, runtime="tensorrt", options={})["ok"]
    assert hello["clock"] == "device"
    assert hello["energy_meter"] is True
    agent._said_s = -1e9
    model = ask(op="load", bytes=base64.b64encode(conv_model()).decode())["ok"]["model"]
    assert {"id": 1, "alive": True} in said  # building may take longer than the near side bears silence
    measured = ask(op="measure", model=model, rule={"floor": 5, "cap": 9})["ok"]
    assert set(measured["samples_ms"]) == {"device", "wall", "thread_cpu"}
    energy = ask(op="energy", model=model, window_s=0.05)["ok"]
    assert energy["source"] == "counter"
    assert energy["energy_mj"] > 0
    assert ask(op="energy", model=model, window_s="long")["fault"]["kind"] == "protocol"
    assert ask(op="energy")["fault"]["kind"] == "protocol"
    readings = ask(op="telemetry")["ok"]
    assert {"gpu_temperature_c", "gpu_sm_clock_mhz", "gpu_persistence", "time_s"} <= set(readings)
    assert ask(op="shutdown")["ok"] == {}


def test_a_card_that_cannot_be_asked_leaves_the_figures(version, monkeypatch):
    monkeypatch.setattr(nvml, "open_card", lambda bus_id: Fault("telemetry", "no NVML here"))
    runtime = create()
    assert runtime.telemetry() == {"gpu_fault": "no NVML here"}
    assert "driver" not in runtime.describe()
