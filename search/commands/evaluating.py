"""`search evaluate`: both halves of Algorithm 2 for one network, its accuracy and its latency."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mosegnet.common.console import note, stdout
from mosegnet.common.errors import UserError
from search.commands.encodings import parse_encoding
from search.commands.supernet import DATA_HELP

if TYPE_CHECKING:
    from torch import Tensor

    from search.chosen import Chosen
    from search.datasets import Dataset
    from search.inference import Method

_WINDOW = "sliding windows HxW over the image in its own resolution  [default: the whole image at the network's input]"


@click.command()
@click.option("--supernet", type=click.Path(path_type=Path), help="inherited weights, with one of the three below")
@click.option("--encoding", help="the network, a JSON list of digits")
@click.option("--largest", is_flag=True, help="the largest network, at the largest input")
@click.option("--smallest", is_flag=True, help="the smallest network, at the smallest input")
@click.option("--network", type=click.Path(path_type=Path), help="a re-trained network's file, or a baseline's")
@click.option("--data", required=True, help=DATA_HELP)
@click.option("--split", type=click.Choice(["search", "test"]), default="search", show_default=True)
@click.option("--scales", default="1", show_default=True, help="average the logits at these scales, such as 0.5,1,1.5")
@click.option("--flip", is_flag=True, help="average with the mirror image's logits")
@click.option("--window", help=_WINDOW)
@click.option("--lut", type=click.Path(path_type=Path), help="also say its latency, by this table")
@click.option("--device", help="also measure its latency, on this device")
@click.option("--torch-device", default="cpu", show_default=True, help="where images are scored, such as cuda")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def evaluate(
    supernet: Path | None,
    encoding: str | None,
    largest: bool,
    smallest: bool,
    network: Path | None,
    data: str,
    split: str,
    scales: str,
    flip: bool,
    window: str | None,
    lut: Path | None,
    device: str | None,
    torch_device: str,
    as_json: bool,
) -> None:
    """Score one network, mean intersection over union at label resolution, and say what it costs.

    A sub-network of a supernet gets batch norms of its own first; a re-trained network is taken as it is. As in the
    paper, each image is seen whole and once, reduced to the network's input: latencies are of that.

    \b
    Example:
      search evaluate --supernet supernets/first.safetensors --data synthetic --largest
    """
    from search import metrics
    from search.datasets import load as load_data
    from search.inference import Method
    from search.latency import measured, predicted, table_for
    from search.scoring import Scorer

    method = Method(parse_scales(scales), flip, parse_size(window, "--window") if window else None)
    if (encoding is not None) + largest + smallest != (network is None) or (supernet is None) == (network is None):
        raise UserError("name one network: --supernet with --encoding, --largest or --smallest; or --network")
    dataset = load_data(data)
    if network is None:
        assert supernet is not None
        which = "largest" if largest else "smallest" if smallest else encoding or ""
        chosen = _inherited(supernet, which, dataset, torch_device)
    else:
        from search.chosen import retrained

        chosen = retrained(network)
    table = table_for(lut, chosen.space) if lut else None  # refused before an hour of scoring, not after
    confusions = Scorer(dataset, torch_device).confusions(chosen.network, split, method)
    confusion = confusions.sum(0)
    result = {
        "miou": float(metrics.miou(confusion)),
        **_by_class(confusion, dataset),
        "images": len(confusions),
        "split": split,
        "weights": chosen.weights,
        "encoding": list(chosen.network.architecture.encoding),
        "input_hw": list(chosen.network.architecture.input_hw),
        "scales": list(method.scales),
        "flip": method.flip,
        "window_hw": list(method.window_hw) if method.window_hw else None,
    }
    if table is not None:
        result["predicted"] = predicted(table, chosen.network.architecture)
    if device is not None:
        result["measured"] = measured(chosen.network.architecture, device)
    if not method.plain and (lut or device):
        note("the latency is of one pass over one image at the network's input; what was scored takes many")
    if as_json:
        click.echo(json.dumps(result))
    else:
        _print(result, method, dataset)


def parse_scales(text: str) -> tuple[float, ...]:
    """Numbers between commas.

    Raises:
        UserError: one is no number.
    """
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise UserError(f"--scales takes numbers between commas, such as 0.5,1,1.5, not {text!r}") from None


def parse_size(text: str, option: str) -> tuple[int, int]:
    """Height and width, as in 512x1024.

    Raises:
        UserError: it is not so written.
    """
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise UserError(f"{option} takes height and width, such as 512x1024, not {text!r}")
    return int(height), int(width)


def _inherited(path: Path, which: str, dataset: Dataset, torch_device: str) -> Chosen:
    from search.chosen import inherited
    from search.supernet import load as load_supernet

    trained = load_supernet(path)
    own = trained.space
    ends = {"largest": own.largest, "smallest": own.smallest}
    x = ends[which]() if which in ends else parse_encoding(which, own)
    return inherited(trained, x, dataset, torch_device)


def _by_class(confusion: Tensor, dataset: Dataset) -> dict[str, Any]:
    """IoU and counted pixels of each class; a class that never occurs has no IoU."""
    from search import metrics

    iou, square = metrics.iou(confusion).tolist(), confusion[:, :-1]
    labelled, predicted, hit = confusion.sum(1).tolist(), square.sum(0).tolist(), square.diagonal().tolist()
    pixels = {
        name: {"labelled": labelled[k], "predicted": predicted[k], "hit": hit[k]}
        for k, name in enumerate(dataset.classes)
    }
    present = {name: iou[k] for k, name in enumerate(dataset.classes) if not math.isnan(iou[k])}
    return {"iou": present, "pixels": pixels}


def _print(result: dict[str, Any], method: Method, dataset: Dataset) -> None:
    how = "" if len(method.scales) == 1 else f", {len(method.scales)} scales"
    how += ", mirrored too" if method.flip else ""
    how += ", windows of {}x{}".format(*method.window_hw) if method.window_hw else ""
    stdout.print(
        f"mIoU {result['miou']:.4f} on {dataset.name} {result['split']} ({result['images']} images{how}), "
        f"{result['weights']} weights",
        markup=False,
    )
    for name in dataset.classes:
        iou = result["iou"].get(name)
        stdout.print(f"  {name:<16} {'  –  ' if iou is None else f'{iou:.3f}'}", markup=False)
    for word in ("predicted", "measured"):
        if word in result:
            one = result[word]
            simulated = ", SIMULATED" if one.get("simulated") else ""
            stdout.print(
                f"latency {word}: {one['latency_ms']:.4g} ms ± {one['ci95_ms']:.2g} on {one['device']}{simulated}",
                markup=False,
            )
