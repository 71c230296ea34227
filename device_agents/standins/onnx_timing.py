"""An ONNX graph as the stand-in of TensorRT sees it: its layers, and a model of what each costs on the virtual card."""

# of the virtual card
_MACS_PER_MS = {"FLOAT": 8e9, "HALF": 32e9}
_BYTES_PER_MS = 4e8
_KERNEL_MS = 0.0025
_BYTES = {"FLOAT": 4, "HALF": 2}
_CONSTANTS = ("Constant", "ConstantOfShape", "Shape")
_STRETCH_ENDS = ("Concat", "Resize")
_KINDS = {"Conv": "CONVOLUTION", "Cast": "CAST", "Concat": "CONCATENATION", "Resize": "RESIZE"}


class Layer(object):
    """One node of the graph: what it is, what it reads and writes, and its milliseconds."""

    __slots__ = ("inputs", "kind", "ms", "name", "num_inputs", "op", "output", "shape")

    def __init__(self, name, op, kind, inputs, num_inputs, output, shape, ms):
        self.name, self.op, self.kind, self.inputs, self.num_inputs = name, op, kind, inputs, num_inputs
        self.output, self.shape, self.ms = output, shape, ms


class Graph(object):
    """`layers`; `inputs` and `outputs` as (name, type, shape). Raises ValueError for what no parser would accept."""

    def __init__(self, data):
        import onnx

        try:
            model = onnx.load_model_from_string(data)
            onnx.checker.check_model(model)
            model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        except Exception as error:
            raise ValueError(" ".join(str(error).split())[:200] or type(error).__name__) from None
        graph = model.graph
        self._constants = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        self._values = {}
        for value in list(graph.input) + list(graph.value_info) + list(graph.output):
            self._values[value.name] = _type_and_shape(onnx, value)
        self.inputs = [(v.name,) + self._values[v.name] for v in graph.input if v.name not in self._constants]
        self.outputs = [(value.name,) + self._values[value.name] for value in graph.output]
        self._computed = {name for node in graph.node if node.op_type in _CONSTANTS for name in node.output}
        self.layers = [self._layer(node) for node in graph.node if node.op_type not in _CONSTANTS]

    def _layer(self, node):
        kind, shape = self._values[node.output[0]]
        flowing = [name for name in node.input if name in self._values and name not in self._computed]
        # weights that are computed come as tensors, not as weights
        num_inputs = len(flowing) + (node.op_type == "Conv" and sum(name in self._computed for name in node.input))
        moved = sum(_count(self._values[name][1]) for name in flowing) + _count(shape)
        macs = 0
        if node.op_type == "Conv":
            weight = self._constants.get(node.input[1]) or self._values[node.input[1]][1]
            macs = _count(shape) * _count(weight) // weight[0]
            moved += _count(weight)
        busy = macs / _MACS_PER_MS.get(kind, 8e9) * (1 + 24.0 / shape[1]) if macs else 0.0
        spent_ms = _KERNEL_MS + max(busy, moved * _BYTES.get(kind, 4) / _BYTES_PER_MS)
        return Layer(
            node.name or node.output[0], node.op_type, kind, flowing, num_inputs, node.output[0], shape, spent_ms
        )


def layer_type(op):
    """The name of TensorRT's kind of layer for an operator; those that do not matter here are one kind."""
    return _KINDS.get(op, "ELEMENTWISE")


def fused(layers):
    """The kernels of an engine, lists of layers.

    A convolution takes the Add and the Relu that follow it along; what comes before a Resize or a Concat and is no
    convolution goes into one kernel with it; before a convolution that reads the input there is a change of layout.
    """
    kernels: list = []
    for layer in layers:
        last = kernels[-1] if kernels else None
        if last and last[0].op == "Conv" and layer.op in ("Relu", "Add") and last[-1].output in layer.inputs:
            last.append(layer)
        elif layer.op in _STRETCH_ENDS and last and last[0].op != "Conv":
            while len(kernels) > 1 and kernels[-2][0].op not in ("Conv",) + _STRETCH_ENDS:
                kernels[-2:] = [kernels[-2] + kernels[-1]]
            kernels[-1].append(layer)
        else:
            kernels.append([layer])
    if kernels and kernels[0][0].op == "Conv":
        kernels.insert(0, [_reformat(kernels[0])])
    return kernels


def _reformat(kernel):
    first = kernel[0]
    name = "Reformatting CopyNode for Input Tensor 0 to " + " + ".join(layer.name for layer in kernel)
    return Layer(name, "Reformat", first.kind, first.inputs, 1, first.inputs[0], first.shape, _KERNEL_MS)


def _type_and_shape(onnx, value):
    tensor = value.type.tensor_type
    types = onnx.TensorProto
    kinds = {types.FLOAT: "FLOAT", types.FLOAT16: "HALF", types.INT64: "INT64", types.UINT8: "UINT8"}
    shape = tuple(size.dim_value if size.HasField("dim_value") else -1 for size in tensor.shape.dim)
    return kinds.get(tensor.elem_type, "INT32"), shape


def _count(shape):
    count = 1
    for size in shape:
        count *= max(1, size)
    return count
