"""Small ONNX models for the tests, made by hand."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def conv_model(channels: int = 4, size: int = 8, out: int = 3) -> bytes:
    """x (1, channels, size, size) -> 1x1 conv with weights of a seed -> y (1, out, size, size)."""
    weight, bias = conv_weights(channels, out)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w", "b"], ["y"], kernel_shape=[1, 1])],
        "conv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, channels, size, size))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, out, size, size))],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )
    return serialise(graph)


def conv_weights(channels: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    """Weight (out, channels, 1, 1) and bias (out,) of `conv_model`."""
    rng = np.random.default_rng(5)
    weight = rng.standard_normal((out, channels, 1, 1)).astype(np.float32)
    return weight, rng.standard_normal(out).astype(np.float32)


def conv_case() -> tuple[bytes, dict[str, list[float]], dict[str, list[float]]]:
    """`conv_model` with an input and the output that it must give: what a conformance suite asks for."""
    weight, bias = conv_weights(4, 3)
    x = np.random.default_rng(0).random((4, 8, 8), dtype=np.float32)
    y = np.tensordot(weight[:, :, 0, 0], x, axes=1) + bias[:, None, None]
    return conv_model(), {"x": x.ravel().tolist()}, {"y": y.ravel().tolist()}


def typed_model(dtype: int, shape: tuple[int | str, ...]) -> bytes:
    """x -> Identity -> y of any type and shape."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", dtype, shape)],
    )
    return serialise(graph)


def serialise(graph: object) -> bytes:
    """The model's bytes, at an opset and IR that every runtime reads."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    model.ir_version = 6
    data: bytes = model.SerializeToString()
    return data
