"""A supernet on disk: one safetensors file that says by itself of which space and data it is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors, write_atomic
from mosegnet.family import Family
from mosegnet.modules import Network
from mosegnet.space import Space

SCHEMA, SCHEMA_VERSION = "mosegnet-supernet", 1
ENCODER_SCHEMA = "mosegnet-encoder"  # pre-trained on whole images; its decoder has yet to be trained

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class DataSummary:
    """The data that a supernet was trained on, as far as another program must know it."""

    name: str
    classes: tuple[str, ...]
    mean: Triple
    std: Triple


@dataclass(frozen=True, slots=True)
class Weights:
    """The largest network of a family with the weights that its networks share, wherever they come from."""

    space: Family
    network: Network


@dataclass(frozen=True, slots=True)
class Supernet:
    """The largest network of a space with trained weights, and where they come from.

    `training` records the recipe and what it took: steps, minutes, seed, final losses.
    """

    space: Space
    network: Network
    data: DataSummary
    training: dict[str, Any] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """SHA-256 over the weights, to tell whether two runs shared a supernet."""
        digest = hashlib.sha256(self.space.fingerprint.encode())
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def save(supernet: Supernet, path: Path | str) -> None:
    """Write the supernet to `path`, atomically.

    Raises:
        UserError: the disk is full, the folder cannot be written.
    """
    _write(supernet, path, SCHEMA, supernet.network.state_dict())


def save_encoder(supernet: Supernet, path: Path | str) -> None:
    """Write the pre-trained encoder alone, atomically; `search train-supernet --from` goes on with it.

    Raises:
        UserError: the disk is full, the folder cannot be written.
    """
    tensors = supernet.network.state_dict()
    encoder = {name: tensor for name, tensor in tensors.items() if not name.startswith("decoder.")}
    _write(supernet, path, ENCODER_SCHEMA, encoder)


def _write(supernet: Supernet, path: Path | str, schema: str, state: dict[str, Tensor]) -> None:
    described = {
        "schema": schema,
        "schema_version": SCHEMA_VERSION,
        "space": supernet.space.to_dict(),
        "data": asdict(supernet.data),
        "training": supernet.training,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    write_atomic(path, safetensors.torch.save(tensors, {"mosegnet": json.dumps(described)}))


def load(path: Path | str, space: Space | None = None) -> Supernet:
    """Read a supernet; `space`, where given, is the one that it must be of.

    Raises:
        UserError: the file is missing, damaged, no supernet, newer than this program, or of another space.
    """
    path = Path(path)
    described, tensors = read(path)
    if described["schema"] == ENCODER_SCHEMA:
        raise UserError(
            f"{path} holds a pre-trained encoder, not a supernet yet: `search train-supernet --data … --from {path}` "
            "makes one of it"
        )
    own = spaces.load(described["space"])
    if space is not None and own.fingerprint != space.fingerprint:
        raise UserError(
            f"supernet {path} is of the space {own.name!r} {own.scales}, not of {space.name!r} {space.scales}: "
            "train one for this space, or take a table of the supernet's"
        )
    network = Network(own.decode(own.largest()))
    try:
        network.load_state_dict(tensors)
    except RuntimeError:
        raise UserError(f"supernet {path} is damaged: its tensors are not those of its space") from None
    data = described["data"]
    summary = DataSummary(data["name"], tuple(data["classes"]), tuple(data["mean"]), tuple(data["std"]))
    return Supernet(own, network.eval(), summary, described.get("training", {}))


def read(path: Path | str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a file says of itself, and the tensors, of a supernet or a pre-trained encoder.

    Raises:
        UserError: the file is missing, damaged, neither of the two, or of another version.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"supernet {path} does not exist: `search train-supernet --out {path}` makes it")
    described, tensors = _parsed(path)
    if described.get("schema") not in (SCHEMA, ENCODER_SCHEMA):
        raise UserError(f"{path} is not a supernet of this program")
    version = described.get("schema_version")
    if version != SCHEMA_VERSION:
        raise UserError(
            f"supernet {path} has schema version {version}, this program knows {SCHEMA_VERSION}: upgrade it"
        )
    return described, tensors


def _parsed(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with explain_os_errors(path, "read"):
        data = path.read_bytes()
    try:
        tensors = safetensors.torch.load(data)
        header_bytes = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + header_bytes]).get("__metadata__", {})
        return json.loads(metadata.get("mosegnet", "{}")), tensors
    except (safetensors.SafetensorError, ValueError) as error:
        raise UserError(f"supernet {path} is damaged or not a safetensors file: {error}") from error
