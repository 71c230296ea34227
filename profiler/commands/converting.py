"""`profiler convert`: a model as a device loads it, and what the device computes with it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from mosegnet.common.errors import UserError
from profiler import devices as registry
from profiler.commands import options

_npz = click.Path(path_type=Path)


@click.command()
@options.device
@click.argument("model", metavar="MODEL.onnx", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=_npz, metavar="FILE", help="The converted model.")
@click.option("--run", "inputs", type=_npz, metavar="IN.npz", help="Also run it on these: an array of runs an input.")
@click.option("--results", type=_npz, metavar="OUT.npz", help="Where its outputs go: a row of values a run.")
@options.as_json
def convert(device_name: str, model: Path, out: Path, inputs: Path | None, results: Path | None, as_json: bool) -> None:
    """Write a model as a device loads it: an OM, an engine of TensorRT, or the ONNX file as its runtime wants it.

    With --run the device also computes: IN.npz has an array (runs, 1, C, H, W) for each input of the model.

    Example: profiler convert --device atlas-emulator network.onnx --out network.om
    """
    from profiler import converting

    if (inputs is None) != (results is None):
        raise UserError("--run and --results go together: inputs from one file, outputs into the other")
    if not model.is_file():
        raise UserError(f"model {model} does not exist")
    feeds = converting.read_feeds(inputs) if inputs else []
    found = converting.convert(registry.find(device_name), model, feeds)
    converting.write(found, out, results)
    if as_json:
        click.echo(json.dumps({"file": str(out), **found.described}))
        return
    simulated = ", SIMULATED" if found.described["simulated"] else ""
    click.echo(f"{out}: {len(found.data)} bytes for {device_name}{simulated}")
