"""Batch norm statistics of a sub-network, re-estimated before it is scored.

The running statistics of a supernet mix all sub-networks. Each one gets its own from one fixed set of images: another
set shifts every score by more than the networks differ, so all must share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mosegnet.modules import Network


def reestimate(
    network: Network, batches: Iterable[Tensor], forward: Callable[[Network, Tensor], Any] = Network.forward_eighth
) -> None:
    """Replace the network's batch norm statistics by their cumulative average over `batches` of (B, 3, H, W).

    The network is left in evaluation mode; its weights do not change. `forward` is the part of it that is used.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    network.eval()
    for norm in norms:
        norm.train()  # only the norms: dropout, auxiliary heads and the like stay off
    try:
        with torch.no_grad():
            for k, batch in enumerate(batches):
                for norm in norms:
                    norm.momentum = 1.0 / (k + 1)  # the k-th batch weighs as much as each before it
                forward(network, batch)
    finally:
        network.eval()
