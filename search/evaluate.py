"""Algorithm 2: the accuracy of a sub-network, with the supernet's weights and batch norms of its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from mosegnet.digits import IntArray
from mosegnet.modules import Network, extract
from search import metrics
from search.datasets.base import Dataset, Split
from search.inference import PLAIN, Method
from search.scoring import Scorer, fast_layout, refuse_other_classes
from search.supernet.batch_norm import reestimate
from search.supernet.store import Supernet, Weights

BATCH_NORM_IMAGES = 64  # enough to rank; more change every score alike (see batch_norm.py)


class Evaluator:
    """Scores sub-networks of one supernet on one data set; images are resized once per input size and kept.

    Raises:
        UserError: the data set's classes are not those that the supernet's space decides between.
    """

    def __init__(self, supernet: Supernet | Weights, dataset: Dataset, device: str = "cpu") -> None:
        refuse_other_classes(dataset, supernet.space.classes, f"the supernet's space {supernet.space.name!r}")
        self._supernet, self._dataset, self._device = supernet, dataset, torch.device(device)
        self._scorer = Scorer(dataset, device)
        self._norm_images: Split | None = None

    def prepare(self, encoding: ArrayLike) -> Network:
        """The sub-network alone, with re-estimated batch norms, in evaluation mode."""
        architecture = self._supernet.space.decode(encoding)
        network = fast_layout(extract(self._supernet.network, architecture).to(self._device))
        if self._norm_images is None:
            # The one fixed set of images for batch norms: spread evenly over the split, the same for every network.
            self._norm_images = self._dataset.files("supernet").sample(BATCH_NORM_IMAGES)
        reestimate(network, self._scorer.inputs(self._norm_images, architecture.input_hw, "batch norms"))
        return network

    def confusions(self, encoding: ArrayLike, split: str = "search", method: Method = PLAIN) -> Tensor:
        """One confusion matrix an image, (N, classes, classes + 1) int64, at label resolution."""
        return self.network_confusions(self.prepare(encoding), split, method)

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

    def network_confusions(self, network: Network, split: str, method: Method = PLAIN) -> Tensor:
        """As `confusions`, of a network that is ready: its weights and batch norms as they are."""
        return self._scorer.confusions(network, split, method)

    def miou(self, encoding: ArrayLike, split: str = "search") -> float:
        """Mean intersection over union in 0..1 over the whole split."""
        return float(metrics.miou(self.confusions(encoding, split).sum(0)))
