"""Does the ranking of a supernet's networks mean anything? Spread and repeatability over random networks.

Two halves of the images that rank networks alike show that the differences are more than noise. Halves by position
(for a video: by time) are the sterner test; odd against even images share scenes and flatter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau
from torch import Tensor

from mosegnet.cost import costs
from mosegnet.digits import IntArray
from mosegnet.space import SCALE, Space
from search import metrics


@dataclass(frozen=True, slots=True)
class Landscape:
    """What n networks drawn at random look like, mIoU in 0..1, Kendall's tau in -1..1 (None where undefined)."""

    networks: int
    miou_min: float
    miou_median: float
    miou_max: float
    tau_halves: float | None  # first half of the images against the second, in the data set's order
    tau_odd_even: float | None
    tau_flops: float | None
    strongest_digit: int  # the digit that alone explains most of the variance
    strongest_digit_share: float
    tau_halves_without_strongest: float | None  # after each option of that digit is brought to one mean
    tau_test: float | None = None  # with the ranking on the split `test`, where that was asked for


def describe(space: Space, X: IntArray, confusions: list[Tensor], test: list[Tensor] | None = None) -> Landscape:
    """The landscape of networks X, shape (n, 29), from their confusion matrices, each (images, C, C + 1).

    test: those on the split `test`, for how alike the two splits rank.
    """
    whole = _mious(confusions, slice(None))
    images = len(confusions[0])
    early, late = (_mious(confusions, part) for part in (slice(images // 2), slice(images // 2, None)))
    odd, even = (_mious(confusions, part) for part in (slice(1, None, 2), slice(0, None, 2)))
    digit, share = _strongest_digit(X, whole)
    return Landscape(
        networks=len(X),
        miou_min=float(whole.min()),
        miou_median=float(np.median(whole)),
        miou_max=float(whole.max()),
        tau_halves=tau(early, late),
        tau_odd_even=tau(odd, even),
        tau_flops=tau(costs(space, X).flops, whole),
        strongest_digit=digit,
        strongest_digit_share=share,
        tau_halves_without_strongest=tau(_centred(early, X[:, digit]), _centred(late, X[:, digit])),
        tau_test=None if test is None else tau(whole, _mious(test, slice(None))),
    )


def survey(
    space: Space,
    confusions_of_all: Callable[[IntArray, str], Iterable[Tensor]],
    networks: int,
    seed: int,
    test: bool = False,
) -> tuple[dict[str, Any], IntArray]:
    """Score `networks` random networks over all scales and as many within the middle scale.

    confusions_of_all: of networks on a split. test: on the split `test` as well as on `search`.

    Returns:
        The report: a `Landscape` as a dictionary, with another under `within_scale`; and the networks, (2n, 29).
    """
    rng = np.random.default_rng(seed)
    across, within = space.sample(networks, rng), space.sample(networks, rng)
    middle = len(space.scales) // 2
    within[:, SCALE] = middle

    def described(X: IntArray) -> dict[str, Any]:
        found = [list(confusions_of_all(X, split)) for split in (("search", "test") if test else ("search",))]
        return asdict(describe(space, X, *found))

    report = described(across)
    report["within_scale"] = described(within) | {"scale": list(space.scales[middle])}
    report["seed"] = seed
    return report, np.concatenate([across, within])


def tau(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    """Kendall's tau-b, or None where one side is constant."""
    value = float(kendalltau(a, b).statistic)
    return None if np.isnan(value) else value


def _mious(confusions: list[Tensor], images: slice) -> NDArray[np.float64]:
    scores = [metrics.miou(matrix[images].sum(0)) for matrix in confusions]
    return torch.stack(scores).numpy()


def _strongest_digit(X: IntArray, miou: NDArray[np.float64]) -> tuple[int, float]:
    """The digit whose options' means explain the largest share of the variance, and that share."""
    total = float(((miou - miou.mean()) ** 2).sum())
    shares = [1 - float((_centred(miou, column) ** 2).sum()) / total if total else 0.0 for column in X.T]
    best = int(np.argmax(shares))
    return best, shares[best]


def _centred(values: NDArray[np.float64], options: IntArray) -> NDArray[np.float64]:
    """The values less the mean of their option."""
    centred = values.copy()
    for option in np.unique(options):
        centred[options == option] -= values[options == option].mean()
    return centred
