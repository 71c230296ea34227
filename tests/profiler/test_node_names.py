"""Whose time a node is, by the names that ONNX Runtime and TensorRT give."""

import numpy as np
import pytest
from profiler_fixtures import small_space

from device_agents.standins import onnx_timing
from mosegnet.common.errors import UserError
from mosegnet.onnx_graph import network_model
from profiler.devices import Device
from profiler.initialisers import with_initialisers
from profiler.link import Link
from profiler.node_names import shares

SPACE = small_space()
LARGEST = SPACE.decode(SPACE.largest(0))


def whose(*named):
    return shares([(name, op, (1.0,)) for name, op in named], LARGEST)


def names(*named):
    return [" ".join(sorted(one)) for one in whose(*named)]


def test_nodes_are_told_by_name_and_conversions_by_their_neighbour():
    found = names(
        ("ReorderInput", "ReorderInput"),
        ("stem.t0_nchwc", "Conv"),
        ("ReorderOutput_token_3", "ReorderOutput"),
        ("Conv/stages.0.0.t0/raw", "FusedConv"),
        ("ReorderOutput", "ReorderOutput"),
        ("ReorderInput_token_9", "ReorderInput"),
        ("stages.2.1.t1_nchwc", "Conv"),
        ("Reformatting CopyNode for Input Tensor 0 to Conv/decoder.t1", "Reformat"),
        ("decoder.y", "Resize"),
        ("ReorderInput_at_the_end", "ReorderInput"),
    )
    assert found == ["stem"] * 3 + ["stages.0.0"] * 2 + ["stages.2.1"] * 2 + ["decoder"] * 3


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("Conv/stages.0.0.t0/raw + Relu/stages.0.0.t0", "stages.0.0"),
        ("Conv/stages.0.0.t0/raw + Add/stages.0.0.t2 + Relu/stages.0.0.y", "stages.0.0"),
        ("PWN(Relu/stem.t0)", "stem"),
        ("PWN(PWN(Sigmoid/decoder.t5), Mul/decoder.t6)", "decoder"),
        ("Conv/decoder.t9/raw || Conv/stages.3.0.t0/raw", "decoder stages.3.0"),
        ("{ForeignNode[Sigmoid/decoder.t5...Resize/decoder.t8]}", "decoder"),
        ("{ForeignNode[Conv/stages.3.2.t0/raw...Resize/decoder.y]}", "decoder stages.3.2 stages.3.3"),
        ("{ForeignNode[Conv/stages.3.2.t0/raw...Resize/decoder.y]} (Conv/stages.3.3.t0/raw)", "stages.3.3"),
        ("__myl_ResConc_myl0_3 (Resize/decoder.t16 + Concat/decoder.t21)", "decoder"),
        ("Reformatting CopyNode for Output Tensor 0 to Conv/stem.t0/raw + Relu/stem.t0", "stem"),
        ("Reformatting CopyNode for Input Tensor 1 to {ForeignNode[Mul/decoder.t6...Resize/decoder.t8]}", "decoder"),
        ("{ForeignNode[shape_constant...Conv/stem.t0/raw]}", "stem"),
        ("__myl_Cast_myl0_0", "stem"),  # nothing of the graph: the neighbour's
    ],
)
def test_the_names_of_tensorrt(name, units):
    assert names(("Conv/stem.t0/raw", "Conv"), (name, ""))[1] == units


def test_a_node_of_several_units_is_split_by_what_its_operators_cost():
    conv, pointwise = "Conv/stages.0.0.t1/raw", "Relu/stages.0.1.y"
    found = whose((f"{conv} + {pointwise}", ""))[0]
    assert sum(found.values()) == pytest.approx(1)
    assert found["stages.0.0"] > 0.8


def test_a_stretch_leaves_out_what_has_a_node_of_its_own():
    last = f"stages.3.{max(int(n.split('.')[2]) for n, _ in LARGEST.named_units() if n.startswith('stages.3.'))}"
    alone = [(f"Conv/{last}.t{k}/raw", "Conv") for k in range(9)] + [(f"Add/{last}.y", "Add")]
    stretch = ("{ForeignNode[Conv/stages.3.1.t0/raw...Resize/decoder.y]}", "Myelin")
    assert last in whose(stretch)[0]
    assert last not in whose(stretch, *alone)[0]


def test_names_of_another_graph_are_not_guessed():
    with pytest.raises(UserError, match="take --method hybrid"):
        whose(("Conv_0", "Conv"), ("my.decoder_layer", "Conv"))


@pytest.mark.parametrize("version", ["10", "11"])
def test_layers_of_the_stand_in_reach_their_units(version, tmp_path, monkeypatch):
    """Both versions fuse stretches and put conversions in, under names of their own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MOSEGNAS_GPU_STANDIN", version)
    data = with_initialisers(network_model(LARGEST))
    with Link(Device(name="gpu", runtime="tensorrt")) as link:
        profile = link.profile(data, 1, 3, "net")
    told = " ".join(name for name, _, _ in profile.nodes)
    assert "Reformatting CopyNode" in told
    assert ("{ForeignNode[" if version == "10" else "__myl_") in told
    spent = {}
    for owned, (_, _, runs_ms) in zip(shares(profile.nodes, LARGEST), profile.nodes, strict=True):
        for unit, share in owned.items():
            spent[unit] = spent.get(unit, 0.0) + share * float(np.mean(runs_ms))
    expected = {}
    for layer in onnx_timing.Graph(data).layers:
        unit = shares([(layer.name, "", ())], LARGEST)[0].popitem()[0]
        expected[unit] = expected.get(unit, 0.0) + layer.ms * (0.05 if layer.op in ("Relu", "Add") else 1)
    assert set(spent) == set(expected) == {name for name, _ in LARGEST.named_units()}
    apart = {name: spent[name] / expected[name] for name in spent}
    assert all(0.75 < ratio < 1.35 for name, ratio in apart.items() if name != "decoder"), apart
    assert sum(spent.values()) == pytest.approx(sum(map(np.mean, (node[2] for node in profile.nodes))))
