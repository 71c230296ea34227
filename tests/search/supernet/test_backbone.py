"""Published ResNet weights: state dicts with the names and shapes that torchvision, timm and Once-for-All publish."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from mosegnet.modules import Network
from search.supernet import backbone
from search.supernet.start import from_backbone

DEPTHS, WIDTHS = (3, 4, 6, 3), (64, 128, 256, 512)


@pytest.fixture(scope="module")
def space() -> spaces.Space:
    return spaces.load({"preset": "paper", "scales": [[64, 128], [96, 160], [96, 192]], "classes": 3})


@pytest.fixture
def network(space) -> Network:
    torch.manual_seed(0)
    return Network(space.decode(space.largest()))


def norm(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def resnet50(deep_stem: bool) -> dict[str, Tensor]:
    """torchvision's ResNet-50, or timm's ResNet-50-D."""
    shapes: list[tuple[str, tuple[int, ...]]] = []
    if deep_stem:
        for place, outs, ins in ((0, 32, 3), (3, 32, 32), (6, 64, 32)):
            shapes.append((f"conv1.{place}.weight", (outs, ins, 3, 3)))
        shapes += [*norm("conv1.1", 32), *norm("conv1.4", 32)]
    else:
        shapes.append(("conv1.weight", (64, 3, 7, 7)))
    shapes += norm("bn1", 64)
    before = 64
    for s, (depth, width) in enumerate(zip(DEPTHS, WIDTHS, strict=True), start=1):
        for k in range(depth):
            layer = f"layer{s}.{k}"
            for n, shape in enumerate([(width, before, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)], 1):
                shapes += [(f"{layer}.conv{n}.weight", shape), *norm(f"{layer}.bn{n}", shape[0])]
            if k == 0:
                first = 1 if deep_stem else 0
                shapes.append((f"{layer}.downsample.{first}.weight", (4 * width, before, 1, 1)))
                shapes += norm(f"{layer}.downsample.{first + 1}", 4 * width)
            before = 4 * width
    shapes += [("fc.weight", (1000, 2048)), ("fc.bias", (1000,))]
    return filled(shapes)


def once_for_all() -> dict[str, Tensor]:
    """Once-for-All's ResNet-50-D supernet."""
    shapes: list[tuple[str, tuple[int, ...]]] = []
    for place, outs, ins in (("0", 32, 3), ("1.conv", 32, 32), ("2", 64, 32)):
        shapes += [
            (f"input_stem.{place}.conv.conv.weight", (outs, ins, 3, 3)),
            *norm(f"input_stem.{place}.bn.bn", outs),
        ]
    block, before = 0, 64
    for depth, outs, middle in zip((4, 4, 6, 4), (256, 512, 1024, 2048), (88, 176, 360, 720), strict=True):
        for k in range(depth):
            name = f"blocks.{block}"
            for n, shape in enumerate([(middle, before, 1, 1), (middle, middle, 3, 3), (outs, middle, 1, 1)], 1):
                shapes += [(f"{name}.conv{n}.conv.conv.weight", shape), *norm(f"{name}.conv{n}.bn.bn", shape[0])]
            if k == 0:
                shapes.append((f"{name}.downsample.conv.conv.weight", (outs, before, 1, 1)))
                shapes += norm(f"{name}.downsample.bn.bn", outs)
            before, block = outs, block + 1
    shapes += [("classifier.linear.linear.weight", (1000, 2048)), ("classifier.linear.linear.bias", (1000,))]
    return filled(shapes)


