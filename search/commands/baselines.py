"""`search baseline`: networks that nobody searched, trained and measured as ours are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mosegnet.common.console import note, stdout
from mosegnet.common.errors import UserError
from search.commands.retraining import Training, is_finished, train_one, training_options
from search.commands.supernet import DATA_HELP

if TYPE_CHECKING:
    from mosegnet.architecture import Architecture

_SIZE = re.compile(r"(\d+)x(\d+)")


@click.command()
@click.argument("name", required=False)
@click.option("--list", "listed", is_flag=True, help="name all baselines with their costs")
@click.option("--data", help=DATA_HELP + "; train on it")
@click.option("--out", type=click.Path(path_type=Path), help="the safetensors file of the trained network")
@click.option("--size", help="input HEIGHTxWIDTH, multiples of 32  [default: the baseline's own]")
@click.option("--onnx", type=click.Path(path_type=Path), help="write it untrained, to be measured")
@click.option("--backbone-weights", "backbone", type=click.Path(path_type=Path), help="begin with a published encoder")
@click.option("--classes", type=click.IntRange(2), default=19, show_default=True, help="where there is no --data")
@training_options
def baseline(
    name: str | None,
    listed: bool,
    data: str | None,
    out: Path | None,
    size: str | None,
    onnx: Path | None,
    backbone: Path | None,
    classes: int,
    **options: Any,
) -> None:
    """Train a network that nobody searched, under the same decoder as ours, or write it to be measured.

    What was trained is evaluated and exported as any other network's file.

    \b
    Example:
      search baseline bisenet-tiny --data synthetic --minutes 5 --out baselines/tiny.safetensors
    """
    from search.datasets import load as load_data
    from search.retrain import baselines
    from search.supernet.start import from_backbone

    if listed:
        for own in baselines.BASELINES.values():
            _say(own.name, baselines.build(own, classes))
        return
    if name is None:
        raise UserError("name a baseline, or --list them")
    own, input_hw = baselines.get(name), _size(size)
    if (data is None) != (out is None):
        raise UserError("a training needs both --data and --out")
    if data is None or out is None:
        architecture = baselines.build(own, classes, input_hw)
        _say(name, architecture)
        if onnx:
            _write_untrained(name, architecture, onnx)
        return
    if onnx:
        raise UserError(f"--onnx writes an untrained network: train first, then `search export {out}`")
    training = Training(data, out, **options)
    if not is_finished(training):
        dataset = load_data(data)
        architecture = baselines.build(own, len(dataset.classes), input_hw)
        full_hw = max(own.input_hw, architecture.input_hw)
        start = from_backbone(backbone) if backbone else None
        train_one(name, architecture, full_hw, dataset, training, None, lambda device: (start, None))


def _say(name: str, architecture: Architecture) -> None:
    from mosegnet.cost import architecture_costs

    height, width = architecture.input_hw
    stdout.print(f"{name:<18} {height}x{width}: {architecture_costs(architecture)}", markup=False, highlight=False)


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UserError(f"--size takes HEIGHTxWIDTH, such as 512x1024, not {text!r}")
    return int(match[1]), int(match[2])


def _write_untrained(name: str, architecture: Architecture, path: Path) -> None:
    from search.export import export_onnx, random_images
    from search.retrain.one_network import OneNetwork
    from search.supernet.tasks import initial_network

    network = initial_network(OneNetwork(name, architecture, architecture.input_hw), seed=0)
    export_onnx(network, path, random_images(network)[:1])
    note(f"wrote {path}: the weights are random, good for timing and nothing else")
