"""The command `profiler`: results on standard output, progress and warnings on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import click
from rich.table import Table as Grid

from mosegnet import space as spaces
from mosegnet.common.console import note, run_command, stdout
from mosegnet.common.errors import UserError
from profiler import devices as registry
from profiler import lut as tables
from profiler.schema import Validation

_CHUNK = 10_000  # encodings read and looked up at a time

_device = click.option("--device", "-d", "device_name", required=True, metavar="D", help="A device, see `devices`.")
_lut = click.option("--lut", "lut_path", required=True, type=click.Path(path_type=Path), metavar="L", help="A table.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mosegnas-hil")
def cli() -> None:
    """Measure devices into latency tables.

    Example: profiler build-lut --device cpu --space tiny
    """


@cli.command()
def devices() -> None:
    """List the devices that are known.

    Example: profiler devices
    """
    grid = Grid("name", "link", "runtime", "threads", "simulated", "from")
    for device in registry.known().values():
        simulated = "yes" if device.simulated else "no"
        grid.add_row(device.name, device.link, device.runtime, str(device.threads), simulated, device.source)
    stdout.print(grid)


@cli.command()
@_device
def doctor(device_name: str) -> None:
    """Say whether a device is fit to measure, and what to do where it is not.

    Example: profiler doctor --device cpu
    """
    from profiler.doctor import examine

    for finding in examine(registry.find(device_name)):
        mark, remedy = ("ok   ", "") if finding.good else ("check", f" → {finding.remedy}")
        stdout.print(f"{mark} {finding.what}{remedy}", markup=False)


@cli.command("build-lut")
@_device
@click.option("--space", "space_spec", default="tiny", show_default=True, metavar="S", help="A preset or a JSON file.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="The table; luts/D.json by default.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted build.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the runtime; the device's own by default.")
@click.option("--seed", type=int, default=0, show_default=True, help="Order of measuring, networks of the proof.")
def build_lut(
    device_name: str, space_spec: str, out: Path | None, resume: bool, threads: int | None, seed: int
) -> None:
    """Measure every unit of a space into a table, calibrated and proven on whole networks.

    Example: profiler build-lut --device cpu --space tiny --out luts/cpu.json
    """
    from profiler.build import build, journal_path, replace_threads

    device = replace_threads(registry.find(device_name), threads)
    space = spaces.load(space_spec)
    out = out or Path("luts") / f"{device.name}.json"
    if resume and _is_finished(out, journal_path(out), space):
        note(f"{out} is finished: there is nothing to resume")
        lut = tables.load(out)
    else:
        lut = build(device, space, out, seed, resume)
    assert lut.table.validation is not None
    stdout.print(f"{out}: {len(lut.table.entries)} entries", markup=False)
    _print_validation(lut.table.validation)


@cli.command()
@_lut
@_device
@click.option("--networks", type=int, default=24, show_default=True, metavar="N", help="How many held-out networks.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which networks.")
@_json
def validate(lut_path: Path, device_name: str, networks: int, seed: int, as_json: bool) -> None:
    """Measure held-out networks against a table: half uniform draws, half from small to large.

    Example: profiler validate --lut luts/cpu.json --device cpu --networks 20
    """
    from profiler.build import validate as validate_

    found = validate_(tables.load(lut_path), registry.find(device_name), networks, seed)
    if as_json:
        click.echo(json.dumps(found.model_dump(mode="json")))
    else:
        _print_validation(found)


@cli.command()
@_lut
@click.argument("file", type=click.File("r"), default="-")
@_json
def predict(lut_path: Path, file: IO[str], as_json: bool) -> None:
    """Latency of encodings, one JSON list a line in FILE or on standard input.

    Example: search sample --space tiny -n 5 --seed 1 | profiler predict --lut luts/cpu.json
    """
    lut = tables.load(lut_path)
    lines = enumerate(file, start=1)
    while chunk := list(islice(lines, _CHUNK)):
        numbered = [(number, _encoding(number, line)) for number, line in chunk if line.strip()]
        if not numbered:
            continue
        for latency_ms, ci95_ms in zip(*_predict(lut, numbered), strict=True):
            if as_json:
                click.echo(json.dumps({"latency_ms": round(latency_ms, 6), "ci95_ms": round(ci95_ms, 6)}))
            else:
                click.echo(f"{latency_ms:.4g} ms ± {ci95_ms:.2g}")


@cli.command()
@click.argument("lut_path", metavar="L", type=click.Path(path_type=Path))
def show(lut_path: Path) -> None:
    """Say what a table knows and where it is from.

    Example: profiler show luts/cpu.json
    """
    from profiler.words import describe

    for line in describe(tables.load(lut_path)):
        stdout.print(line, markup=False)


@cli.command()
@_device
@click.argument("models", nargs=-1, required=True, metavar="MODEL.onnx...", type=click.Path(path_type=Path))
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the runtime; the device's own by default.")
@_json
def measure(device_name: str, models: tuple[Path, ...], threads: int | None, as_json: bool) -> None:
    """Time any models with the care of a table: in turns, in several visits.

    Example: profiler measure --device cpu network.onnx --json
    """
    from profiler.build import measure as measure_
    from profiler.build import replace_threads

    device = replace_threads(registry.find(device_name), threads)
    missing = next((path for path in models if not path.is_file()), None)
    if missing is not None:
        raise UserError(f"model {missing} does not exist")
    results: list[dict[str, Any]] = [
        {
            "model": str(path),
            "latency_ms": round(found.latency_ms, 6),
            "ci95_ms": round(found.ci95_ms, 6),
            "samples": found.samples,
            "converged": found.converged,
            "flags": list(found.flags),
        }
        for path, found in zip(models, measure_(device, models), strict=True)
    ]
    if as_json:
        click.echo(json.dumps(results))
        return
    for result in results:
        flags = f" ({', '.join(result['flags'])})" if result["flags"] else ""
        click.echo(f"{result['model']}: {result['latency_ms']:.4g} ms ± {result['ci95_ms']:.2g}{flags}")


def main() -> None:
    """Entry point of the command."""
    run_command(cli, prog_name="profiler")


def _is_finished(out: Path, journal: Path, space: spaces.Space) -> bool:
    return out.exists() and not journal.exists() and tables.load(out, space).table.validation is not None


def _encoding(number: int, line: str) -> list[Any]:
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if isinstance(value, dict):
        value = value.get("encoding")
    if not isinstance(value, list):
        raise UserError(f"line {number} is no encoding: give one JSON list of digits a line")
    return value


def _predict(lut: tables.Lut, numbered: list[tuple[int, list[Any]]]) -> Iterator[list[float]]:
    try:
        found = lut.predict_interval([encoding for _, encoding in numbered])
    except UserError:
        for number, encoding in numbered:  # the whole chunk failed: find the line
            try:
                lut.space.validate([encoding])
            except UserError as error:
                raise UserError(f"line {number}: {error}") from None
        raise
    return iter([column.tolist() for column in found])


def _print_validation(found: Validation) -> None:
    grid = Grid("held-out networks", "tau", "tau in scale", "r", "MAPE %", "bias %", "within ±5 %", "within ±10 %")
    for name, one in (("table", found), ("FLOPs", found.flops), ("FLOPs + params", found.flops_params)):
        within = "–" if one.kendall_tau_within_scale is None else f"{one.kendall_tau_within_scale:.3f}"
        grid.add_row(
            name, f"{one.kendall_tau:.3f}", within, f"{one.pearson_r:.4f}", f"{one.mape_percent:.2f}",
            f"{one.bias_percent:+.2f}", f"{one.within_5_percent:.0f}", f"{one.within_10_percent:.0f}",
        )  # fmt: skip
    stdout.print(grid)
    stdout.print(
        f"{found.networks} networks · label noise {found.label_noise_percent:.2f} % · a perfect predictor would score "
        f"tau {found.tau_ceiling:.3f} · {found.coverage_percent:.0f} % inside their 95 % intervals"
    )


if __name__ == "__main__":
    main()
