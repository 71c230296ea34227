"""Which image comes when: a pure function of a seed and a position, so that a training resumes with two numbers."""

from __future__ import annotations

import numpy as np

_ORDER, _AUGMENTATION = 0, 1  # separate streams of one seed


class Order:
    """The endless sequence of a split's images: epoch after epoch, each image once an epoch, in an order of its own.

    Without shuffling every epoch has the split's own order.
    """

    def __init__(self, count: int, seed: int, shuffle: bool = True) -> None:
        self._count, self._seed, self._shuffle = count, seed, shuffle
        self._epochs: dict[int, np.ndarray] = {}

    def row(self, position: int, further: int = 0) -> int:
        """The image at `position`; with `further`, the one so many places later in the same epoch, round its end."""
        epoch, place = divmod(position, self._count)
        place = (place + further) % self._count
        return int(self._epoch(epoch)[place]) if self._shuffle else place

    def generator(self, position: int) -> np.random.Generator:
        """The source of every draw for the image at `position`, whoever reads it and whenever."""
        return np.random.default_rng([self._seed, _AUGMENTATION, position])

    def _epoch(self, epoch: int) -> np.ndarray:
        found = self._epochs.get(epoch)
        if found is None:
            found = np.random.default_rng([self._seed, _ORDER, epoch]).permutation(self._count)
            # A batch may straddle two epochs, and the next is read ahead; older ones are not needed again.
            self._epochs = {k: rows for k, rows in self._epochs.items() if abs(k - epoch) <= 1} | {epoch: found}
        return found
