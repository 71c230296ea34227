"""One network's file: read back as it was written, refused in one line where it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from mosegnet.common.errors import UserError
from mosegnet.modules import Network
from search.network_file import NetworkMeta, is_network, load_network, save_network
from search.supernet.store import DataSummary

GREY = (0.5, 0.5, 0.5)


@pytest.fixture
def saved(tmp_path: Path, micro_space) -> tuple[Path, Network, NetworkMeta]:
    network = Network(micro_space.decode(micro_space.smallest(1))).eval()
    meta = NetworkMeta("n0007", DataSummary("boxes", ("a", "b", "c"), GREY, GREY), micro_space, {"steps": 3})
    path = tmp_path / "network.safetensors"
    save_network(path, network, meta)
    return path, network, meta


def test_round_trip(saved) -> None:
    path, network, meta = saved
    again, architecture, own = load_network(path)
    assert architecture == network.architecture
    assert own.space.fingerprint == meta.space.fingerprint
    assert (own.name, own.data, own.training) == (meta.name, meta.data, meta.training)
    image = torch.randn(1, 3, *architecture.input_hw)
    with torch.no_grad():
        assert torch.equal(again(image), network(image))
    assert not again.training
    assert is_network(path)


def changed(path: Path, **values) -> None:
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    described = json.loads(header["__metadata__"]["mosegnet"]) | values
    path.write_bytes(safetensors.torch.save(safetensors.torch.load(data), {"mosegnet": json.dumps(described)}))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"schema": "mosegnet-supernet"}, "not one network but mosegnet-supernet"),
        ({"schema_version": 2}, "schema version 2"),
        ({"architecture": {}}, "damaged: the architecture cannot be read"),
        ({"data": {"name": "boxes"}}, "damaged: KeyError"),
    ],
)
def test_what_cannot_be_read_is_one_line(saved, values, words) -> None:
    changed(saved[0], **values)
    with pytest.raises(UserError, match=words):
        load_network(saved[0])


def test_units_of_another_network_are_refused(saved, micro_space) -> None:
    from mosegnet import architecture_json

    path = saved[0]
    changed(path, architecture=architecture_json.to_dict(micro_space.decode(micro_space.largest())))
    with pytest.raises(UserError, match="tensors are not those"):
        load_network(path)
    broken = architecture_json.to_dict(saved[1].architecture)
    broken["units"][2]["channels_in"] += 2
    changed(path, architecture=broken)
    with pytest.raises(UserError, match="do not fit together"):
        load_network(path)


def test_cut_and_missing_files(saved, tmp_path: Path) -> None:
    path = saved[0]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="damaged"):
        load_network(path)
    with pytest.raises(UserError, match="does not exist"):
        load_network(tmp_path / "none")
    assert not is_network(tmp_path / "none")
