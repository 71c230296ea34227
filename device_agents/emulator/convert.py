"""From ONNX to an OM, as the stand-in for `atc` does it."""

from device_agents.emulator import om, onnx_operators
from device_agents.emulator.model import FLOAT, FLOAT16, INT32, INT64, UINT8, size_bytes

_ONNX_TO_ACL = {1: FLOAT, 10: FLOAT16, 2: UINT8, 6: INT32, 7: INT64}
_WORK_FACTOR = 3.0  # work memory over the largest tensor


def opsets(cann_major):
    """The (first, last) opset that a version of CANN reads, by its operator lists."""
    if cann_major <= 6:
        return 9, 13
    return (9, 18) if cann_major == 7 else (11, 18)


def convert(data, soc, cann, shapes=None, output_fp16=False, fp16_inputs=()):
    """(OM bytes, definition) of an ONNX file's bytes. Raises onnx_operators.Refused."""
    graph = onnx_operators.read(data, shapes or {}, opsets(int(cann.split(".")[0])))
    for tensor in graph["inputs"]:
        tensor["dtype"] = FLOAT16 if tensor["name"] in fp16_inputs else _type(tensor)
        tensor["om_name"] = tensor["name"]
    for k, tensor in enumerate(graph["outputs"]):
        tensor["dtype"] = FLOAT16 if output_fp16 and _type(tensor) == FLOAT else _type(tensor)
        tensor["om_name"] = "{}:{}:{}".format(_producer(graph, tensor["name"]), k, tensor["name"])
    sizes = [size_bytes(tensor) for tensor in graph["inputs"] + graph["outputs"]]
    for operator in graph["operators"]:
        for name in operator["outputs"]:
            sizes.append(2 * onnx_operators.count(operator["shapes"].get(name, [])))
    definition = dict(graph, soc=soc, cann=cann, work_bytes=int(_WORK_FACTOR * max(sizes)))
    return om.pack(definition, data), definition


def _type(tensor):
    if tensor["onnx_type"] not in _ONNX_TO_ACL:
        text = "Data type of [{}] is unsupported: FP32, FP16 and UINT8 are."
        raise onnx_operators.Refused("E10001", text.format(tensor["name"]))
    return _ONNX_TO_ACL[tensor["onnx_type"]]


def _producer(graph, name):
    for operator in graph["operators"]:
        if name in operator["outputs"]:
            return operator["name"]
    return name
