"""One trained network on disk: a safetensors file that says by itself what it is made of and where it comes from.

It holds the architecture unit by unit, so that a network of any space, or of none (a baseline), is read alike. Its
batch norms are ready: nothing is re-estimated before it is used.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from mosegnet import architecture_json
from mosegnet import space as spaces
from mosegnet.architecture import Architecture
from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors, write_atomic
from mosegnet.modules import Network
from mosegnet.space import Space
from search.supernet.store import DataSummary

SCHEMA, SCHEMA_VERSION = "mosegnet-network", 1


@dataclass(frozen=True, slots=True)
class NetworkMeta:
    """What a network's file says beside its architecture.

    `name` is a baseline's or the network's id in its run; `space` is absent for what is of none. `training` records
    the recipe and what it took: start, steps, minutes, seed, final loss.
    """

    name: str
    data: DataSummary
    space: Space | None = None
    training: dict[str, Any] = field(default_factory=dict)


def save_network(path: Path | str, network: Network, meta: NetworkMeta) -> None:
    """Write the network to `path`, atomically.

    Raises:
        UserError: the disk is full, the folder cannot be written.
    """
    described = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "name": meta.name,
        "architecture": architecture_json.to_dict(network.architecture),
        "space": meta.space.to_dict() if meta.space else None,
        "data": asdict(meta.data),
        "training": meta.training,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_atomic(path, safetensors.torch.save(tensors, {"mosegnet": json.dumps(described)}))


def load_network(path: Path | str) -> tuple[Network, Architecture, NetworkMeta]:
    """Read a network, in evaluation mode on the CPU.

    Raises:
        UserError: the file is missing, damaged, no network's, or newer than this program.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"network {path} does not exist: `search retrain … --out {path}` makes it")
    with explain_os_errors(path, "read"):
        data = path.read_bytes()
    try:
        tensors = safetensors.torch.load(data)
        described = _described(data)
    except (safetensors.SafetensorError, ValueError) as error:
        raise UserError(f"network {path} is damaged or not a safetensors file: {error}") from error
    _check_schema(path, described)
    try:
        architecture = architecture_json.from_dict(described["architecture"])
        with torch.device("meta"):  # shapes are compared before anything is allocated
            network = Network(architecture)
        network.load_state_dict(tensors, assign=True)
        meta = _meta(described)
    except UserError as error:
        raise UserError(f"network {path} is damaged: {error}") from None
    except RuntimeError:
        raise UserError(f"network {path} is damaged: its tensors are not those of its architecture") from None
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"network {path} is damaged: {error!r} in its description") from error
    return network.eval(), architecture, meta


def is_network(path: Path | str) -> bool:
    """Whether the file says of itself that it holds one network; reads its header alone."""
    try:
        with open(path, "rb") as file:
            start = file.read(8)
            header = file.read(min(int.from_bytes(start, "little"), 1 << 26))
        return bool(_described(start + header).get("schema") == SCHEMA)
    except (OSError, ValueError):
        return False


def _described(data: bytes) -> dict[str, Any]:
    header_bytes = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + header_bytes]).get("__metadata__", {})
    value = json.loads(metadata.get("mosegnet", "{}"))
    return value if isinstance(value, dict) else {}


def _check_schema(path: Path, described: dict[str, Any]) -> None:
    if described.get("schema") != SCHEMA:
        what = described.get("schema") or "no file of this program"
        raise UserError(f"{path} is not one network but {what}: `search retrain` and `search baseline` make networks")
    if described.get("schema_version") != SCHEMA_VERSION:
        raise UserError(
            f"network {path} has schema version {described.get('schema_version')}, this program knows "
            f"{SCHEMA_VERSION}: upgrade it"
        )


def _meta(described: dict[str, Any]) -> NetworkMeta:
    data = described["data"]
    summary = DataSummary(data["name"], tuple(data["classes"]), tuple(data["mean"]), tuple(data["std"]))
    own = spaces.load(described["space"]) if described["space"] else None
    return NetworkMeta(str(described["name"]), summary, own, dict(described["training"]))
