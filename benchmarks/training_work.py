"""How much work the recipes for GPUs are, computed from the networks that they draw: no step is taken.

    python benchmarks/training_work.py [--tflops 50]

A training step is three forward passes of multiply-adds (two of them the way back), four with checkpointing, of every
network of the step, and one more of the largest where it is followed. Hours are those of one card at the given rate,
which is an assumption: what a card sustains on these layers was not measured here.
"""

from __future__ import annotations

import click
import numpy as np

from mosegnet import space as spaces
from mosegnet.cost import architecture_costs
from mosegnet.digits import IntArray
from mosegnet.graph import operators
from mosegnet.space import SCALE, Space
from search.datasets import recipes as crops
from search.retrain import schedules
from search.supernet import progression, recipes
from search.supernet.recipes import Recipe

DRAWN = 200  # networks a phase
# Images that are trained on: 500 of those of a data set of masks guide the search.
IMAGES = {"imagenet": 1_281_167, "cityscapes": 2_475, "cocostuff": 8_500, "voc": 10_082}
CROPS = {"cityscapes": crops.CITYSCAPES, "cocostuff": crops.COCOSTUFF, "voc": crops.VOC}


def work_flop(space: Space, recipe: Recipe, kind: str, images: float) -> float:
    """Floating-point operations of a supernet's training over so many images."""
    rng, total = np.random.default_rng(0), 0.0
    shares = sum(phase.share for phase in recipe.phases)
    for phase in recipe.phases:
        X = progression.sample(space, phase, DRAWN, rng)
        X[:, SCALE] = len(space.scales) - 1 - rng.integers(0, min(phase.scale, len(space.scales)), DRAWN)
        students = _flop_an_image(space, recipe, kind, X) * recipe.random_networks
        X[:, :] = [space.largest(int(scale)) for scale in X[:, SCALE]]
        follows = recipe.distil and phase is not recipe.phases[0]
        teacher = _flop_an_image(space, recipe, kind, X) if follows else 0.0
        total += phase.share / shares * ((4 if recipe.checkpointing else 3) * students + teacher)
    return total * images


def _flop_an_image(space: Space, recipe: Recipe, kind: str, X: IntArray) -> float:
    """Of one forward pass at the size that is trained on, a mean over networks."""
    found = []
    for x in X:
        network, scale = space.decode(x), int(x[SCALE])
        macs = architecture_costs(network).flops
        if recipe.sizes:  # whole images: the encoder alone
            macs -= sum(op.macs for op in operators(network.units[-1]))
        found.append(2.0 * macs * _pixels(space, recipe, kind, scale) / np.prod(network.input_hw))
    return float(np.mean(found))


def _pixels(space: Space, recipe: Recipe, kind: str, scale: int) -> float:
    if recipe.sizes:
        return float(recipe.sizes[scale] ** 2)
    crop_hw, (full_h, _), (h, _) = CROPS[kind].crop_hw, space.full_hw, space.scales[scale]
    assert crop_hw is not None
    return float(np.prod(crop_hw)) * (h / full_h) ** 2


@click.command()
@click.option("--tflops", default=50.0, show_default=True, help="what a card sustains, assumed")
def main(tflops: float) -> None:
    """Print a line a recipe."""
    space = spaces.load("paper")

    def tell(name: str, budget: str, flop: float) -> None:
        click.echo(f"{name:20s} {budget:>12s} {flop / 1e18:8.2f} EFLOP  {flop / tflops / 1e12 / 3600:7.1f} h a card")

    for kind, images in IMAGES.items():
        recipe = recipes.get(f"paper-{kind}")
        assert recipe.epochs is not None
        tell(recipe.name, f"{recipe.epochs} epochs", work_flop(space, recipe, kind, images * recipe.epochs))
    for kind in CROPS:
        schedule = schedules.get(f"retrain-{kind}")
        assert schedule.steps is not None
        X = space.sample(DRAWN, np.random.default_rng(0))
        flop = 3 * _flop_an_image(space, schedule.recipe, kind, X) * schedule.recipe.batch * schedule.steps
        tell(schedule.recipe.name, f"{schedule.steps} steps", flop)


if __name__ == "__main__":
    main()
