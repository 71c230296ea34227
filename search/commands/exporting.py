"""`search export`: one network as a file to deploy, with a manifest beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from mosegnet import space as spaces
from mosegnet.common.console import note
from mosegnet.common.errors import UserError
from mosegnet.common.files import write_atomic, write_json
from mosegnet.onnx_graph import Output
from search.commands.encodings import SPACE_HELP, parse_encoding
from search.commands.evaluating import parse_size
from search.commands.supernet import DATA_HELP

if TYPE_CHECKING:
    from torch import Tensor

    from profiler.lut import Lut
    from search.chosen import Chosen
    from search.datasets import Dataset
    from search.deploy import Format
    from search.export import Precision
    from search.export_manifest import Known

FORMATS = ("onnx", "om", "tensorrt", "torch")
_ENDINGS = {"onnx": ".onnx", "om": ".om", "tensorrt": ".engine", "torch": ".pt2"}
_IMAGES = 2  # that outputs are compared on


@click.command()
@click.argument("run", metavar="[RUN]", required=False, type=click.Path(path_type=Path))
@click.option("--pick", "words", help="which network of RUN's front: an id such as n0123, or as `search pick` takes it")
@click.option("--encoding", help="the network, a JSON list of digits, where no run is given")
@click.option("--space", "spec", help=f"{SPACE_HELP}; the supernet's where one is given, else tiny")
@click.option("--supernet", type=click.Path(path_type=Path), help="inherit its weights  [default: RUN's own]")
@click.option("--network", type=click.Path(path_type=Path), help="take a re-trained network's file, or a baseline's")
@click.option("--data", help=f"{DATA_HELP}; its images are compared on  [default: RUN's]")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="onnx", show_default=True)
@click.option(
    "--precision", type=click.Choice(["fp32", "fp16"]), help="[default: the device's for om and tensorrt, else fp32]"
)
@click.option("--output", type=click.Choice(get_args(Output)), default="logits", show_default=True)
@click.option("--resize", help="HxW of the output, such as the camera's  [default: the network's input]")
@click.option("--device", help="measure on it; om and tensorrt are made for it and tried on it")
@click.option("--lut", type=click.Path(path_type=Path), help="predict the latency by this table  [default: RUN's]")
@click.option("--score", type=click.Choice(["search", "test"]), help="score the network on this split for the manifest")
@click.option("--out", type=click.Path(path_type=Path), help="the file to write  [default: in RUN, by the id]")
def export(
    run: Path | None,
    words: str | None,
    encoding: str | None,
    spec: str | None,
    supernet: Path | None,
    network: Path | None,
    data: str | None,
    format_: Format,
    precision: Precision | None,
    output: Output,
    resize: str | None,
    device: str | None,
    lut: Path | None,
    score: str | None,
    out: Path | None,
) -> None:
    """Write one network to deploy, batch norms folded, and a manifest beside it, FILE.json.

    Its outputs are compared with PyTorch's on images of the data set first, on the device itself for om and tensorrt;
    where they are off, nothing is written.

    \b
    Example:
      search sample -n 1 > network.json
      search export --encoding "$(cat network.json)" --space tiny --out network.onnx
    """
    from search.deploy import deploy
    from search.export import Form
    from search.export_manifest import manifest, manifest_path

    if format_ == "om" and precision == "fp32":
        raise UserError("--format om computes in fp16, as the board's converter is asked to: leave --precision out")
    form = Form(output, precision or "fp32", parse_size(resize, "--resize") if resize else None)
    source = _Source(run, words, encoding, spec, supernet, network, data)
    if out is None and run is None:
        raise UserError("--out says which file to write")
    chosen, row, dataset = _chosen(source)
    path = out or Path(str(run)) / "exports" / f"{(row or {})['id']}{_ENDINGS[format_]}"
    table = _table(source, lut, chosen)
    made = deploy(chosen.network, format_, form, _images(chosen, dataset), device, any_precision=precision is None)
    made.agreement.refuse(path, made.form.precision)
    known = _known(source, row, chosen, dataset, table, score)
    if device is not None:
        known = _measured(known, made.onnx, device, table)
    write_atomic(path, made.data)
    write_json(manifest_path(path), manifest(path, format_, chosen, made, known))
    found, simulated = made.agreement, ", SIMULATED" if made.device.get("simulated") else ""
    within = "" if found.largest_difference is None else f"within {found.largest_difference:.1e}, "
    note(
        f"wrote {path} and {manifest_path(path).name}: it agrees with PyTorch {within}"
        f"same class at {found.same_class_share:.2%} of the pixels of {found.images} images{simulated}"
    )


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the network is said to come from."""

    run: Path | None
    words: str | None
    encoding: str | None
    spec: str | None
    supernet: Path | None
    network: Path | None
    data: str | None

    def __post_init__(self) -> None:
        if (self.run is None) != (self.words is None):
            raise UserError("RUN and --pick go together: --pick names a network of the run's front")
        if self.supernet is not None and self.network is not None:
            raise UserError("--supernet inherits weights, --network takes re-trained ones: give one of them")
        if sum(one is not None for one in (self.run, self.encoding)) + (
            self.network is not None and self.run is None
        ) != 1:  # fmt: skip
            raise UserError("name one network: RUN with --pick, --encoding, or --network")
        if self.supernet is not None and self.run is None and self.data is None:
            raise UserError("--supernet needs --data, whose images re-estimate the batch norms")


