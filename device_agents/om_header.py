"""The 256 bytes that an OM file starts with, and what a damaged file looks like before it is uploaded or loaded.

Little-endian; offsets in GE's ModelFileHeader: magic 0, header size 4, version 8, checksum 12, length 76, flags
80 to 83, name 84, platform version 160, model length 184.
"""

import struct

SIZE_BYTES = 256
MAGIC = 0x444F4D49  # the file starts with b"IMOD"
_LENGTH_AT, _NAME_AT, _PLATFORM_AT, _MODEL_LENGTH_AT = 76, 84, 160, 184
_STANDARD_MODEL = 1


def make(payload_bytes, name="", platform_version=""):
    """A header for a payload of that many bytes."""
    header = bytearray(SIZE_BYTES)
    struct.pack_into("<III", header, 0, MAGIC, SIZE_BYTES, 0x10000000)
    struct.pack_into("<I", header, _LENGTH_AT, payload_bytes & 0xFFFFFFFF)
    header[82] = _STANDARD_MODEL
    struct.pack_into("<32s", header, _NAME_AT, name.encode("utf-8")[:31])
    struct.pack_into("<I", header, 156, 1)  # one model
    struct.pack_into("<20s", header, _PLATFORM_AT, platform_version.encode("ascii")[:19])
    struct.pack_into("<Q", header, _MODEL_LENGTH_AT, payload_bytes)
    return bytes(header)


def problem(head, file_bytes):
    """What is wrong with an OM file of `file_bytes` whose first bytes are `head`, in a few words, or None.

    A necessary check only: it costs nothing, and the device checks the rest. Old converters leave the later fields
    zero; the length at 76 then counts.
    """
    if file_bytes < SIZE_BYTES or len(head) < SIZE_BYTES:
        return "it is {} bytes long, shorter than the header of {}".format(file_bytes, SIZE_BYTES)
    magic, header_bytes = struct.unpack_from("<II", head, 0)
    if magic != MAGIC:
        return "it does not start with IMOD"
    if header_bytes != SIZE_BYTES:
        return "its header says it is {} bytes long, not {}".format(header_bytes, SIZE_BYTES)
    length = struct.unpack_from("<Q", head, _MODEL_LENGTH_AT)[0] or struct.unpack_from("<I", head, _LENGTH_AT)[0]
    if length != file_bytes - SIZE_BYTES:
        return "its header announces {} bytes, {} follow".format(length, file_bytes - SIZE_BYTES)
    return None
