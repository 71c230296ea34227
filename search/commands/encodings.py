"""`search space`, `search sample`: what needs no run and no training."""

from __future__ import annotations

import json

import click
import numpy as np

from mosegnet import space as spaces
from mosegnet.common.console import stdout
from mosegnet.common.errors import UserError
from mosegnet.digits import IntArray
from mosegnet.space import Space

SPACE_HELP = "a preset, tiny or paper, or a JSON file"


@click.command()
@click.option("--space", "spec", default="tiny", show_default=True, help=SPACE_HELP)
def space(spec: str) -> None:
    """Say what a space holds: digits, bounds, units, costs, and how many distinct networks.

    \b
    Example:
      search space --space paper
    """
    from mosegnet.cost import costs

    own = spaces.load(spec)
    stdout.print(f"space {own.name}: {own.count():,} distinct networks, {own.classes} classes")
    stdout.print(f"  {len(own.cardinalities)} digits, each 0 … 2 unless said: input scale · stem d0 m0 · 4 × (d m e…)")
    stdout.print(f"  {len(own.units)} units to measure, {len(own.units) // len(own.scales)} for each input scale")
    for k, (h, w) in enumerate(own.scales):
        cost = costs(own, np.stack([own.smallest(k), own.largest(k)]))
        low, high = cost.flops / 1e9
        stdout.print(
            f"  scale {k}: input {h}x{w}, {low:.3g} … {high:.3g} G multiply-adds, "
            f"{cost.params[0] / 1e6:.3g} … {cost.params[1] / 1e6:.3g} M parameters"
        )


@click.command()
@click.option("-n", "count", type=click.IntRange(1), default=10, show_default=True, help="how many")
@click.option("--space", "spec", default="tiny", show_default=True, help=SPACE_HELP)
@click.option("--seed", type=int, default=0, show_default=True)
def sample(count: int, spec: str, seed: int) -> None:
    """Draw encodings, each digit uniform; one JSON list a line.

    \b
    Example:
      search sample -n 20 --seed 1 --space tiny
    """
    for x in spaces.load(spec).sample(count, np.random.default_rng(seed)):
        click.echo(json.dumps(x.tolist(), separators=(",", ":")))


def parse_encoding(text: str, own: Space) -> IntArray:
    """One encoding of the space from JSON, canonical, shape (29,).

    Raises:
        UserError: not a JSON list, or not an encoding of the space.
    """
    try:
        value = json.loads(text)
    except ValueError:
        raise UserError(f"--encoding takes a JSON list of {len(own.cardinalities)} digits, not {text!r}") from None
    X = own.canonical(value)
    if len(X) != 1:
        raise UserError(f"--encoding takes one network, not {len(X)}")
    return X[0]
