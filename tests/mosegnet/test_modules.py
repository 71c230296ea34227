"""Torch modules, weight sharing and ONNX graphs say the same thing."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from mosegnet import onnx_graph
from mosegnet import space as spaces
from mosegnet.architecture import Architecture
from mosegnet.modules import Network, extract, unit_forward, unit_module

TINY = spaces.load("tiny")
SMALL_PAPER = spaces.load({"preset": "paper", "scales": [[64, 96]]})  # the paper's widths, an input that is quick


def randomised(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Fresh weights, and batch norm statistics that a mistake in folding could not survive."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var") or name.endswith("bn.weight"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif name.endswith(("running_mean", "bn.bias", "conv.bias")):
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.3)
    return module.eval()


def run(model: bytes, inputs: dict[str, torch.Tensor]) -> np.ndarray:
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})[0]


def arrays(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def assert_close(found: np.ndarray, expected: torch.Tensor) -> None:
    scale = float(expected.abs().max())
    assert scale > 1e-3, "an output near zero proves nothing"
    assert np.abs(found - expected.numpy()).max() <= 1e-4 * scale


@pytest.mark.parametrize("space", [TINY, SMALL_PAPER], ids=lambda s: s.name)
def test_every_kind_of_unit_equals_its_onnx_graph(space: spaces.Space) -> None:
    torch.manual_seed(0)
    picked = {(unit.kind, getattr(unit, "stride", 0), getattr(unit, "depth", 0)): unit for unit in space.units}
    assert len(picked) == 3 + 2 + 1 + 1
    for unit in picked.values():
        module = randomised(unit_module(unit), seed=1)
        inputs = [torch.randn(1, *shape) for shape in unit.input_shapes]
        with torch.no_grad():
            expected = unit_forward(module, unit, inputs)
        assert tuple(expected.shape[1:]) == unit.output_shape
        named = {f"x{k}": x for k, x in enumerate(inputs)}
        assert_close(run(onnx_graph.unit_model(unit, arrays(module)), named), expected)


@pytest.mark.parametrize("space", [TINY, SMALL_PAPER], ids=lambda s: s.name)
def test_whole_networks_equal_their_onnx_graphs(space: spaces.Space) -> None:
    torch.manual_seed(0)
    for x in [space.smallest(), space.largest(), *space.sample(2, np.random.default_rng(0))]:
        architecture = space.decode(x)
        network = randomised(Network(architecture), seed=2)
        image = torch.randn(1, 3, *architecture.input_hw)
        with torch.no_grad():
            expected = network(image)
        assert_close(run(onnx_graph.network_model(architecture, arrays(network)), {"image": image}), expected)


def sub_networks(space: spaces.Space, n: int) -> list[Architecture]:
    return [space.decode(x) for x in [space.smallest(), *space.sample(n, np.random.default_rng(5))]]


def test_a_slice_of_the_supernet_is_the_extracted_network() -> None:
    torch.manual_seed(0)
    supernet = randomised(Network(TINY.decode(TINY.largest())), seed=3)
    for architecture in sub_networks(TINY, 3):
        image = torch.randn(2, 3, *architecture.input_hw)
        with torch.no_grad():
            shared, alone = supernet(image, architecture), extract(supernet, architecture).eval()(image)
        torch.testing.assert_close(shared, alone)


def test_gradients_reach_the_leading_slices_and_nothing_else() -> None:
    torch.manual_seed(0)
    supernet = Network(TINY.decode(TINY.largest()))
    architecture = TINY.decode(TINY.smallest())
    logits, *auxiliary = supernet(torch.randn(2, 3, 96, 128), architecture)
    assert [tuple(x.shape) for x in (logits, *auxiliary)] == [(2, 11, 96, 128)] * 3
    (logits.square().mean() + sum(x.square().mean() for x in auxiliary)).backward()
    small = Network(architecture).state_dict()
    for name, parameter in supernet.named_parameters():
        if name not in small:
            assert parameter.grad is None, f"{name} belongs to a layer that is off"
            continue
        outside = torch.ones_like(parameter, dtype=torch.bool)
        outside[tuple(slice(0, size) for size in small[name].shape)] = False
        assert parameter.grad is not None
        assert parameter.grad[outside].abs().sum() == 0
        assert parameter.grad[~outside].abs().sum() > 0 or name.endswith("bn.bias")


def test_profile_models_load_and_are_small() -> None:
    for unit in [TINY.units[0], TINY.units[20], TINY.units[150], TINY.units[179]]:
        stub = onnx_graph.stub_model(unit)
        assert len(stub) < 12_000
        inputs = {
            f"x{k}": torch.ones(1, *(shape if shape[0] == 3 else (8, *shape[1:])))
            for k, shape in enumerate(unit.input_shapes)
        }
        pooled = run(stub, inputs)
        assert pooled.shape == (1, unit.output_shape[0], 1, 1)
        assert np.isfinite(pooled).all()
        for k, shape in enumerate(unit.input_shapes):
            context = run(onnx_graph.context_model(shape), {"x0": inputs[f"x{k}"]})
            assert context.shape == (1, shape[0], 1, 1)
    network = onnx_graph.network_model(TINY.decode(TINY.largest(scale=0)))
    assert len(network) < 100_000
    assert np.isfinite(run(network, {"image": torch.ones(1, 3, 96, 128)})).all()


def test_opset_is_one_that_old_converters_know() -> None:
    model = onnx.load_from_string(onnx_graph.network_model(TINY.decode(TINY.smallest())))
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 11)]
    assert model.ir_version == 6
