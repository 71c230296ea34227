"""The `search` command: encodings, the supernet, the run, the report."""

from __future__ import annotations

import click

from mosegnet.common.console import run_command
from search.commands.baselines import baseline
from search.commands.data import data
from search.commands.encodings import sample, space
from search.commands.evaluating import evaluate
from search.commands.exporting import export
from search.commands.looking import compare, status
from search.commands.picking import pick
from search.commands.retraining import retrain
from search.commands.running import report, run
from search.commands.supernet import train_supernet
from search.commands.training import landscape


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Search a latency table's space for the segmentation networks that trade accuracy against latency best.

    \b
    Example:
      search run --lut luts/cpu.json --data synthetic --out runs/first
    """


for command in (
    space, sample, data, train_supernet, evaluate, landscape, run, status, report, pick, compare, retrain, baseline,
    export,
):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """Entry point of the console script."""
    run_command(cli)


if __name__ == "__main__":
    main()
