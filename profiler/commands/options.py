"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

device = click.option("--device", "-d", "device_name", required=True, metavar="D", help="A device, see `devices`.")
lut = click.option("--lut", "lut_path", required=True, type=click.Path(path_type=Path), metavar="L", help="A table.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
threads = click.option(
    "--threads", type=click.IntRange(min=1), help="Threads of the runtime; the device's own by default."
)


def figure(default: str) -> Callable[..., Any]:
    """`--figure FILE`; `default` says where it goes without."""
    return click.option(
        "--figure", "figure_path", type=click.Path(path_type=Path), metavar="FILE",
        help=f"Where the figure goes, PNG, SVG or PDF by its ending; {default} by default.",
    )  # fmt: skip
