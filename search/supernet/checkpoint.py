"""The state of an unfinished training on disk: tensors and plain values only, so that nothing is unpickled."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors, write_atomic


def write_checkpoint(path: Path | str, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, dicts, lists) atomically.

    Raises:
        UserError: the disk is full, the folder cannot be written; an older checkpoint stays whole.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Read what `write_checkpoint` wrote.

    Raises:
        UserError: the file is missing, damaged, or holds anything but tensors and plain values.
    """
    if not Path(path).is_file():
        raise UserError(f"there is no checkpoint {path} to resume from: leave --resume out to start")
    try:
        with explain_os_errors(path, "read"):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise UserError(f"checkpoint {path} is damaged: delete it to start anew") from error
    if not isinstance(state, dict) or "identity" not in state:
        raise UserError(f"checkpoint {path} is not one of this program: delete it to start anew")
    return state
