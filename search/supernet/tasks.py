"""What a supernet is trained for: classes of pixels, or classes of whole images while the encoder is pre-trained."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mosegnet.architecture import Architecture
from mosegnet.common.errors import UserError
from mosegnet.digits import IntArray
from mosegnet.family import Family
from mosegnet.modules import Layer, Network, PlainLayer, extract
from search import metrics
from search.datasets.base import Dataset, normalised, resized
from search.datasets.sampling import class_counts
from search.supernet import areas
from search.supernet.batch_norm import reestimate
from search.supernet.loss import ClassificationLoss, SegmentationLoss, class_weights
from search.supernet.recipes import Recipe
from search.supernet.store import Weights

Loss = SegmentationLoss | ClassificationLoss
Module = TypeVar("Module", bound=nn.Module)

_WEIGHED_MASKS = 400  # enough to know how rare a class is
_SCORED_IMAGES, _NORM_IMAGES, _SCORED_BATCH = 1000, 256, 64  # of a validation of the encoder


class Task(Protocol):
    """The module in training, and its loss."""

    network: Network
    module: nn.Module  # the network, and whatever else is trained with it
    loss: Loss

    def heads(self, images: Tensor, architecture: Architecture) -> tuple[Tensor, ...]:
        """The logits of a sub-network, the main ones first."""
        ...

    def score(self, X: IntArray, average: Mapping[str, Tensor] | None) -> list[float]:
        """Accuracy in 0..1 of the sub-networks X, (n, 29), on images that are not trained on."""
        ...

    def trained(self, average: Mapping[str, Tensor] | None) -> Network:
        """The network as it is used after the training; the one in training stays as it is."""
        ...


def create(space: Family, dataset: Dataset, recipe: Recipe, seed: int, device: torch.device) -> Task:
    """The task that the data set is for.

    Raises:
        UserError: the recipe is for the other task, or the space decides between other classes.
    """
    if (dataset.task == "classification") != bool(recipe.sizes):
        raise UserError(
            f"recipe {recipe.name!r} is not for {dataset.task}, as data set {dataset.name} is: leave --recipe out"
        )
    if dataset.task == "classification":
        return Classification(space, dataset, recipe, seed, device)
    return Segmentation(space, dataset, recipe, seed, device)


class Segmentation:
    """Pixels: the whole network on images and masks."""

    def __init__(self, space: Family, dataset: Dataset, recipe: Recipe, seed: int, device: torch.device) -> None:
        _check_classes(space, dataset)
        self._space, self._dataset, self._device = space, dataset, device
        self._matched_areas = recipe.matched_areas
        self.network = initial_network(space, seed)
        self.module: nn.Module = self.network
        weights = torch.ones(space.classes)
        if recipe.weighted_classes:
            weights = class_weights(class_counts(dataset.files("supernet"), space.classes, _WEIGHED_MASKS))
        self.loss: Loss = SegmentationLoss(weights.to(device), recipe.hard_examples)

    def heads(self, images: Tensor, architecture: Architecture) -> tuple[Tensor, ...]:
        """See `Network.forward_eighth`."""
        return self.network.forward_eighth(images, architecture)

    def score(self, X: IntArray, average: Mapping[str, Tensor] | None) -> list[float]:
        """Mean intersection over union on the split `search`."""
        from search.evaluate import Evaluator

        evaluator = Evaluator(Weights(self._space, self.trained(average)), self._dataset, str(self._device))
        return [float(metrics.miou(found.sum(0))) for found in evaluator.confusions_of_all(X)]

    def trained(self, average: Mapping[str, Tensor] | None) -> Network:
        """With the average of the weights and matched areas, where the recipe has them."""
        network = averaged(self.network, average)
        if not self._matched_areas:
            return network
        return areas.matched(network, self._space, self._dataset, self._device)


class Classification:
    """Whole images: the encoder under a linear layer, before it ever sees a mask."""

    def __init__(self, space: Family, dataset: Dataset, recipe: Recipe, seed: int, device: torch.device) -> None:
        self._space, self._dataset, self._device = space, dataset, device
        self._size = (recipe.sizes[-1], recipe.sizes[-1])
        self.network = initial_network(space, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.module: nn.Module = Classifier(self.network, len(dataset.classes))
        self.loss: Loss = ClassificationLoss(recipe.label_smoothing)

    def heads(self, images: Tensor, architecture: Architecture) -> tuple[Tensor, ...]:
        """The logits of whole images alone."""
        return (self.module(images, architecture),)

    def score(self, X: IntArray, average: Mapping[str, Tensor] | None) -> list[float]:
        """Share of images of the split `search` whose class is the likeliest."""
        return [self._accuracy(self._space.decode(x), average) for x in X]

    def trained(self, average: Mapping[str, Tensor] | None) -> Network:
        """The encoder, with the average of the weights where there is one."""
        return self._whole(average).network

    def _whole(self, average: Mapping[str, Tensor] | None) -> Classifier:
        whole = averaged(self.module, average)
        assert isinstance(whole, Classifier)
        return whole

    def _accuracy(self, architecture: Architecture, average: Mapping[str, Tensor] | None) -> float:
        whole = self._whole(average)
        network = extract(whole.network, architecture).to(self._device)
        reestimate(network, (images for images, _ in self._images("supernet", _NORM_IMAGES)), Network.features)
        right = count = 0
        with torch.inference_mode():
            for images, labels in self._images("search", _SCORED_IMAGES):
                right += int((whole.classify(network.features(images)).argmax(1) == labels).sum())
                count += len(labels)
        return right / count

    def _images(self, split: str, most: int) -> Iterator[tuple[Tensor, Tensor]]:
        files = self._dataset.files(split)
        rows = np.unique(np.linspace(0, len(files) - 1, min(most, len(files))).round().astype(int)).tolist()
        for first in range(0, len(rows), _SCORED_BATCH):
            read = [files.read(row) for row in rows[first : first + _SCORED_BATCH]]
            images = torch.cat([resized(image[None], self._size) for image, _ in read]).to(self._device)
            labels = torch.stack([label for _, label in read]).to(self._device)
            yield normalised(images, self._dataset.mean, self._dataset.std), labels


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
        return self.classify(self.network.features(images, architecture))

    def classify(self, features: list[Tensor]) -> Tensor:
        """The encoder's features, of any width → (B, classes)."""
        pooled = features[-1].mean((2, 3))  # (B, channels)
        return F.linear(pooled, self.head.weight[:, : pooled.shape[1]], self.head.bias)


def averaged(module: Module, average: Mapping[str, Tensor] | None) -> Module:
    """The module as it is, or a copy with the moving average of its weights."""
    if average is None:
        return module
    own = copy.deepcopy(module)
    own.load_state_dict(dict(average), strict=False)
    return own


def initial_network(space: Family, seed: int) -> Network:
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
        if isinstance(module, Layer | PlainLayer) and module.shortcut is None:
            last = module.last.bn
            assert last is not None
            nn.init.zeros_(last.weight)


def _check_classes(space: Family, dataset: Dataset) -> None:
    if len(dataset.classes) != space.classes:
        raise UserError(
            f"data set {dataset.name} has {len(dataset.classes)} classes, space {space.name!r} has {space.classes}: "
            f'use a space file {{"preset": "{space.name}", "classes": {len(dataset.classes)}}}'
        )
