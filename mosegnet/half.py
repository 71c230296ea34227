"""Half precision written into an ONNX graph, for runtimes whose networks are strongly typed, such as TensorRT 11.

Inputs and outputs stay single: one Cast at each border, everything between them in half.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mosegnet.common.errors import UserError

_MOST = float(np.finfo(np.float16).max)
_FLOATING = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
_SINGLE_INPUTS = {"Resize": (2,)}  # operators with inputs that the standard wants in single precision: the scales


def to_half(data: bytes) -> bytes:
    """The model with every float tensor between its inputs and outputs in half precision.

    One that computes in half already is given back as it is. Meant for the graphs of `mosegnet.onnx_graph`: floats
    come in as inputs, initialisers, Constant and ConstantOfShape.

    Raises:
        UserError: a constant is past what half precision holds, or the graph casts or branches by itself.
    """
    model = onnx.load_model_from_string(data)
    graph = model.graph
    single = _single_tensors(graph)
    if _is_half(graph):
        return data
    _refuse(graph)
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in single:
            tensor.CopyFrom(_half(tensor, tensor.name))
    for node in graph.node:
        if node.op_type in ("Constant", "ConstantOfShape") and node.output[0] not in single:
            for attribute in node.attribute:
                if attribute.name == "value" and attribute.t.data_type == TensorProto.FLOAT:
                    attribute.t.CopyFrom(_half(attribute.t, node.output[0]))
    del graph.value_info[:]
    _cast_inputs(graph)
    _cast_outputs(graph)
    halved: bytes = model.SerializeToString()
    return halved


def _refuse(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        if (node.op_type == "Cast" and not _of_a_class_map(node, graph)) or any(
            attribute.type == onnx.AttributeProto.GRAPH for attribute in node.attribute
        ):
            raise UserError(
                f"node {node.name!r} ({node.op_type}) chooses types or branches: this model cannot be halved here, "
                "export it in half precision"
            )


def _is_half(graph: onnx.GraphProto) -> bool:
    """Whether its convolutions have weights in half precision."""
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    weights = [types.get(node.input[1]) for node in graph.node if node.op_type == "Conv"]
    return bool(weights) and all(kind == TensorProto.FLOAT16 for kind in weights)


def _of_a_class_map(node: onnx.NodeProto, graph: onnx.GraphProto) -> bool:
    """A cast to whole numbers, or one to floats that nothing computes with: only such a cast reads them."""
    (to,) = (attribute.i for attribute in node.attribute if attribute.name == "to")
    if to not in _FLOATING:
        return True
    outputs = {value.name for value in graph.output}
    readers = [other for other in graph.node if node.output[0] in other.input]
    return node.output[0] not in outputs and all(other.op_type == "Cast" for other in readers)


def _single_tensors(graph: onnx.GraphProto) -> set[str]:
    """Constants that stay as they are, because an operator wants them so."""
    found = set()
    for node in graph.node:
        for k in _SINGLE_INPUTS.get(node.op_type, ()):
            if k < len(node.input):
                found.add(node.input[k])
    return found


def _half(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    values = numpy_helper.to_array(tensor)
    if values.size and not np.abs(values).max() <= _MOST:
        raise UserError(f"tensor {name!r} holds {np.abs(values).max():g}, half precision ends at {_MOST:g}")
    return numpy_helper.from_array(values.astype(np.float16), tensor.name)


def _cast_inputs(graph: onnx.GraphProto) -> None:
    constants = {tensor.name for tensor in graph.initializer}
    casts = []
    for value in graph.input:
        if value.name in constants or value.type.tensor_type.elem_type != TensorProto.FLOAT:
            continue
        halved = f"{value.name}/half"
        _rename(graph.node, value.name, halved)
        casts.append(helper.make_node("Cast", [value.name], [halved], name=f"Cast/{halved}", to=TensorProto.FLOAT16))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _cast_outputs(graph: onnx.GraphProto) -> None:
    for value in graph.output:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            halved = f"{value.name}/half"
            _rename(graph.node, value.name, halved)
            cast = helper.make_node("Cast", [halved], [value.name], name=f"Cast/{value.name}", to=TensorProto.FLOAT)
            graph.node.append(cast)


def _rename(nodes: Iterable[onnx.NodeProto], old: str, new: str) -> None:
    for node in nodes:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
