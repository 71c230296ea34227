"""The state of an unfinished training on disk: tensors in safetensors, the rest as JSON in its header; no pickle.

A checkpoint is written beside its place and renamed into it when it is whole, so that a kill or a full disk leaves the
previous one.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors, write_atomic

SCHEMA, SCHEMA_VERSION = "mosegnet-training", 2  # 1 was a torch file


def write_checkpoint(path: Path | str, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write tensors and plain values atomically; what a kill left of an earlier attempt is removed.

    Raises:
        UserError: the disk is full, the folder cannot be written; an older checkpoint stays whole.
    """
    path = Path(path)
    for torn in path.parent.glob(f".{path.name}.*.part"):
        with contextlib.suppress(OSError):
            torn.unlink()
    described = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **values}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(path, safetensors.torch.save(plain, {"mosegnet": json.dumps(described)}))


def read_checkpoint_bytes(path: Path | str) -> bytes:
    """The file as it is.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    if not Path(path).is_file():
        raise UserError(f"there is no checkpoint {path} to resume from: leave --resume out to start")
    with explain_os_errors(path, "read"):
        return Path(path).read_bytes()


def parse_checkpoint(data: bytes, path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and values of what `write_checkpoint` wrote.

    Raises:
        UserError: the file is damaged, of another program, or of another version; names `path`.
    """
    try:
        tensors = safetensors.torch.load(data)
        header_bytes = int.from_bytes(data[:8], "little")
        values = json.loads(json.loads(data[8 : 8 + header_bytes])["__metadata__"]["mosegnet"])
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"checkpoint {path} is damaged: delete it to start anew") from error
    if values.get("schema") != SCHEMA:
        raise UserError(f"checkpoint {path} is not one of a training: delete it to start anew")
    version = values.get("schema_version")
    if version != SCHEMA_VERSION:
        raise UserError(
            f"checkpoint {path} has version {version}, this program writes {SCHEMA_VERSION}: "
            "finish it with the program that began it, or delete it to start anew"
        )
    return tensors, values
