"""Baselines are what their names say, run, train and become ONNX as the space's networks do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner

from mosegnet import architecture_json, onnx_graph
from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from mosegnet.cost import architecture_costs, costs
from mosegnet.graph import operators
from mosegnet.modules import Network, unit_forward, unit_module
from search import metrics
from search.cli import cli
from search.evaluate import Evaluator
from search.network_file import load_network
from search.retrain import baselines
from search.retrain.baselines import BASELINES, build, get
from search.supernet import load
from search.supernet.start import from_backbone

# multiply-adds (G) and parameters (M) at 224x224 as published, with the classifier of 1,000 classes
PUBLISHED = {
    "bisenet-resnet18": (1.814, 11.690, 512),
    "bisenet-resnet34": (3.664, 21.798, 512),
    "bisenet-resnet50": (4.089, 25.557, 2048),
    "bisenet-resnet50d": (4.33, 25.576, 2048),
    "bisenet-resnet101": (7.801, 44.549, 2048),
}


def randomised(module: torch.nn.Module) -> torch.nn.Module:
    """Batch norms that a mistake in folding could not survive."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in module.state_dict().items():
        if name.endswith(("running_var", "bn.weight")):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif name.endswith(("running_mean", "bn.bias")):
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.3)
    return module.eval()


@pytest.mark.parametrize("name", PUBLISHED)
def test_encoders_cost_what_is_published(name: str) -> None:
    macs, params, features = PUBLISHED[name]
    ops = [op for unit in build(get(name), 19, (224, 224)).units[:-1] for op in operators(unit)]
    classifier = features * 1000
    assert (sum(op.macs for op in ops) + classifier) / 1e9 == pytest.approx(macs, rel=2e-3)
    assert (sum(op.params for op in ops) + classifier + 1000) / 1e6 == pytest.approx(params, rel=1e-3)


@pytest.mark.parametrize("name", ["bisenet-tiny", "bisenet-resnet50", "bisenet-resnet50d"])
def test_a_whole_baseline_equals_its_onnx_graph(name: str) -> None:
    torch.manual_seed(0)
    architecture = build(get(name), 5, (64, 96))
    network = randomised(Network(architecture))
    image = torch.randn(1, 3, 64, 96)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    model = onnx_graph.network_model(architecture, weights)
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    found = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"image": image.numpy()})
    with torch.no_grad():
        expected = network(image).numpy()
    assert np.abs(found[0] - expected).max() <= 1e-4 * np.abs(expected).max()


def test_each_plain_unit_equals_its_graph() -> None:
    torch.manual_seed(0)
    units = {
        unit.kind: unit
        for name in ("bisenet-resnet18", "bisenet-resnet50")
        for unit in build(get(name), 5, (64, 96)).units[:-1]
    }
    assert set(units) == {"plain_stem", "basic", "basic_first", "plain", "plain_first"}
    for unit in units.values():
        module = randomised(unit_module(unit))
        inputs = [torch.randn(1, *shape) for shape in unit.input_shapes]
        weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
        session = onnxruntime.InferenceSession(onnx_graph.unit_model(unit, weights))
        found = session.run(None, {"x0": inputs[0].numpy()})[0]
        with torch.no_grad():
            expected = unit_forward(module, unit, inputs).numpy()
        assert found.shape[1:] == unit.output_shape
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", BASELINES)
def test_architectures_survive_json(name: str) -> None:
    architecture = build(get(name), 7)
    assert architecture_json.from_dict(architecture_json.to_dict(architecture)) == architecture


def test_the_small_one_costs_what_tiny_does() -> None:
    tiny = spaces.load("tiny")
    X = tiny.sample(200, np.random.default_rng(0))
    X[:, 0] = 2
    cost, own = costs(tiny, X), architecture_costs(build(get("bisenet-tiny"), tiny.classes))
    assert own.flops == pytest.approx(float(np.median(cost.flops)), rel=0.1)
    assert own.params == pytest.approx(float(np.median(cost.params)), rel=0.2)
    assert build(get("bisenet-tiny"), tiny.classes).decoder.fusion == tiny.decode(tiny.largest()).decoder.fusion


def test_a_baseline_of_any_cost() -> None:
    found = baselines.of_cost(get("bisenet-tiny"), 250_000_000, 11, (224, 288))
    assert architecture_costs(found).flops == pytest.approx(250e6, rel=0.1)
    with pytest.raises(UserError, match="take another baseline or input"):
        baselines.of_cost(get("bisenet-tiny"), 10**12, 11, (224, 288))


def test_the_command(tmp_path: Path, micro_dataset, micro_supernet, monkeypatch) -> None:
    monkeypatch.setattr("search.datasets.load", lambda spec: micro_dataset)
    out = tmp_path / "network.safetensors"
    words = ["baseline", "bisenet-tiny", "--data", "boxes", "--out", str(out), "--size", "64x128", "--steps", "40"]
    assert CliRunner().invoke(cli, words, catch_exceptions=False).exit_code == 0
    network, architecture, meta = load_network(out)
    assert (meta.name, meta.space, architecture.encoding, architecture.classes) == ("bisenet-tiny", None, (), 3)
    confusions = Evaluator(load(micro_supernet), micro_dataset).network_confusions(network, "test")
    assert float(metrics.miou(confusions.sum(0))) > 1.3 * 0.31  # of all background


def test_untrained_to_be_measured_and_listed(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    words = ["baseline", "bisenet-tiny", "--size", "64x96", "--onnx", str(path)]
    assert CliRunner().invoke(cli, words, catch_exceptions=False).exit_code == 0
    assert onnx.load(path).graph.output[0].type.tensor_type.shape.dim[2].dim_value == 64
    listed = CliRunner().invoke(cli, ["baseline", "--list"]).output.splitlines()
    assert [line.split()[0] for line in listed] == list(BASELINES)


@pytest.mark.parametrize(("name", "blocks"), [("bisenet-resnet18", 2), ("bisenet-resnet50", 3)])
def test_published_weights_of_plain_encoders(tmp_path: Path, name: str, blocks: int, capsys) -> None:
    network = Network(build(get(name), 3, (64, 96)))
    own = {key: torch.rand_like(tensor) for key, tensor in network.state_dict().items() if tensor.ndim}
    published = {}
    for key, tensor in own.items():
        if key.startswith("decoder."):
            continue
        at, part = key.rsplit(".", 1)
        if at.startswith("stem."):
            published[f"{'conv1' if at.endswith('conv') else 'bn1'}.{part}"] = tensor
            continue
        _, s, k, conv, kind = at.split(".")
        where = {"conv": "downsample.0", "bn": "downsample.1"}[kind] if conv == "shortcut" else f"{kind}{conv[-1]}"
        published[f"layer{int(s) + 1}.{k}.{where}.{part}"] = tensor
    assert f"layer1.0.bn{blocks}.weight" in published
    torch.save(published, tmp_path / "resnet.pth")
    from_backbone(tmp_path / "resnet.pth").take(network)
    assert all(torch.equal(network.state_dict()[key], own[key]) for key in own if not key.startswith("decoder."))
    assert "not taken" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--list"),
        (["none"], "choose one of bisenet-resnet18"),
        (["bisenet-tiny", "--size", "64"], "HEIGHTxWIDTH"),
        (["bisenet-tiny", "--size", "64x65"], "multiples of 32"),
        (["bisenet-tiny", "--data", "synthetic"], "both --data and --out"),
    ],
)
def test_bad_input(words: list[str], message: str) -> None:
    found = CliRunner().invoke(cli, ["baseline", *words])
    assert isinstance(found.exception, UserError)
    assert message in str(found.exception)
