"""`profiler build-lut` and `profiler validate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

import click
import numpy as np
from rich.table import Table as Grid

from mosegnet import space as spaces
from mosegnet.common.console import note, stdout
from profiler import devices as registry
from profiler import lut as luts
from profiler.commands import options
from profiler.commands.tables import encoding
from profiler.plan import METHODS, MethodName
from profiler.schema import Scores, Validation


@click.command("build-lut")
@options.device
@click.option("--space", "space_spec", default="tiny", show_default=True, metavar="S", help="A preset or a JSON file.")
@click.option("--method", type=click.Choice(METHODS), help="designed where the runtime times nodes, else hybrid.")
@click.option("--networks", type=int, metavar="N", help="Whole networks that correct the table (hybrid, networks).")
@click.option("--prior", type=click.Path(path_type=Path), metavar="L", help="Start from another device's table.")
@click.option("--target", type=click.FloatRange(0.1, 20), default=1.0, show_default=True, help="Of entries, ± percent.")
@click.option("--no-energy", is_flag=True, help="Leave out energy, some 4 s a network, where the device tells it.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="The table; luts/D.json by default.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted build.")
@click.option("--restart", is_flag=True, help="Put an interrupted build aside and start anew.")
@options.threads
@click.option("--seed", type=int, default=0, show_default=True, help="Order of measuring, which networks.")
def build_lut(
    device_name: str,
    space_spec: str,
    method: MethodName | None,
    networks: int | None,
    prior: Path | None,
    target: float,
    no_energy: bool,
    out: Path | None,
    resume: bool,
    restart: bool,
    threads: int | None,
    seed: int,
) -> None:
    """Measure a space into a table, corrected by whole networks and proven on others.

    designed: 27 networks a scale in which every unit occurs, timed by node. stub: every unit in a stub context.
    networks: fitted to whole networks only. hybrid: loose stubs, or another device's table, corrected by networks.

    Example: profiler build-lut --device cpu --space tiny --out luts/cpu.json
    """
    from profiler.build import Method, build, journal_path, replace_threads, set_aside
    from profiler.link import Rule

    device = replace_threads(registry.find(device_name), threads)
    space = spaces.load(space_spec)
    out = out or Path("luts") / f"{device.name}.json"
    if restart and (aside := set_aside(out)):
        note(f"the unfinished build is now {aside}")
    if resume and _is_finished(out, journal_path(out), space):
        note(f"{out} is finished: there is nothing to resume")
        lut = luts.load(out)
    else:
        how = Method(method, networks, luts.load(prior) if prior is not None else None, not no_energy)
        lut = build(device, space, out, seed, resume, Rule(target=target / 100), how)
    found = lut.table.method
    simulated = ", SIMULATED" if lut.device.simulated else ""
    stdout.print(
        f"{out}: {len(lut.table.entries)} entries by method {found.name}, {found.device_time_s:.0f} s of device time "
        f"and {found.proof_time_s:.0f} s for the proof{simulated}",
        markup=False,
    )
    if lut.table.validation is not None:
        print_validation(lut.table.validation)


@click.command()
@options.lut
@options.device
@click.option("--networks", type=int, default=24, show_default=True, metavar="N", help="How many held-out networks.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which networks.")
@options.figure("L.validation.png")
@options.as_json
def validate(
    lut_path: Path, device_name: str, networks: int, seed: int, figure_path: Path | None, as_json: bool
) -> None:
    """Measure held-out networks against a table, write the result into it, and draw it.

    Half of them are drawn uniformly, half from small to large; each is visited three times, in turns.

    Example: profiler validate --lut luts/cpu.json --device cpu --networks 20
    """
    from profiler import figures, whole

    lut = luts.load(lut_path)
    found = whole.validate(lut, registry.find(device_name), networks, seed)
    table = whole.with_validation(lut.table, found)
    luts.save(lut_path, table)
    figure_path = figure_path or lut_path.with_suffix(".validation.png")
    figures.save(figures.validation(luts.Lut(table)), figure_path)
    note(f"written into {lut_path}, drawn in {figure_path}")
    if as_json:
        click.echo(json.dumps(found.model_dump(mode="json")))
    else:
        print_validation(found)


@click.command()
@options.lut
@options.device
@click.argument("file", type=click.File("r"), default="-")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The corrected table.")
@click.option("--seed", type=int, default=0, show_default=True, help="Order of measuring.")
def correct(lut_path: Path, device_name: str, file: IO[str], out: Path, seed: int) -> None:
    """Measure networks on a table's own device and correct the table by them.

    FILE or standard input has one JSON list of digits a line. What was measured stays in OUT.networks.jsonl, is not
    measured again, and counts each time.

    Example: search sample -n 8 | profiler correct --lut luts/cpu.json --device cpu --out luts/cpu-today.json
    """
    from profiler.correct import measure_and_correct

    lut = luts.load(lut_path)
    X = lut.space.validate([encoding(number, line) for number, line in enumerate(file, start=1) if line.strip()])
    table = measure_and_correct(lut, registry.find(device_name), X, out.with_suffix(".networks.jsonl"), seed)
    luts.save(out, table)
    networks = table.calibration.networks[len(lut.calibration.networks) :]
    before = np.abs(lut.predict([one.encoding for one in networks]) / [one.measured_ms for one in networks] - 1)
    after = np.abs([one.predicted_ms / one.measured_ms - 1 for one in networks])
    stdout.print(
        f"{out}: corrected by {len(networks)} networks, mean error {100 * before.mean():.2f} % before, "
        f"{100 * after.mean():.2f} % after",
        markup=False,
    )


def print_validation(found: Validation) -> None:
    """The table beside FLOPs, and what the labels allow."""
    grid = Grid("held-out networks", "tau", "tau in scale", "r", "MAPE %", "bias %", "within ±5 %", "within ±10 %")
    for name, one in (("table", found), ("FLOPs", found.flops), ("FLOPs + params", found.flops_params)):
        grid.add_row(name, *_row(one))
    stdout.print(grid)
    floor = "" if found.mape_floor_percent is None else f" and MAPE {found.mape_floor_percent:.2f} %"
    stdout.print(
        f"{found.networks} networks · label noise {found.label_noise_percent:.2f} %: a perfect predictor would score "
        f"tau {found.tau_ceiling:.3f}{floor} · {found.coverage_percent:.0f} % inside their 95 % intervals"
    )
    if found.intervals:
        (tau_low, tau_high), (low, high) = found.intervals["kendall_tau"], found.intervals["mape_percent"]
        stdout.print(
            f"95 % intervals of the table's own: tau {tau_low:.3f} to {tau_high:.3f}, MAPE {low:.2f} to {high:.2f} %"
        )


def _row(one: Scores) -> list[str]:
    within = "–" if one.kendall_tau_within_scale is None else f"{one.kendall_tau_within_scale:.3f}"
    return [
        f"{one.kendall_tau:.3f}", within, f"{one.pearson_r:.4f}", f"{one.mape_percent:.2f}",
        f"{one.bias_percent:+.2f}", f"{one.within_5_percent:.0f}", f"{one.within_10_percent:.0f}",
    ]  # fmt: skip


def _is_finished(out: Path, journal: Path, space: spaces.Space) -> bool:
    return out.exists() and not journal.exists() and luts.load(out, space).table.validation is not None
