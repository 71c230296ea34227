"""A least accuracy in the scale of a surrogate, which ranks and need not tell mIoU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mosegnet.digits import FloatArray, IntArray


def below(
    predict: Callable[[IntArray], FloatArray], known: FloatArray, good: NDArray[np.bool_]
) -> Callable[[IntArray], FloatArray]:
    """How far networks are predicted below the least accuracy, as a function of encodings, (n,); 0 inside.

    The border is the predicted score that separates those evaluated networks that are accurate enough (`good`) from
    the others with the fewest errors; where none is, it lies above them all, so that every step towards accuracy is
    one towards the border. Distances are in standard deviations of the known scores, (n,).
    """
    spread = float(known.std()) or 1.0
    border = _border(known, good, spread)
    return lambda X: np.maximum(0.0, border - predict(X)) / spread


def _border(known: FloatArray, good: NDArray[np.bool_], spread: float) -> float:
    if good.all():
        return -np.inf
    if not good.any():
        return float(known.max()) + spread
    order = np.argsort(known, kind="stable")
    scores, good = known[order], good[order]
    # cut k lets in the networks from k on: the good ones before it and the others after it are errors
    errors = np.concatenate([[0], np.cumsum(good)]) + np.concatenate([np.cumsum(~good[::-1])[::-1], [0]])
    cut = int(np.argmin(errors))
    if cut == 0:
        return float(scores[0])
    if cut == len(scores):
        return float(scores[-1]) + spread
    return float(scores[cut - 1] + scores[cut]) / 2