def filled(shapes: list[tuple[str, tuple[int, ...]]]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in shapes:
        fan = max(1, torch.Size(shape[1:]).numel())
        value = torch.randn(shape, generator=generator) * (2 / fan) ** 0.5 if len(shape) > 1 else torch.ones(shape)
        tensors[name] = value.abs() if name.endswith("running_var") else value
    return tensors


def test_resnet_50_d_is_whole_but_for_its_classifier(network: Network) -> None:
    tensors = resnet50(deep_stem=True)
    found = backbone.apply(tensors, network)
    assert set(found.unmapped) == {"fc.weight", "fc.bias"}
    assert found.taken == len(tensors) - 2
    own = network.state_dict()
    torch.testing.assert_close(own["stem.conv2.conv.weight"], tensors["conv1.6.weight"])
    torch.testing.assert_close(own["stages.1.0.conv1.conv.weight"][:128], tensors["layer2.0.conv1.weight"])
    torch.testing.assert_close(own["stages.1.0.shortcut.conv.weight"], tensors["layer2.0.downsample.1.weight"])
    fresh = {name.rpartition(".")[0].rpartition(".")[0] for name in found.fresh}
    assert {"stem.blocks.1", "stages.0.3.conv1", "stages.3.3.conv3"} <= fresh


def test_the_network_computes_what_the_published_one_does(network: Network, space) -> None:
    """ResNet-50-D is itself a network of the space: the largest one with what it lacks silent gives its features."""
    backbone.apply(resnet50(deep_stem=True), network)
    inner = space.largest()
    inner[1] = 1  # one residual block in the stem
    for place, depth in zip((3, 9, 15, 23), (1, 2, 2, 1), strict=True):
        inner[place] = depth
    for first, slots in zip((5, 11, 17, 25), (4, 4, 6, 4), strict=True):
        inner[first : first + slots] = 1  # e = 0.25
    image = torch.randn(2, 3, 64, 64)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    network.train()
    with torch.no_grad():
        whole, own = network.features(image), network.features(image, space.decode(inner))
    for a, b in zip(whole, own, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_a_plain_resnet_50_lacks_the_stem(network: Network) -> None:
    before = network.state_dict()["stem.conv2.bn.weight"].clone()
    tensors = resnet50(deep_stem=False)
    found = backbone.apply(tensors, network)
    stem = {name for name in tensors if name.startswith(("conv1.", "bn1."))}
    assert set(found.unmapped) == {*stem, "fc.weight", "fc.bias"}
    assert torch.equal(network.state_dict()["stem.conv2.bn.weight"], before)


@pytest.mark.parametrize("static_names", [False, True])
def test_once_for_all_is_whole(network: Network, static_names: bool) -> None:
    tensors = once_for_all()
    if static_names:
        tensors = {
            name.replace("conv.conv.weight", "conv.weight").replace("bn.bn", "bn").replace("linear.linear", "linear"): x
            for name, x in tensors.items()
        }
    found = backbone.apply(tensors, network)
    assert all(name.startswith("classifier.") for name in found.unmapped)
    assert found.taken == len(tensors) - 2
    assert all(name.startswith("stem.blocks.1.") for name in found.fresh)


@pytest.mark.parametrize("form", ["safetensors", "state_dict", "plain"])
def test_files(tmp_path: Path, network: Network, form: str, capsys) -> None:
    tensors = {f"module.{name}" if form == "state_dict" else name: x for name, x in resnet50(True).items()}
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        safetensors.torch.save_file(tensors, path)
    else:
        torch.save({"state_dict": tensors, "epoch": 3} if form == "state_dict" else tensors, path)
    start = from_backbone(path)
    assert start.take(network) == frozenset()
    assert start.name.startswith("backbone ")
    said = capsys.readouterr().err
    assert "fc.weight (another kind of layer)" in said
    assert "stem.blocks.1.conv.weight" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"junk", "damaged"), (nn.Linear(1, 1), "hold more than tensors"), ({}, "hold no tensors"), ([], "no state dict")],
)
def test_what_is_no_weights(tmp_path: Path, content: object, said: str) -> None:
    path = tmp_path / "w.pth"
    with pytest.raises(UserError, match="do not exist"):
        from_backbone(path)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=said):
        from_backbone(path)


def test_weights_of_another_network(tmp_path: Path, network: Network) -> None:
    path = tmp_path / "w.pth"
    torch.save({"head.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(UserError, match="not one tensor of"):
        from_backbone(path).take(network)