def _chosen(source: _Source) -> tuple[Chosen, dict[str, Any] | None, Dataset | None]:
    """The network with its weights, the run's row of it, and the data set, each as far as there is one."""
    from search.chosen import front_row, refuse_other, retrained, untrained
    from search.datasets import load as load_data
    from search.wanted import config_of

    row = front_row(source.run, source.words or "") if source.run else None
    spec = source.data or (config_of(source.run)["data"] if source.run else None)
    dataset = load_data(spec) if spec else None
    if source.network is not None:
        chosen = retrained(source.network)
        if row is not None:
            refuse_other(chosen, row["encoding"], source.network)
        return chosen, row, dataset
    if source.supernet is None and source.run is None:
        own = spaces.load(source.spec or "tiny")
        note("no --supernet: the weights are random, good for timing and nothing else")
        return untrained(own, parse_encoding(source.encoding or "", own)), None, dataset
    assert dataset is not None
    return _inherited(source, row, dataset), row, dataset


def _inherited(source: _Source, row: dict[str, Any] | None, dataset: Dataset) -> Chosen:
    from search.chosen import inherited
    from search.supernet import load as load_supernet
    from search.wanted import config_of

    path = source.supernet
    if path is None:
        assert source.run is not None
        path = source.run / "supernet.safetensors"
        if not path.is_file():
            raise UserError(f"{source.run} keeps no supernet of its own: name the one it searched, --supernet")
    trained = load_supernet(path, spaces.load(source.spec) if source.spec else None)
    if source.run is not None and config_of(source.run)["supernet_sha256"] != trained.fingerprint():
        raise UserError(f"{path} is not the supernet that {source.run} searched: its scores are not this one's")
    x = row["encoding"] if row else parse_encoding(source.encoding or "", trained.space)
    return inherited(trained, x, dataset)


def _images(chosen: Chosen, dataset: Dataset | None) -> Tensor:
    """A few images as the network takes them: of the data set where there is one, else noise."""
    from search.export import random_images
    from search.scoring import refuse_other_classes

    if dataset is None:
        return random_images(chosen.network)
    refuse_other_classes(dataset, chosen.network.architecture.classes, "the network")
    return dataset.to_input(dataset.files("search").sample(_IMAGES).images, chosen.network.architecture.input_hw)


def _table(source: _Source, lut: Path | None, chosen: Chosen) -> Lut | None:
    """The table that is named, else the run's."""
    from search.latency import table_for
    from search.wanted import wanted

    if lut is not None:
        return table_for(lut, chosen.space)
    return wanted(source.run).lut if source.run else None


def _known(
    source: _Source,
    row: dict[str, Any] | None,
    chosen: Chosen,
    dataset: Dataset | None,
    table: Lut | None,
    score: str | None,
) -> Known:
    from search.export_manifest import Known
    from search.latency import predicted
    from search.supernet.store import DataSummary

    miou, run, measured = None, {}, None
    summary = chosen.data
    if summary is None and dataset is not None:
        summary = DataSummary(dataset.name, dataset.classes, dataset.mean, dataset.std)
    if row is not None and source.run is not None:
        run = {"folder": source.run.name, "id": row["id"], "pick": source.words}
        if chosen.weights == "inherited":
            miou = {"value": row["miou"], "split": "search", "data": dataset.name if dataset else None}
        if row["measured_ms"] is not None and table is not None:
            measured = {
                "latency_ms": row["measured_ms"],
                "ci95_ms": row["measured_ci95_ms"],
                "device": table.device.name,
            }
    if score is not None:
        miou = _scored(chosen, dataset, score)
    return Known(summary, miou, predicted(table, chosen.network.architecture) if table else None, measured, run)


def _scored(chosen: Chosen, dataset: Dataset | None, split: str) -> dict[str, Any]:
    from search import metrics
    from search.scoring import Scorer

    if dataset is None:
        raise UserError("--score needs --data")
    value = float(metrics.miou(Scorer(dataset).confusions(chosen.network, split).sum(0)))
    return {"value": value, "split": split, "data": dataset.name}


def _measured(known: Known, onnx: bytes, device: str, table: Lut | None) -> Known:
    """With what the device needs for the model itself, its class map and its resize included."""
    import tempfile
    from dataclasses import replace

    from search.latency import measured_file

    threads = table.device.threads if table is not None and table.device.name == device else None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        write_atomic(path, onnx)
        return replace(known, measured=measured_file(path, device, threads))
