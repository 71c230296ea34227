"""Graphs in half precision, and constants made real, against the graphs they come from on the real ONNX Runtime."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from device_agents import runtimes, standins
from device_agents.faults import Fault
from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from mosegnet.half import to_half
from mosegnet.onnx_graph import context_model, network_model, stub_model, unit_model
from profiler.initialisers import with_initialisers

SPACE = spaces.load("tiny")
KINDS = {type(unit).__name__: unit for unit in SPACE.units if unit.output_shape[1] * unit.output_shape[2] <= 64 * 128}
MODELS = {
    **{f"unit {name}": unit_model(unit) for name, unit in KINDS.items()},
    **{f"stub {name}": stub_model(unit) for name, unit in KINDS.items()},
    "context": context_model((16, 8, 8)),
    "network": network_model(SPACE.decode(SPACE.smallest())),
}


def run(data):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feed = {value.name: rng.uniform(0.5, 1.5, value.shape).astype(np.float32) for value in session.get_inputs()}
    return session.run(None, feed)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("prepare", [lambda data: data, with_initialisers], ids=["constants", "initialisers"])
def test_half_computes_the_same_within_its_precision(name, prepare):
    data = prepare(MODELS[name])
    for got, wanted in zip(run(to_half(data)), run(data), strict=True):
        assert got.dtype == np.float32
        assert np.abs(got - wanted).max() <= 5e-3 * np.abs(wanted).max()
        assert np.abs(wanted).max() > 0


@pytest.mark.parametrize("name", MODELS)
def test_every_float_inside_is_half(name):
    model = onnx.load_model_from_string(to_half(with_initialisers(MODELS[name])))
    onnx.checker.check_model(model, full_check=True)
    borders = {value.name for value in (*model.graph.input, *model.graph.output)}
    scales = {node.input[2] for node in model.graph.node if node.op_type == "Resize"}
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    inside = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    assert inside
    for value, kind in inside.items():
        assert value in borders or kind == TensorProto.FLOAT16, value
    for tensor in model.graph.initializer:
        assert tensor.data_type != TensorProto.FLOAT or tensor.name in scales, tensor.name


def test_a_constant_past_half_is_refused():
    with pytest.raises(UserError, match=r"'big'.*1e\+06"):
        to_half(model([helper.make_node("Add", ["x", "big"], ["y"])], np.array([1e6], dtype=np.float32)))


def test_a_graph_with_casts_is_refused():
    with pytest.raises(UserError, match="Cast"):
        to_half(model([helper.make_node("Cast", ["x"], ["y"], name="c", to=TensorProto.FLOAT)]))


@pytest.mark.parametrize("name", MODELS)
def test_initialisers_take_the_place_of_constants(name):
    before = onnx.load_model_from_string(MODELS[name])
    after = onnx.load_model_from_string(with_initialisers(MODELS[name]))
    onnx.checker.check_model(after, full_check=True)
    constants = {node.output[0]: node for node in before.graph.node if node.op_type == "ConstantOfShape"}
    assert not any(node.op_type == "ConstantOfShape" for node in after.graph.node)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in after.graph.initializer}
    assert set(constants) <= set(tensors)
    for constant, node in constants.items():
        value = numpy_helper.to_array(node.attribute[0].t)[0]
        assert 0.5 * value <= tensors[constant].min() <= tensors[constant].max() <= 1.5 * value
    assert with_initialisers(MODELS[name]) == with_initialisers(MODELS[name])


def model(nodes, big=None):
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1,)) for name in ("x", "y")]
    tensors = [] if big is None else [numpy_helper.from_array(big, "big")]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    return made.SerializeToString()


@pytest.mark.parametrize("version", ["10", "11"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", MODELS)
def test_the_tensorrt_agent_takes_what_is_written_for_it(name, precision, version, monkeypatch, tmp_path):
    """On the stand-in, which refuses computed weights and another precision than asked for, as the agent does."""
    monkeypatch.setenv(standins.VERSION, version)
    data = with_initialisers(MODELS[name])
    data = to_half(data) if precision == "fp16" else data
    runtime = runtimes.create("tensorrt", {"precision": precision, "cache_dir": str(tmp_path)})
    model = runtime.load(data)
    assert not isinstance(model, Fault), model
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feed = {value.name: rng.uniform(0.5, 1.5, value.shape).astype(np.float32) for value in session.get_inputs()}
    outputs = model.infer({key: array.ravel().tolist() for key, array in feed.items()})
    for value, array in zip(session.get_outputs(), session.run(None, feed), strict=True):
        np.testing.assert_allclose(outputs[value.name], array.ravel(), rtol=1e-3)
    model.close()
