"""Algorithm 2: the accuracy of a sub-network, with the supernet's weights and batch norms of its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional as F

from mosegnet.architecture import Architecture
from mosegnet.common.errors import UserError
from mosegnet.digits import IntArray
from mosegnet.modules import Network, extract
from search import metrics
from search.datasets.base import Dataset, Split, normalised, resized
from search.supernet.batch_norm import reestimate
from search.supernet.store import Supernet, Weights

BATCH = 16
BATCH_NORM_IMAGES = 64  # enough to rank; more change every score alike (see batch_norm.py)


class Evaluator:
    """Scores sub-networks of one supernet on one data set; images are resized once per input size and kept.

    Raises:
        UserError: the data set's classes are not those that the supernet's space decides between.
    """

    def __init__(self, supernet: Supernet | Weights, dataset: Dataset, device: str = "cpu") -> None:
        if len(dataset.classes) != supernet.space.classes:
            raise UserError(
                f"data set {dataset.name} has {len(dataset.classes)} classes, the supernet's space "
                f"{supernet.space.name!r} has {supernet.space.classes}: use the data it was trained for"
            )
        self._supernet, self._dataset, self._device = supernet, dataset, torch.device(device)
        self._inputs: dict[tuple[str, tuple[int, int]], Tensor] = {}

    def prepare(self, encoding: ArrayLike) -> Network:
        """The sub-network alone, with re-estimated batch norms, in evaluation mode."""
        architecture = self._supernet.space.decode(encoding)
        network = extract(self._supernet.network, architecture).to(self._device)
        reestimate(network, self._batches("supernet", architecture))
        return network

    def confusions(self, encoding: ArrayLike, split: str = "search") -> Tensor:
        """One confusion matrix an image, (N, classes, classes + 1) int64, at label resolution."""
        return self.network_confusions(self.prepare(encoding), split)

    def confusions_of_all(self, X: IntArray, split: str = "search") -> Iterator[Tensor]:
        """`confusions` of the networks X, shape (n, 29), in their order, as many side by side as there are cores.

        One thread a network: the operators are short, and threads that wait for one another take ten times as long
        as soon as another program wants a core. So a score does not depend on the number of cores either.
        """
        threads = ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,))
        try:
            yield from threads.map(lambda x: self.confusions(x, split), X)
        finally:
            threads.shutdown(cancel_futures=True)  # interrupted: finish what runs, begin nothing more

    def network_confusions(self, network: Network, split: str) -> Tensor:
        """As `confusions`, of a network that is ready: its weights and batch norms as they are."""
        labels = self._split(split).labels
        found = []
        with torch.inference_mode():
            for k, batch in enumerate(self._batches(split, network.architecture)):
                truth = labels[k * BATCH : (k + 1) * BATCH].to(self._device)
                logits = network.forward_eighth(batch)[0]
                # Straight to label resolution: the network's own x8 and a resize to the labels would blur twice.
                logits = F.interpolate(logits, size=truth.shape[1:], mode="bilinear", align_corners=False)
                found.append(metrics.confusion_matrices(truth, _likeliest(logits), self._supernet.space.classes))
        return torch.cat(found).cpu()

    def miou(self, encoding: ArrayLike, split: str = "search") -> float:
        """Mean intersection over union in 0..1 over the whole split."""
        return float(metrics.miou(self.confusions(encoding, split).sum(0)))

    def _split(self, name: str) -> Split:
        if name == "supernet":
            # The one fixed set of images for batch norms: spread evenly over the split, the same for every network.
            return self._dataset.files(name).sample(BATCH_NORM_IMAGES)
        return self._dataset.split(name)

    def _batches(self, split: str, architecture: Architecture) -> Iterator[Tensor]:
        key = (split, architecture.input_hw)
        if key not in self._inputs:
            self._inputs[key] = resized(self._split(split).images, architecture.input_hw)
        for batch in self._inputs[key].split(BATCH):
            yield normalised(batch.to(self._device), self._dataset.mean, self._dataset.std)


def _likeliest(logits: Tensor) -> Tensor:
    """The class of the greatest logit, the first of equals: (B, classes, H, W) → (B, H, W) uint8.

    One pass a class over contiguous planes; `argmax` over the strided axis takes ten times as long on a CPU.
    """
    best = logits[:, 0].clone()
    index = torch.zeros(best.shape, dtype=torch.uint8, device=logits.device)
    for k in range(1, logits.shape[1]):
        index.masked_fill_(logits[:, k] > best, k)
        torch.maximum(best, logits[:, k], out=best)
    return index
