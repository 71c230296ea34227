"""What a supernet is trained for: classes of pixels, or classes of whole images while the encoder is pre-trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F

from mosegnet.architecture import Architecture
from mosegnet.common.errors import UserError
from mosegnet.modules import Layer, Network
from mosegnet.space import Space
from search.datasets.augment import Augmentation
from search.datasets.base import Dataset, class_pixels
from search.supernet.loss import ClassificationLoss, SegmentationLoss, class_weights
from search.supernet.recipes import Recipe
from search.supernet.sampling import Batches, MaskBatches
from search.supernet.store import DataSummary, Supernet

Loss = SegmentationLoss | ClassificationLoss


class Task(Protocol):
    """The module in training, its loss and its data."""

    network: Network
    module: nn.Module  # the network, and whatever else is trained with it
    loss: Loss
    batches: Batches
    scales: int  # input sizes, small to large

    def heads(self, images: Tensor, architecture: Architecture) -> tuple[Tensor, ...]:
        """The logits of a sub-network, the main ones first."""
        ...

    def score(self, X: ArrayLike, average: Mapping[str, Tensor] | None) -> list[float]:
        """Accuracy in 0..1 of sub-networks on images that are not trained on."""
        ...


class Segmentation:
    """Pixels: the whole network on images and masks."""

    def __init__(self, space: Space, dataset: Dataset, recipe: Recipe, seed: int, device: torch.device) -> None:
        _check_classes(space, dataset)
        self._space, self._dataset, self._device = space, dataset, device
        self.network = initial_network(space, seed)
        self.module: nn.Module = self.network
        split = dataset.split("supernet")
        weights = torch.ones(space.classes)
        if recipe.weighted_classes:
            weights = class_weights(class_pixels(split.labels, space.classes))
        self.loss: Loss = SegmentationLoss(weights.to(device), recipe.hard_examples)
        augment = Augmentation(dataset.mean, dataset.std, recipe.zoom, recipe.colour)
        reduction, most = recipe.label_reduction, recipe.small_input_batches
        self.batches: Batches = MaskBatches(split, augment, recipe.batch, seed, space.scales, most, reduction)
        self.scales = len(space.scales)

    def heads(self, images: Tensor, architecture: Architecture) -> tuple[Tensor, ...]:
        """See `Network.forward_eighth`."""
        return self.network.forward_eighth(images, architecture)

    def score(self, X: ArrayLike, average: Mapping[str, Tensor] | None) -> list[float]:
        """Mean intersection over union on the split `search`."""
        from search.evaluate import Evaluator

        network = averaged(self.network, average)
        data = DataSummary(self._dataset.name, self._dataset.classes, self._dataset.mean, self._dataset.std)
        evaluator = Evaluator(Supernet(self._space, network, data), self._dataset, str(self._device))
        return [evaluator.miou(x) for x in np.atleast_2d(X)]


class Classifier(nn.Module):
    """The encoder under a linear layer on its pooled last feature."""

    def __init__(self, network: Network, classes: int) -> None:
        super().__init__()
        self.network = network
        layers = list(network.architecture.stages())[-1]
        self.head = nn.Linear(layers[-1].channels, classes)
        nn.init.zeros_(self.head.bias)
        for parameter in network.decoder.parameters():
            parameter.requires_grad_(False)  # it has nothing to learn from whole images

    def forward(self, images: Tensor, architecture: Architecture | None = None) -> Tensor:
        """(B, 3, H, W) → (B, classes)."""
        pooled = self.network.features(images, architecture)[-1].mean((2, 3))  # (B, channels)
        return F.linear(pooled, self.head.weight[:, : pooled.shape[1]], self.head.bias)


def averaged(network: Network, average: Mapping[str, Tensor] | None) -> Network:
    """The network as it is, or a copy with the moving average of its weights."""
    if average is None:
        return network
    own = copy.deepcopy(network)
    own.load_state_dict(dict(average), strict=False)
    return own


def initial_network(space: Space, seed: int) -> Network:
    """The largest network with random weights of this seed."""
    torch_seed = np.random.SeedSequence(seed).generate_state(1)[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch_seed))  # the modules' own initialisation knows no generator
        network = Network(space.decode(space.largest()))
        _initialise(network)
    return network


def _initialise(network: Network) -> None:
    """He et al. for the convolutions; a layer without projection starts as the identity (its last gain is 0)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, Layer) and module.shortcut is None and module.conv3.bn is not None:
            nn.init.zeros_(module.conv3.bn.weight)


def _check_classes(space: Space, dataset: Dataset) -> None:
    if len(dataset.classes) != space.classes:
        raise UserError(
            f"data set {dataset.name} has {len(dataset.classes)} classes, space {space.name!r} has {space.classes}: "
            f'use a space file {{"preset": "{space.name}", "classes": {len(dataset.classes)}}}'
        )
