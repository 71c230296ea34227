"""Confusion matrices of one network over a split, piece by piece, at label resolution."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import fuse_conv_bn_weights

from mosegnet.common.errors import UserError
from mosegnet.modules import Conv, Network
from search import metrics
from search.datasets.base import Dataset, Split, normalised, resized
from search.datasets.lazy import FileSplit
from search.inference import PLAIN, Method, Resize, Size, label_classes
from search.pieces import Piece, pieces

BATCH = 16
MOST_LOGITS = 2**27  # values at label resolution at a time: half a GB


class Scorer:
    """Scores networks on one data set; images in memory are resized once per input size and kept."""

    def __init__(self, dataset: Dataset, device: str = "cpu") -> None:
        self._dataset, self._device = dataset, torch.device(device)
        self._inputs: dict[tuple[str, int, int, Size], Tensor] = {}

    def confusions(self, network: Network, split: str, method: Method = PLAIN) -> Tensor:
        """One confusion matrix an image, (N, classes, classes + 1) int64, of a network that is ready.

        Raises:
            UserError: the network decides between another number of classes, or an image cannot be read.
        """
        classes = network.architecture.classes
        refuse_other_classes(self._dataset, classes, "the network")
        ready = fast_layout(folded(network).to(self._device))
        most_pixels = int(MOST_LOGITS / classes / max(1.0, *method.scales) ** 2)
        source, found = self._dataset.split(split), []
        with torch.inference_mode():
            for piece in pieces(source, BATCH, most_pixels):
                truth = piece.labels.to(self._device)
                resize = self._resizing("" if isinstance(source, FileSplit) else split, piece)
                predicted = label_classes(ready, resize, _hw(piece.images), _hw(truth), method)
                found.append(metrics.confusion_matrices(truth, predicted, classes).cpu())
        return torch.cat(found)

    def inputs(self, split: Split, size_hw: Size, key: str) -> Iterator[Tensor]:
        """The images of a split in memory as a network takes them, (B, 3, h, w) float32; kept under `key`."""
        for piece in pieces(split, BATCH, BATCH * split.labels[0].numel()):
            yield self._resizing(key, piece)(size_hw)

    def _resizing(self, key: str, piece: Piece) -> Resize:
        """From a size to the piece's images at it; kept where there is a key."""

        def at(size_hw: Size) -> Tensor:
            place = (key, piece.start, len(piece.images), size_hw)
            small = self._inputs.get(place)
            if small is None:
                small = resized(piece.images, size_hw).contiguous(memory_format=torch.channels_last)
                if key:
                    self._inputs[place] = small
            return normalised(small.to(self._device), self._dataset.mean, self._dataset.std)

        return at


def refuse_other_classes(dataset: Dataset, classes: int, whose: str) -> None:
    """Stop where a data set has another number of classes than what is to be scored on it.

    Raises:
        UserError: it has.
    """
    if len(dataset.classes) != classes:
        raise UserError(
            f"data set {dataset.name} has {len(dataset.classes)} classes, {whose} has {classes}: "
            "use the data it was trained for"
        )


def fast_layout(network: Network) -> Network:
    """The network itself, its weights laid out channels last: convolutions take 0.6 of the time on a CPU."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def folded(network: Network) -> Network:
    """A copy in evaluation mode whose convolutions hold their batch norms; it computes the same, faster."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, Conv) and module.bn is not None:
            conv, bn = module.conv, module.bn
            assert bn.running_mean is not None
            assert bn.running_var is not None
            weight, bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
            )
            conv.weight, conv.bias = Parameter(weight.detach()), Parameter(bias.detach())
            module.bn = None
    return network


def _hw(images: Tensor) -> Size:
    return images.shape[-2], images.shape[-1]
