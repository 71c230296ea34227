"""What elasticity costs: a sub-network of the supernet beside the same network built static, in one run.

Run alone: `python benchmarks/elastic_step.py [SPACE]`. One thread and processor time, the two alternate, and the
ratio is the median over pairs of neighbours: what another program takes, it takes from both. Reported are a training
step (forward, loss, backward, optimiser) and the scoring of a sub-network (its batch norms re-estimated first) beside
the bare inference of the same images.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mosegnet import space as spaces
from mosegnet.architecture import Architecture
from mosegnet.modules import Conv, Network, extract, separate_slices
from mosegnet.space import SCALE, Space
from search.datasets import synthetic
from search.datasets.base import Dataset
from search.evaluate import Evaluator
from search.scoring import fast_layout
from search.supernet import Supernet, optimiser, recipes
from search.supernet.gradients import Part, add_to_grad, gradient_parts
from search.supernet.loss import SegmentationLoss
from search.supernet.store import DataSummary
from search.supernet.tasks import initial_network

PAIRS = 9
RECIPE = recipes.get("tiny")
IMAGES = 73  # CamVid's search split


def main() -> None:
    """Print one JSON object of ratios."""
    torch.set_num_threads(1)
    space = spaces.load(sys.argv[1] if len(sys.argv) > 1 else "tiny")
    middle = len(space.scales) // 2
    random = space.sample(1, np.random.default_rng(0))[0]
    random[SCALE] = middle
    networks = {"largest": space.largest(middle), "random": random, "smallest": space.smallest(middle)}
    steps = {name: step_ratio(space, space.decode(x)) for name, x in networks.items()}
    dataset = synthetic.load({"supernet": 64, "search": IMAGES, "test": 1})
    dataset = replace(dataset, classes=tuple(f"class {k}" for k in range(space.classes)))
    scores = {name: scoring_ratio(space, dataset, x) for name, x in networks.items()}
    print(json.dumps({"training_step": steps, "scoring_to_inference": scores}, indent=1))


def step_ratio(space: Space, architecture: Architecture) -> dict[str, float]:
    """Elastic to static: a training step, and forward and backward alone."""
    supernet = initial_network(space, seed=0).train()
    for norm in supernet.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None
    static = built_static(extract(supernet, architecture)).train()
    batch = [random_part(space, architecture) for _ in range(RECIPE.accumulate)]
    whole = [training_step(supernet, architecture, batch), training_step(static, None, batch)]
    passes = [
        training_step(supernet, architecture, batch, update=False),
        training_step(static, None, batch, update=False),
    ]
    return {"step": ratio(*whole), "forward_and_backward": ratio(*passes)}


def random_part(space: Space, architecture: Architecture) -> Part:
    """Images and labels as the recipe has them."""
    count = RECIPE.batch // RECIPE.accumulate
    label_hw = [side // RECIPE.label_reduction for side in architecture.input_hw]
    images = torch.randn(count, 3, *architecture.input_hw).to(memory_format=torch.channels_last)
    return images, torch.randint(0, space.classes, (count, *label_hw))


def training_step(
    network: Network, architecture: Architecture | None, batch: list[Part], update: bool = True
) -> Callable[[], None]:
    """One step as the trainer takes it."""
    fast_layout(network)
    loss = SegmentationLoss(torch.ones(network.architecture.classes))
    own, parameters, buffers = optimiser.create(network, RECIPE), list(network.parameters()), {}

    def step() -> None:
        for parameter in parameters:
            parameter.grad = None
        total = sum(loss.total(labels) for _, labels in batch)
        for images, labels in batch:
            with separate_slices() as slices:
                heads = network.forward_eighth(images, architecture)
            parts = gradient_parts(loss(heads, labels, total), parameters, slices)
            if update:
                add_to_grad(parts, buffers)
        if update:
            own.step()

    return step


class StaticConv(nn.Module):
    """The same convolution as plain modules, which know of no slices."""

    def __init__(self, conv: Conv) -> None:
        super().__init__()
        self.conv, self.bn, self.relu = conv.conv, conv.bn, conv.relu

    def forward(self, x: Tensor, channels: int | None = None) -> Tensor:
        """(B, C_in, H, W) → (B, C, H', W')."""
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        return F.relu(x) if self.relu else x


def built_static(network: Network) -> Network:
    """The network with every elastic convolution replaced."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Conv):
                setattr(module, name, StaticConv(child))
    return network


def scoring_ratio(space: Space, dataset: Dataset, x: np.ndarray) -> float:
    """A score with its batch norms re-estimated, to the bare inference of the scored images."""
    data = DataSummary(dataset.name, dataset.classes, dataset.mean, dataset.std)
    evaluator = Evaluator(Supernet(space, initial_network(space, seed=0).eval(), data), dataset)
    static = built_static(extract(evaluator.prepare(x), space.decode(x))).eval()
    batches = dataset.to_input(dataset.split("search").images, space.decode(x).input_hw).split(16)

    def inference() -> None:
        with torch.inference_mode():
            for batch in batches:
                static.forward_eighth(batch)

    return ratio(lambda: evaluator.confusions(x), inference, pairs=3)


def ratio(one: Callable[[], object], other: Callable[[], object], pairs: int = PAIRS) -> float:
    """Median ratio of processor time, taken in turns."""
    one(), other()
    found = []
    for k in range(pairs):
        order = (one, other) if k % 2 else (other, one)
        times_s = {work: cpu_s(work) for work in order}
        found.append(times_s[one] / times_s[other])
    return round(statistics.median(found), 3)


def cpu_s(work: Callable[[], object]) -> float:
    """Processor seconds of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
