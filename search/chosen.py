"""The one network that a command is about: a supernet's with its weights, a re-trained one, or one without training."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mosegnet.common.errors import UserError
from mosegnet.modules import Network
from mosegnet.space import Space
from search.datasets.base import Dataset
from search.evaluate import Evaluator
from search.export import random_network
from search.network_file import load_network
from search.preferences import Networks, pick
from search.summary import front_rows
from search.supernet.store import DataSummary, Supernet
from search.wanted import wanted

_ID = re.compile(r"n\d+")
_BEST = {"fastest": ("latency_ms", min), "best": ("miou", max)}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A network that is ready, on the CPU and in evaluation mode.

    `weights` says where they come from: random, inherited or re-trained. `data` is what it was trained on; absent for
    random ones. `space` is absent for what is of none, such as a baseline.
    """

    network: Network
    weights: str
    name: str
    space: Space | None
    data: DataSummary | None


def inherited(supernet: Supernet, encoding: ArrayLike, dataset: Dataset, device: str = "cpu") -> Chosen:
    """A sub-network with the supernet's weights; its batch norms are re-estimated on the data set.

    Raises:
        UserError: the data set has other classes than the supernet, or an image cannot be read.
    """
    network = Evaluator(supernet, dataset, device).prepare(encoding).cpu()
    return Chosen(network, "inherited", _digits(encoding), supernet.space, supernet.data)


def retrained(path: Path) -> Chosen:
    """A network of a file: re-trained, or a baseline.

    Raises:
        UserError: the file is missing or not one network's.
    """
    network, _, meta = load_network(path)
    return Chosen(network, "re-trained", meta.name, meta.space, meta.data)


def refuse_other(chosen: Chosen, encoding: ArrayLike, path: Path) -> None:
    """Stop where a network's file holds another one than the encoding says.

    Raises:
        UserError: it does.
    """
    own = np.asarray(chosen.network.architecture.encoding)
    if own.tolist() != np.asarray(encoding).tolist():
        raise UserError(f"{path} holds another network than the one that was picked: its encoding is {own.tolist()}")


def untrained(space: Space, encoding: ArrayLike) -> Chosen:
    """A network with random weights, the same each time: good for timing and nothing else."""
    x = np.asarray(encoding)
    return Chosen(random_network(space, x), "random", _digits(x), space, None)


def front_row(folder: Path, words: str) -> dict[str, Any]:
    """The network of a finished run's front that an id, such as n0123, `fastest`, `best` or a preference means.

    Raises:
        UserError: the folder holds no finished run, the words cannot be read, or nothing in the front meets them.
    """
    rows = front_rows(folder)
    if not rows:
        raise UserError(f"the front of {folder} is empty: there is nothing to pick from")
    if words in _BEST:
        column, extreme = _BEST[words]
        return extreme(rows, key=lambda row: row[column])
    by_id = {row["id"]: row for row in rows}
    if words in by_id:
        return by_id[words]
    if _ID.fullmatch(words):
        raise UserError(f"no network {words} in the front of {folder}, only {', '.join(by_id)}")
    own = wanted(folder)
    front = Networks(
        np.array([row["encoding"] for row in rows], dtype=np.int64),
        np.array([row["miou"] for row in rows]),
        np.array([row["ci95_ms"] for row in rows]),
    )
    return rows[pick(words, front, own.catalogue, own.goals, own.lut.space.largest()).row]


def _digits(encoding: ArrayLike) -> str:
    return "-".join(map(str, np.asarray(encoding).tolist()))
