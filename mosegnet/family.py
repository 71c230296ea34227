"""Networks that share weights, as a training sees them: a whole space, or one network alone."""

from __future__ import annotations

from typing import Protocol

from numpy.typing import ArrayLike

from mosegnet.architecture import Architecture
from mosegnet.digits import IntArray


class Family(Protocol):
    """What a training asks of the networks that it trains; `mosegnet.space.Space` is one."""

    name: str
    classes: int
    scales: tuple[tuple[int, int], ...]  # input sizes (height, width), small to large
    cardinalities: list[int]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what the networks are made of."""
        ...

    @property
    def full_hw(self) -> tuple[int, int]:
        """The input size at which a data set's own crop is taken; at a smaller one the same part is seen, smaller."""
        ...

    def largest(self) -> IntArray:
        """The encoding of the largest network, shape (29,)."""
        ...

    def canonical(self, X: ArrayLike) -> IntArray:
        """Encodings in their one spelling, shape (n, 29)."""
        ...

    def decode(self, x: ArrayLike) -> Architecture:
        """The network that one encoding stands for."""
        ...
