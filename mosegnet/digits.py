"""Encodings as rows of small integers: the part of a space that needs no network at all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mosegnet.common.errors import UserError

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class DigitSpace:
    """Every combination of D digits, digit k in 0 … cardinalities[k] - 1.

    Raises:
        UserError: no digits, or a cardinality below one.
    """

    def __init__(self, cardinalities: Sequence[int]) -> None:
        self.cardinalities = [int(c) for c in cardinalities]
        if not self.cardinalities or min(self.cardinalities) < 1:
            raise UserError("a space needs at least one digit, each with at least one option")
        self._bounds = np.array(self.cardinalities, dtype=np.int64)
        self._offsets = np.concatenate([[0], np.cumsum(self._bounds)[:-1]])

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw n encodings, each digit uniform, in canonical form; repetitions may occur. Shape (n, D)."""
        return self.canonical(rng.integers(0, self._bounds, size=(n, len(self.cardinalities))))

    def validate(self, X: ArrayLike) -> IntArray:
        """The encodings as an (n, D) integer array; one encoding alone becomes one row.

        Raises:
            UserError: not whole numbers, a wrong length, or a digit out of bounds; names the first.
        """
        try:
            array = np.atleast_2d(np.asarray(X))
            with np.errstate(invalid="ignore"):  # not-a-number is told below
                whole = array.astype(np.int64)
        except (ValueError, TypeError, OverflowError):
            raise UserError("an encoding is a list of whole numbers") from None
        digits = len(self.cardinalities)
        if whole.ndim != 2 or whole.shape[1] != digits:
            raise UserError(f"an encoding of this space has {digits} digits, not {array.shape[-1]}")
        if array.dtype.kind not in "iu" and not np.array_equal(array, whole):
            raise UserError("an encoding is a list of whole numbers")
        wrong = (whole < 0) | (whole >= self._bounds)
        if wrong.any():
            row, digit = (int(k) for k in np.argwhere(wrong)[0])
            raise UserError(
                f"encoding {row}: digit {digit} is {whole[row, digit]}, "
                f"this space has 0 … {self.cardinalities[digit] - 1} there"
            )
        return whole

    def canonical(self, X: ArrayLike) -> IntArray:
        """One spelling for each network, shape (n, D); plain digits all count, so here only a checked copy."""
        return self.validate(X).copy()

    def one_hot(self, X: ArrayLike) -> FloatArray:
        """The canonical encodings, each digit as its indicator, shape (n, sum of cardinalities)."""
        X = self.canonical(X)
        hot = np.zeros((len(X), sum(self.cardinalities)))
        np.put_along_axis(hot, X + self._offsets, 1.0, axis=1)
        return hot

    def count(self) -> int:
        """How many distinct networks the space holds."""
        return math.prod(self.cardinalities)
