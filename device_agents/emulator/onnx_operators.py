"""An ONNX file as the plain list of operators that the timing model reads. Needs the onnx package: host only."""

SUPPORTED = frozenset(
    "Add ArgMax AveragePool BatchNormalization Cast Clip Concat Constant ConstantOfShape Conv ConvTranspose Div Elu "
    "Exp Flatten Gather Gemm GlobalAveragePool GlobalMaxPool HardSigmoid Identity LeakyRelu MatMul MaxPool Mul "
    "PRelu Pad Pow ReduceMean ReduceSum Relu Reshape Resize Shape Sigmoid Slice Softmax Split Sqrt Squeeze Sub Sum "
    "Tanh Transpose Unsqueeze Upsample".split()
)
_FOLDED = ("Constant", "ConstantOfShape", "Shape")
_SIZES = ("kernel_shape", "strides")


class Refused(Exception):
    """The graph cannot be converted; `code` is ATC's, the message its decisive line."""

    def __init__(self, code, detail):
        Exception.__init__(self, detail)
        self.code = code


def read(data, shapes, opsets):
    """What the bytes of an ONNX file hold, as JSON data: `name, opset, inputs, outputs, operators, weights_bytes`.

    shapes: of inputs, by name, for those that the file leaves open. opsets: the (first, last) that are understood.
    Raises Refused.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception:  # the parser's own errors have no common parent
        raise Refused("E10041", "Failed to load the model from the given path: it is not an ONNX file.") from None
    opset = max([entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")] or [1])
    for k, node in enumerate(model.graph.node):
        if node.domain not in ("", "ai.onnx") or node.op_type not in SUPPORTED or not opsets[0] <= opset <= opsets[1]:
            place = node.name or "{}_{}".format(node.op_type, k)
            raise Refused(
                "E19010",
                "No parser is registered for Op [{}, optype [{}::{}::{}]].".format(
                    place, node.domain or "ai.onnx", opset, node.op_type
                ),
            )
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = _inputs(model, shapes, constants)
    known = _shapes(onnx, model)
    operators = []
    for node in model.graph.node:
        if node.op_type in _FOLDED:
            constants.update(node.output)
        else:
            operators.append(_operator(onnx, node, known, constants))
    return {
        "name": model.graph.name,
        "opset": opset,
        "inputs": inputs,
        "outputs": [_tensor(value, known) for value in model.graph.output],
        "operators": operators,
        "weights_bytes": 2 * sum(count(known[name]) for name in sorted(constants) if name in known),
    }


def _inputs(model, shapes, constants):
    found = []
    values = [value for value in model.graph.input if value.name not in constants]
    for name in shapes:
        if name not in [value.name for value in values]:
            raise Refused("E10016", "Value [{}] for parameter [--input_shape] is not in the model.".format(name))
    for value in values:
        given, dims = shapes.get(value.name), value.type.tensor_type.shape.dim
        if given is not None:
            if len(given) != len(dims):
                text = "The input_shape of [{}] has [{}] dims, the model's has [{}]."
                raise Refused("E10049", text.format(value.name, len(given), len(dims)))
            for dim, size in zip(dims, given):  # noqa: B905 - `strict` came with Python 3.10
                dim.dim_value = size
        if any(dim.dim_value <= 0 for dim in dims):
            text = "Dynamic shape of input [{}] must be set by [--input_shape]."
            raise Refused("E10001", text.format(value.name))
        found.append(_tensor(value, {}))
    return found


def _tensor(value, known):
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return {"name": value.name, "shape": known.get(value.name, shape), "onnx_type": value.type.tensor_type.elem_type}


def _shapes(onnx, model):
    known = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise Refused("E19999", "Inner Error! Shapes cannot be inferred: {}".format(text)) from None
    for value in list(inferred.value_info) + list(inferred.input) + list(inferred.output):
        known[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return known


def _operator(onnx, node, known, constants):
    attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    missing = [name for name in node.output if name and not all(known.get(name) or [0])]
    if missing:
        raise Refused("E19999", "Inner Error! Shape of [{}] is unknown.".format(missing[0]))
    mode = attributes.get("mode", b"")
    return {
        "name": node.name or node.output[0],
        "op": node.op_type,
        "inputs": [name for name in node.input if name and name not in constants],
        "outputs": [name for name in node.output if name],
        "shapes": {name: known[name] for name in list(node.input) + list(node.output) if known.get(name)},
        "weights": [name for name in node.input if name in constants and known.get(name)],
        "kernel": list(attributes.get(_SIZES[0], [])),
        "stride": list(attributes.get(_SIZES[1], [])),
        "group": int(attributes.get("group", 1)),
        "mode": mode.decode("ascii") if isinstance(mode, bytes) else "",
    }


def count(shape):
    """How many values a shape holds."""
    total = 1
    for size in shape:
        total *= size
    return total
