"""A family of one: a single architecture as the training engine sees a space, so that there is one training loop."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from mosegnet import architecture_json
from mosegnet.architecture import Architecture
from mosegnet.digits import DigitSpace, IntArray
from mosegnet.space import DIGITS


class OneNetwork(DigitSpace):
    """The digits of a space with one option each: every encoding is this architecture.

    `full_hw` is the largest input of the space that it comes from: crops are taken as for that one and reduced, so
    that a network of small input sees the same parts of images as the others.
    """

    def __init__(self, name: str, architecture: Architecture, full_hw: tuple[int, int]) -> None:
        super().__init__([1] * DIGITS)
        self.name, self.architecture, self.full_hw = name, architecture, full_hw
        self.classes = architecture.classes
        self.scales: tuple[tuple[int, int], ...] = (architecture.input_hw,)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what the network is made of, and of the crops that it sees."""
        described = [architecture_json.to_dict(self.architecture), list(self.full_hw)]
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()

    def largest(self) -> IntArray:
        """The only encoding, shape (29,)."""
        return np.zeros(DIGITS, dtype=np.int64)

    def decode(self, x: ArrayLike) -> Architecture:
        """The architecture."""
        self.validate(x)
        return self.architecture
