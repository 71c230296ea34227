"""`search landscape`: what a supernet's ranking is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mosegnet.common.console import progress_bar, stdout, warn
from mosegnet.common.files import write_json
from search.commands.supernet import DATA_HELP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from mosegnet.digits import IntArray


@click.command()
@click.option("--supernet", type=click.Path(path_type=Path), required=True)
@click.option("--data", required=True, help=DATA_HELP)
@click.option("-n", "networks", type=click.IntRange(4), default=40, show_default=True, help="across and within scales")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--test", is_flag=True, help="score them on the split test as well: do the two rank alike?")
@click.option("--out", type=click.Path(path_type=Path), help="also write the figures as JSON")
def landscape(supernet: Path, data: str, networks: int, seed: int, test: bool, out: Path | None) -> None:
    """Ask whether the supernet's ranking means anything: random networks, scored on two halves of the images.

    \b
    Example:
      search landscape --supernet supernets/first.safetensors --data synthetic -n 40
    """
    from search.datasets import load as load_data
    from search.evaluate import Evaluator
    from search.landscape import survey
    from search.supernet import load as load_supernet

    trained = load_supernet(supernet)
    evaluator = Evaluator(trained, load_data(data))
    with progress_bar("scoring random networks", (4 if test else 2) * networks) as bar:

        def confusions_of_all(X: IntArray, split: str) -> Iterator[Tensor]:
            for found in evaluator.confusions_of_all(X, split):
                bar.advance()
                yield found

        report, _ = survey(trained.space, confusions_of_all, networks, seed, test)
    if out:
        write_json(out, report)
    for title, part in (("across input scales", report), ("within the middle scale", report["within_scale"])):
        stdout.print(_sentence(title, part))
    if (report["within_scale"]["tau_halves"] or 0.0) < 0.5:
        warn("within one input scale the ranking is mostly noise: a longer training or more images may change that")


def _sentence(title: str, part: dict[str, Any]) -> str:
    taus = {name: "–" if part[name] is None else f"{part[name]:.2f}" for name in part if name.startswith("tau")}
    return (
        f"{title}: {part['networks']} networks, mIoU {part['miou_min']:.3f} … {part['miou_max']:.3f} "
        f"(spread {100 * (part['miou_max'] - part['miou_min']):.1f} points); Kendall tau between two halves of the "
        f"images {taus['tau_halves']} (odd against even {taus['tau_odd_even']}), with FLOPs {taus['tau_flops']}; "
        f"digit {part['strongest_digit']} alone explains {part['strongest_digit_share']:.0%}, "
        f"without it tau {taus['tau_halves_without_strongest']}"
        + ("" if part["tau_test"] is None else f"; with the split test {taus['tau_test']}")
    )
