"""The bias of the classes after training: each one is called over as much area as it is labelled over.

A loss that weighs rare classes more has them win too often, and intersection over union pays for both kinds of
error: it is best where the called area is about the true one. Offsets that the class weights imply are not (they
suppose that the network knows its doubts); these are found by trying, on training images. Networks of one supernet
need nearly the same, so one bias serves all of them and costs nothing afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mosegnet.architecture import Architecture
from mosegnet.family import Family
from mosegnet.modules import Conv, Network, extract
from mosegnet.space import SCALE
from search.datasets.base import Dataset, reduced_labels
from search.supernet.batch_norm import reestimate

_IMAGES, _BATCH = 64, 16
_ROUNDS, _PACE = 60, 0.4


@torch.no_grad()
def matched(network: Network, space: Family, dataset: Dataset, device: torch.device) -> Network:
    """A copy of the network whose last bias brings the called areas to the labelled ones.

    Areas are of training images, on the grid of the logits, for one middling network an input scale.
    """
    sample = dataset.files("supernet").sample(_IMAGES)
    logits, classes = [], []
    for architecture in _middling(space):
        own = extract(network, architecture).to(device)
        batches = [dataset.to_input(part.to(device), architecture.input_hw) for part in sample.images.split(_BATCH)]
        reestimate(own, batches)
        for images, labels in zip(batches, sample.labels.split(_BATCH), strict=True):
            (found,) = own.forward_eighth(images)
            height, width = found.shape[2:]
            logits.append(found.permute(0, 2, 3, 1).flatten(0, 2))
            classes.append(reduced_labels(labels, (height, width)).flatten().long().to(device))
    matching = copy.deepcopy(network)
    last = matching.decoder.head[-1]
    assert isinstance(last, Conv)
    assert last.conv.bias is not None
    last.conv.bias += offsets(torch.cat(logits), torch.cat(classes)).to(last.conv.bias.device)
    return matching


def offsets(logits: Tensor, classes: Tensor) -> Tensor:
    """What to add to logits (N, classes) so that each class is the likeliest as often as it is in `classes`, (N,).

    Void among `classes` does not count. A class that is not there is not called; one that cannot win stays behind.
    """
    count = logits.shape[1]
    known = classes < count
    logits, classes = logits[known], classes[known]
    wanted = torch.bincount(classes, minlength=count) + 1.0
    found = logits.new_zeros(count)
    for _ in range(_ROUNDS):
        called = torch.bincount((logits + found).argmax(1), minlength=count) + 1.0
        found += _PACE * torch.log(wanted / called)
    return found


def _middling(space: Family) -> Iterator[Architecture]:
    """At each input scale the network whose digits are all in the middle."""
    x = np.array(space.cardinalities) // 2
    for scale in range(space.cardinalities[SCALE]):
        x[SCALE] = scale
        yield space.decode(space.canonical(x[None])[0])
