"""`profiler devices`, `doctor` and `measure`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.table import Table as Grid

from mosegnet.common.console import stdout
from mosegnet.common.errors import UserError
from profiler import devices as registry
from profiler.commands import options


@click.command()
def devices() -> None:
    """List the devices that are known.

    Example: profiler devices
    """
    grid = Grid("name", "link", "runtime", "threads", "simulated", "from")
    for device in registry.known().values():
        simulated = "yes" if device.simulated else "no"
        grid.add_row(device.name, device.link, device.runtime, str(device.threads), simulated, device.source)
    stdout.print(grid)


@click.command()
@options.device
@click.option(
    "--seconds", type=click.IntRange(min=2), default=120, show_default=True, help="Of the repeatability test."
)
def doctor(device_name: str, seconds: int) -> None:
    """Say whether a device is fit to measure, what to do where it is not, and which precision is within reach.

    Example: profiler doctor --device cpu --seconds 20
    """
    from profiler.doctor import examine

    for finding in examine(registry.find(device_name), seconds):
        mark, remedy = ("ok   ", "") if finding.good else ("check", f" → {finding.remedy}")
        stdout.print(f"{mark} {finding.what}{remedy}", markup=False)


@click.command()
@options.device
@click.argument("models", nargs=-1, required=True, metavar="MODEL.onnx...", type=click.Path(path_type=Path))
@click.option("--compare", "other", type=click.Path(path_type=Path), metavar="OTHER.onnx", help="Which is faster?")
@click.option(
    "--against", type=click.Path(path_type=Path), metavar="FILE", help="What trtexec or msame said of the same model."
)
@options.threads
@options.as_json
def measure(
    device_name: str,
    models: tuple[Path, ...],
    other: Path | None,
    against: Path | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Time any models with the care of a table: in turns, in several visits.

    With --compare one model is measured beside another, in pairs of visits, until it is plain which is faster. With
    --against the figure stands beside another tool's, such as a file of trtexec --exportTimes.

    Example: profiler measure --device cpu network.onnx --json
    """
    from profiler.build import replace_threads

    device = replace_threads(registry.find(device_name), threads)
    missing = next((path for path in (*models, *([other] if other else [])) if not path.is_file()), None)
    if missing is not None:
        raise UserError(f"model {missing} does not exist")
    if other is not None and against is not None:
        raise UserError("--compare measures another model, --against reads a file: take one of them")
    if (other is not None or against is not None) and len(models) != 1:
        raise UserError("--compare and --against take one model beside another figure: name one MODEL.onnx")
    if against is not None:
        _against(device, models[0], against, as_json)
    elif other is not None:
        _compare(device, models[0], other, as_json)
    else:
        _measure(device, models, as_json)


def _measure(device: registry.Device, models: tuple[Path, ...], as_json: bool) -> None:
    from profiler import whole

    clock, estimates = whole.measure(device, models)
    results: list[dict[str, Any]] = [
        {
            "model": str(path),
            "latency_ms": round(found.latency_ms, 6),
            "ci95_ms": round(found.ci95_ms, 6),
            "clock": clock,
            "samples": found.samples,
            "converged": found.converged,
            "flags": list(found.flags),
        }
        for path, found in zip(models, estimates, strict=True)
    ]
    if as_json:
        click.echo(json.dumps(results))
        return
    for result in results:
        flags = f" ({', '.join(result['flags'])})" if result["flags"] else ""
        click.echo(f"{result['model']}: {result['latency_ms']:.4g} ms ± {result['ci95_ms']:.2g}{flags}")


def _compare(device: registry.Device, model: Path, other: Path, as_json: bool) -> None:
    from profiler.ratio import compare

    found = compare(device, model, other)
    if as_json:
        click.echo(json.dumps({"model": str(model), "other": str(other), **found.to_dict()}))
        return
    click.echo(f"{model}: {found.latency_ms:.4g} ms")
    click.echo(f"{other}: {found.other_ms:.4g} ms")
    click.echo(
        f"{model} is {found.verdict} {'from' if found.verdict == 'not distinguishable' else 'than'} {other}: it takes "
        f"{found.ratio:.4f} of its time, 95 % interval {found.low:.4f} to {found.high:.4f}, {found.pairs} pairs"
    )


def _against(device: registry.Device, model: Path, file: Path, as_json: bool) -> None:
    from profiler import against, imports, whole

    theirs = imports.read_times(file)
    clock, (ours,) = whole.measure(device, [model])
    found = against.against(ours, clock, theirs)
    if as_json:
        click.echo(json.dumps({"model": str(model), "file": str(file), **found.to_dict()}))
        return
    verdict = "agree within" if found.agrees else "differ by more than"
    click.echo(
        f"{model}: {found.latency_ms:.4g} ms here, {found.their_ms:.4g} ms by {found.tool}: {found.ratio:.4f} of it, "
        f"95 % interval {found.low:.4f} to {found.high:.4f}; they {verdict} {100 * against.AGREEMENT:.0f} %"
    )
