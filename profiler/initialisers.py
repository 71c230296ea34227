"""Constant weights made real: ConstantOfShape nodes become initialisers, for runtimes that do not fold them.

A profiling graph of `mosegnet.onnx_graph` is some kB, because its weights are computed. TensorRT would take computed
weights for data and choose other kernels.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper


def with_initialisers(data: bytes, seed: int = 0) -> bytes:
    """The model with each ConstantOfShape of a known shape as an initialiser of the same type and mean.

    The values are spread evenly over 0.5 to 1.5 of the constant: equal ones would flatter a card's power, and with
    the mean kept no activation dies out or overflows.
    """
    model = onnx.load_model_from_string(data)
    graph = model.graph
    rng = np.random.default_rng(seed)
    shapes = {tensor.name: tensor for tensor in graph.initializer}
    kept, made = [], []
    for node in graph.node:
        if node.op_type == "ConstantOfShape" and node.input[0] in shapes:
            made.append(_tensor(node, tuple(numpy_helper.to_array(shapes[node.input[0]]).tolist()), rng))
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in kept for name in node.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend([*tensors, *made])
    written: bytes = model.SerializeToString()
    return written


def _tensor(node: onnx.NodeProto, shape: tuple[int, ...], rng: np.random.Generator) -> onnx.TensorProto:
    values = [attribute.t for attribute in node.attribute if attribute.name == "value"]
    value = numpy_helper.to_array(values[0]).reshape(()) if values else np.float32(0)
    filled = np.full(shape, value)
    if not values or values[0].data_type in (TensorProto.FLOAT, TensorProto.FLOAT16):
        filled = (filled * rng.uniform(0.5, 1.5, shape)).astype(value.dtype)
    return numpy_helper.from_array(filled, node.output[0])
