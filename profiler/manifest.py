"""Networks to be measured elsewhere: ONNX files in a folder, and a list that says which network each of them is.

`networks.jsonl`: a line with the space, then one for each network; what another tool measured of `NAME.onnx` is found
again by its name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mosegnet import space as spaces
from mosegnet.common.console import progress_bar
from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors, write_atomic
from mosegnet.cost import costs
from mosegnet.digits import IntArray
from mosegnet.half import to_half
from mosegnet.onnx_graph import network_model
from mosegnet.space import Space
from profiler import sampling
from profiler.initialisers import with_initialisers

MANIFEST = "networks.jsonl"
SCHEMA = "mosegnas-networks"
VERSION = 1
_LEAST = 2
Role = Literal["calibration", "validation"]
ROLES: tuple[Role, ...] = get_args(Role)


class Head(BaseModel):
    """The first line: what space the networks are of, and how their files were made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: Literal["mosegnas-networks"] = Field(alias="schema")
    schema_version: Literal[1]
    space: dict[str, Any]
    precision: str = "fp32"
    seed: int = 0
    tool_version: str = ""


class Line(BaseModel):
    """One network: the table is fitted to those for `calibration`, and proven on those for `validation`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1)
    encoding: list[int]
    role: Role = "calibration"

    @property
    def stem(self) -> str:
        """The model's name without folder and ending."""
        return Path(self.model).stem


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which networks a folder's models are."""

    space: Space
    head: Head
    lines: tuple[Line, ...]

    def of(self, role: Role) -> list[Line]:
        """The networks of a role."""
        return [line for line in self.lines if line.role == role]


def export(space: Space, folder: Path, networks: int, proof: int, half: bool, seed: int) -> Manifest:
    """Write `networks` models to fit a table to and `proof` ones to prove it on, then their list.

    The weights are real, so that a runtime takes them for weights: 4 bytes each, 2 with `half`.

    Raises:
        UserError: the folder holds a list already, the space has not so many networks, or the disk is full.
    """
    path = folder / MANIFEST
    if path.exists():
        raise UserError(f"{path} exists: measure its models, or name another folder")
    if networks < _LEAST or proof < _LEAST:
        raise UserError(f"ask for {_LEAST} networks or more, and for {_LEAST} or more to prove the table on")
    rng = np.random.default_rng(seed)
    X = sampling.mixed(space, networks, rng, np.empty((0, len(space.cardinalities)), dtype=np.int64))
    held_out = sampling.held_out(space, proof, rng, X)
    precision = "fp16" if half else "fp32"
    head = {
        "schema": SCHEMA,
        "schema_version": VERSION,
        "space": space.to_dict(),
        "precision": precision,
        "seed": seed,
        "tool_version": version("mosegnas-hil"),
    }
    roles = ["calibration"] * len(X) + ["validation"] * len(held_out)
    rows: list[dict[str, Any]] = []
    everything = np.concatenate([X, held_out])
    with progress_bar(f"writing models to {folder}", len(everything)) as bar:
        for k, (x, role) in enumerate(zip(everything, roles, strict=True)):
            data = with_initialisers(network_model(space.decode(x)))
            name = f"network-{k:04d}.onnx"
            write_atomic(folder / name, to_half(data) if half else data)
            rows.append({"model": name, "encoding": x.tolist(), "role": role})
            bar.advance(1)
    write_atomic(path, "".join(json.dumps(row) + "\n" for row in [head, *rows]))
    return read(path)


def size_bytes(space: Space, networks: int, half: bool) -> float:
    """About what so many models take on the disk."""
    X = space.sample(32, np.random.default_rng(0))
    return (2 if half else 4) * networks * float(np.mean(costs(space, X).params))


def read(path: Path) -> Manifest:
    """A folder's list, or the list itself.

    Raises:
        UserError: there is none, or it makes no sense; names the line.
    """
    path = path / MANIFEST if path.is_dir() else path
    if not path.exists():
        raise UserError(f"{path} does not exist: `profiler export` writes it beside the models to be measured")
    with explain_os_errors(path, "read"):
        lines = path.read_bytes().decode(errors="replace").splitlines()
    values = [(number, _json(path, number, line)) for number, line in enumerate(lines, 1) if line.strip()]
    if not values or not isinstance(values[0][1], dict) or values[0][1].get("schema") != SCHEMA:
        raise UserError(f"{path} is no list of networks: its first line lacks the schema {SCHEMA!r}")
    try:
        head = Head.model_validate(values[0][1])
    except ValidationError as error:
        raise UserError(f"{path}, line {values[0][0]}: {_first(error)}") from None
    space = spaces.load(head.space)
    found = tuple(_line(path, number, value, space) for number, value in values[1:])
    _refuse_doubles(path, found)
    return Manifest(space, head, found)


def _json(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise UserError(f"{path}, line {number}, is no JSON: restore the file or export the networks again") from None


def _line(path: Path, number: int, value: Any, space: Space) -> Line:
    try:
        line = Line.model_validate(value)
        x: IntArray = space.canonical([line.encoding])[0]
    except ValidationError as error:
        raise UserError(f"{path}, line {number}: {_first(error)}") from None
    except UserError as error:
        raise UserError(f"{path}, line {number}: {error}") from None
    return line.model_copy(update={"encoding": x.tolist()})


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"field {'.'.join(map(str, first['loc']))!r}: {first['msg']}"


def _refuse_doubles(path: Path, lines: Sequence[Line]) -> None:
    for what, names in (
        ("model", [line.stem for line in lines]),
        ("network", [str(line.encoding) for line in lines]),
    ):
        double = next((name for name in names if names.count(name) > 1), None)
        if double is not None:
            raise UserError(f"{path} names {what} {double} twice: keep one line of each")
