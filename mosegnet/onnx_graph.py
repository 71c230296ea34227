"""ONNX models of units and networks, built directly, without tracing: opset 11, batch 1, single precision.

With constant weights, to profile: each tensor is a ConstantOfShape that the runtime folds when it loads the model, so
a model is a few kB and takes about a millisecond to make. With real ones, to deploy: batch norms folded into the
convolutions. (Runtimes that do not fold constants, or whose kernels depend on the values, need real ones.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mosegnet.architecture import Architecture
from mosegnet.graph import Op, operators
from mosegnet.unit import IMAGE_CHANNELS, Shape, Unit

OPSET = 11
IR_VERSION = 6  # the one that belongs to opset 11; the boards' converters know no newer one
STUB_CHANNELS = 8
BATCH_NORM_EPSILON = 1e-5
_CONSTANT_BIAS = 0.01

Output = Literal["logits", "classes"]
Weights = Mapping[str, NDArray[np.float32]]


def unit_model(unit: Unit, weights: Weights | None = None) -> bytes:
    """The unit alone; inputs `x0`, … of `unit.input_shapes`, output `y`.

    `weights` are the tensors of `mosegnet.modules.unit_module(unit).state_dict()` as arrays; constants when None.
    """
    graph = _Graph(weights)
    names = [graph.input(f"x{k}", shape) for k, shape in enumerate(unit.input_shapes)]
    graph.output(graph.unit("", unit, names), unit.output_shape, "y")
    return graph.serialise(unit.key)


def stub_model(unit: Unit) -> bytes:
    """The unit in stub context: 1x1 conv from 8 channels → unit → global pool.

    Each feature input comes out of a 1x1 conv, so that the unit keeps the fusions and layouts it has inside a
    network; an image input stays an input. The pool keeps the output from being copied out.
    """
    graph = _Graph(None)
    names = []
    for k, shape in enumerate(unit.input_shapes):
        is_image = shape[0] == IMAGE_CHANNELS
        source = graph.input(f"x{k}", shape if is_image else (STUB_CHANNELS, *shape[1:]))
        names.append(source if is_image else graph.stub_conv(f"stub{k}", source, shape))
    pooled = graph.global_pool(graph.unit("unit.", unit, names))
    graph.output(pooled, (unit.output_shape[0], 1, 1), "y")
    return graph.serialise(f"stub {unit.key}")


def context_model(shape: Shape) -> bytes:
    """What a stub model adds around a unit, alone: 1x1 conv from 8 channels to `shape` → global pool.

    For an image's shape there is no conv: image → global pool.
    """
    graph = _Graph(None)
    is_image = shape[0] == IMAGE_CHANNELS
    source = graph.input("x0", shape if is_image else (STUB_CHANNELS, *shape[1:]))
    inside = source if is_image else graph.stub_conv("stub0", source, shape)
    graph.output(graph.global_pool(inside), (shape[0], 1, 1), "y")
    return graph.serialise("context {}x{}x{}".format(*shape))


def network_model(
    architecture: Architecture,
    weights: Weights | None = None,
    output: Output = "logits",
    output_hw: tuple[int, int] | None = None,
) -> bytes:
    """A whole network: input `image` (1, 3, H, W), output `logits` (1, classes, H, W) or `classes` (1, 1, H, W) uint8.

    `weights` are the tensors of `mosegnet.modules.Network(architecture).state_dict()` as arrays; constants when None.
    `output_hw` is another size of the output than the input's, such as that of the images before they were reduced.
    """
    graph = _Graph(weights)
    image = graph.input("image", (IMAGE_CHANNELS, *architecture.input_hw))
    x, stage_ends = image, list[str]()
    ends = set(np.cumsum(architecture.depths).tolist())
    for k, (name, unit) in enumerate(architecture.named_units()):
        if unit is architecture.decoder:
            x = graph.unit(f"{name}.", unit, [image, *stage_ends[1:]], output_hw)
        else:
            x = graph.unit(f"{name}.", unit, [x])
        if k in ends:
            stage_ends.append(x)
    size = output_hw or architecture.input_hw
    if output == "classes":
        graph.output(graph.class_map(x), (1, *size), "classes", TensorProto.UINT8)
    else:
        graph.output(x, (architecture.classes, *size), "logits")
    return graph.serialise("mosegnet")


class _Graph:
    """Collects nodes; names are made unique by the prefix of the unit they belong to."""

    def __init__(self, weights: Weights | None) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}

    def input(self, name: str, shape: Shape) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, *shape)))
        return name

    def output(self, tensor: str, shape: Shape, name: str, kind: int = TensorProto.FLOAT) -> None:
        for node in self._nodes:
            node.output[:] = [name if output == tensor else output for output in node.output]
            node.input[:] = [name if source == tensor else source for source in node.input]
        self._outputs.append(helper.make_tensor_value_info(name, kind, (1, *shape)))

    def unit(self, prefix: str, unit: Unit, inputs: Iterable[str], output_hw: tuple[int, int] | None = None) -> str:
        """Add the unit's operators; returns the name of its output. `output_hw`: where the last one resizes to."""
        names = {f"x{k}": name for k, name in enumerate(inputs)}
        for op in operators(unit):
            sources = [names[source] for source in op.inputs]
            if op.output == "y" and output_hw is not None:
                names["y"] = self._resize_to(op, sources[0], prefix + op.output, output_hw)
            else:
                names[op.output] = self._operator(prefix, op, sources)
        return names["y"]

    def class_map(self, logits: str) -> str:
        """The likeliest class of each pixel, the first of equals, as a byte."""
        # keepdims and the way over floats: converters know no other argmax, and no cast from int64 to uint8
        index = self._node("ArgMax", [logits], "argmax", axis=1, keepdims=1)
        number = self._node("Cast", [index], "argmax/float", to=TensorProto.FLOAT)
        return self._node("Cast", [number], "argmax/uint8", to=TensorProto.UINT8)

    def stub_conv(self, name: str, source: str, shape: Shape) -> str:
        op = Op("conv", (), name, shape, STUB_CHANNELS, weights=name, relu=True)
        return self._conv("", op, source)

    def global_pool(self, source: str) -> str:
        return self._node("GlobalAveragePool", [source], f"pool/{source}")

    def serialise(self, name: str) -> bytes:
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, list(self._initializers.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="mosegnas-hil")
        model.ir_version = IR_VERSION
        data: bytes = model.SerializeToString()
        return data

    def _node(self, op_type: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(op_type, inputs, [output], name=f"{op_type}/{output}", **attributes))
        return output

    def _tensor(self, name: str, array: NDArray[Any]) -> str:
        self._initializers.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def _constant(self, name: str, shape: tuple[int, ...], value: float) -> str:
        size = self._tensor("shape/" + "x".join(map(str, shape)), np.array(shape, dtype=np.int64))
        fill = helper.make_tensor("value", TensorProto.FLOAT, [1], [value])
        return self._node("ConstantOfShape", [size], name, value=fill)

    def _operator(self, prefix: str, op: Op, inputs: list[str]) -> str:
        output = prefix + op.output
        if op.kind == "conv":
            return self._conv(prefix, op, inputs[0])
        if op.kind in ("max_pool", "avg_pool"):
            return self._pool(op, inputs[0], output)
        if op.kind in ("nearest", "bilinear"):
            return self._resize(op, inputs[0], output)
        names = {"relu": "Relu", "sigmoid": "Sigmoid", "add": "Add", "mul": "Mul", "global_pool": "GlobalAveragePool"}
        if op.kind == "concat":
            return self._node("Concat", inputs, output, axis=1)
        return self._node(names[op.kind], inputs, output)

    def _conv(self, prefix: str, op: Op, source: str) -> str:
        output = prefix + op.output
        shape = (op.shape[0], op.in_channels, op.kernel, op.kernel)
        weight, bias = f"{prefix}{op.weights}.weight", f"{prefix}{op.weights}.bias"
        if self._weights is None:
            self._constant(weight, shape, 1.0 / (op.in_channels * op.kernel**2))
            self._constant(bias, (op.shape[0],), _CONSTANT_BIAS)
        else:
            folded = _fold(self._weights, prefix + op.weights, op.batch_norm)
            for name, array in zip((weight, bias), folded, strict=True):
                self._tensor(name, array)
        raw = f"{output}/raw" if op.relu else output
        pad = op.kernel // 2
        self._node(
            "Conv", [source, weight, bias], raw,
            kernel_shape=[op.kernel] * 2, strides=[op.factor] * 2, pads=[pad] * 4,
        )  # fmt: skip
        return self._node("Relu", [raw], output) if op.relu else raw

    def _pool(self, op: Op, source: str, output: str) -> str:
        size: dict[str, Any] = {"kernel_shape": [op.kernel] * 2, "strides": [op.factor] * 2}
        if op.kind == "max_pool":
            pad = op.kernel // 2
            return self._node("MaxPool", [source], output, pads=[pad] * 4, **size)
        return self._node("AveragePool", [source], output, **size)

    def _resize(self, op: Op, source: str, output: str) -> str:
        roi = self._tensor("roi", np.zeros(0, dtype=np.float32))
        scales = self._tensor(f"scales/{op.factor}", np.array([1, 1, op.factor, op.factor], dtype=np.float32))
        return self._resize_node(op, [source, roi, scales], output)

    def _resize_to(self, op: Op, source: str, output: str, size_hw: tuple[int, int]) -> str:
        """As `_resize`, to a size that need be no multiple."""
        nothing = self._tensor("roi", np.zeros(0, dtype=np.float32))
        scales = self._tensor("scales/none", np.zeros(0, dtype=np.float32))
        sizes = self._tensor("sizes", np.array([1, op.shape[0], *size_hw], dtype=np.int64))
        return self._resize_node(op, [source, nothing, scales, sizes], output)

    def _resize_node(self, op: Op, inputs: list[str], output: str) -> str:
        if op.kind == "nearest":
            how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        else:
            how = {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}
        return self._node("Resize", inputs, output, **how)


def _fold(weights: Weights, name: str, batch_norm: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight and bias of a conv with its batch norm (running statistics) folded in."""
    weight = weights[f"{name}.conv.weight"]
    if not batch_norm:
        return weight, weights[f"{name}.conv.bias"]
    gain = weights[f"{name}.bn.weight"] / np.sqrt(weights[f"{name}.bn.running_var"] + BATCH_NORM_EPSILON)
    bias = weights[f"{name}.bn.bias"] - gain * weights[f"{name}.bn.running_mean"]
    return (weight * gain[:, None, None, None]).astype(np.float32), bias.astype(np.float32)
