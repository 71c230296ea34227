"""The command `profiler`: results on standard output, progress and warnings on standard error."""

from __future__ import annotations

import click

from mosegnet.common.console import run_command
from profiler.commands import building, converting, elsewhere, measuring, tables


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mosegnas-hil")
def cli() -> None:
    """Measure devices into latency tables.

    Example: profiler build-lut --device cpu --space tiny
    """


for command in (
    measuring.devices, measuring.doctor, building.build_lut, building.validate, building.correct, tables.predict,
    tables.show, tables.compare, tables.plot, measuring.measure, elsewhere.export, elsewhere.import_,
    converting.convert,
):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """Entry point of the command."""
    run_command(cli, prog_name="profiler")


if __name__ == "__main__":
    main()
