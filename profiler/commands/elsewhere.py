"""`profiler export` and `profiler import`: networks that are measured elsewhere, by trtexec, ais_bench or msame."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import click

from mosegnet import space as spaces
from mosegnet.common.console import note, stdout
from mosegnet.common.errors import UserError
from profiler import lut as luts
from profiler.commands.building import print_validation


@click.command("export")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--space", "space_spec", default="tiny", show_default=True, metavar="S", help="A preset or a JSON file.")
@click.option(
    "--networks", type=int, default=60, show_default=True, metavar="N", help="To fit a table to; 10 with a --prior."
)
@click.option("--proof", type=int, default=24, show_default=True, metavar="N", help="To prove the table on.")
@click.option("--half", is_flag=True, help="Half precision written into the models, as TensorRT 11 wants it.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which networks.")
def export(folder: Path, space_spec: str, networks: int, proof: int, half: bool, seed: int) -> None:
    """Write networks as ONNX to be measured on a device that only other tools reach, and a list of them.

    Measure each there, save what the tool says beside it under the same name, then `profiler import` makes the table.

    Example: profiler export orin --networks 60
    """
    from profiler import manifest

    space = spaces.load(space_spec)
    note(f"about {manifest.size_bytes(space, networks + proof, half) / 1e9:.2g} GB of models")
    manifest.export(space, folder, networks, proof, half, seed)
    models = f"{quote(folder.resolve().name)}/*.onnx"
    times = f'for m in {models}; do trtexec --onnx="$m" --exportTimes="${{m%.onnx}}.json"; done'
    stdout.print(
        f"{folder}: {networks + proof} models, listed in {manifest.MANIFEST}; on the device, for example:\n  {times}\n"
        f"then, with the .json files copied back: profiler import {quote(str(folder))} --name NAME",
        markup=False,
        soft_wrap=True,
    )


@click.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("results", nargs=-1, metavar="[RESULTS...]", type=click.Path(path_type=Path))
@click.option("--name", required=True, metavar="D", help="What to call the device.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="The table; luts/D.json by default.")
@click.option("--prior", type=click.Path(path_type=Path), metavar="L", help="Start from another device's table.")
@click.option("--chip", help="The chip or the card, which the files do not say.")
@click.option("--runtime-version", metavar="V", help="Of TensorRT or CANN, which the files do not say.")
@click.option("--precision", metavar="P", help="That it ran in, where it is not the models' own (trtexec --fp16).")
def import_(
    folder: Path,
    results: tuple[Path, ...],
    name: str,
    out: Path | None,
    prior: Path | None,
    chip: str | None,
    runtime_version: str | None,
    precision: str | None,
) -> None:
    """Make a table of what trtexec, ais_bench or msame measured of exported networks; no device is needed.

    FOLDER holds the list of networks. RESULTS are files or folders, FOLDER itself by default: NAME.json by trtexec
    --exportTimes, NAME.txt or NAME.log with all that ais_bench or msame printed. NAME.run2.json is a second visit.

    Example: profiler import orin --name orin --chip "Jetson Orin NX" --prior luts/gpu.json
    """
    from profiler import manifest
    from profiler.elsewhere import Origin, import_table

    if Path(name).name != name:
        raise UserError(f"--name {name!r} is no name of a device: leave out the slashes")
    listed = manifest.read(folder)
    own_folder = folder if folder.is_dir() else folder.parent
    start = luts.load(prior, listed.space) if prior is not None else None
    origin = Origin(name, chip, runtime_version, precision)
    lut = import_table(listed, results or (own_folder,), origin, start)
    out = out or Path("luts") / f"{name}.json"
    luts.save(out, lut.table)
    found = lut.table.method
    assert found.imported is not None
    stdout.print(
        f"{out}: {len(lut.table.entries)} entries by method {found.name}, from {found.imported.files} files of "
        f"{found.imported.tool}",
        markup=False,
    )
    if lut.table.validation is not None:
        print_validation(lut.table.validation)
