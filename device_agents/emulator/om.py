"""What the stand-in for `atc` writes and the stand-in for `acl` loads: a right header, then two partitions.

Payload: number of partitions, then type, offset and size of each (u32, little-endian), then partition 0, the model's
definition in JSON (soc, cann, opset, inputs, outputs, operators, memory), and partition 1, the ONNX file, from which
outputs are computed.
"""

import json
import struct

from device_agents import om_header

_DEFINITION, _WEIGHTS = 0, 1


class Broken(Exception):
    """Not an OM that can be loaded; `code` is what acl returns."""

    def __init__(self, code, detail):
        Exception.__init__(self, detail)
        self.code = code


def pack(definition, onnx_bytes):
    """The bytes of an OM file. `definition` is JSON data with at least `soc`, `cann` and `name`."""
    parts = [(_DEFINITION, json.dumps(definition).encode("utf-8")), (_WEIGHTS, onnx_bytes)]
    table, offset = [struct.pack("<I", len(parts))], 0
    for kind, data in parts:
        table.append(struct.pack("<III", kind, offset, len(data)))
        offset += len(data)
    payload = b"".join(table + [data for _, data in parts])
    return om_header.make(len(payload), definition.get("name", ""), definition["cann"]) + payload


def unpack(data):
    """(definition, ONNX bytes) of an OM file's bytes. Raises Broken with the code of section 2.4 of the reference."""
    wrong = om_header.problem(data[: om_header.SIZE_BYTES], len(data))
    if wrong:
        raise Broken(145006, wrong)
    try:
        payload = memoryview(data)[om_header.SIZE_BYTES :]
        count = struct.unpack_from("<I", payload, 0)[0]
        base, parts = 4 + 12 * count, {}
        for k in range(count):
            kind, offset, size = struct.unpack_from("<III", payload, 4 + 12 * k)
            if base + offset + size > len(payload):
                raise ValueError("partition {} reaches past the end".format(kind))
            parts[kind] = bytes(payload[base + offset : base + offset + size])
        definition = json.loads(parts[_DEFINITION].decode("utf-8"))
        return dict(definition, soc=definition["soc"]), parts[_WEIGHTS]
    except (KeyError, ValueError, TypeError, struct.error) as error:
        raise Broken(545002, "partition table: {}".format(error)) from None
