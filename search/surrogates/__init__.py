"""Surrogates: what a network's accuracy will be, guessed from those evaluated so far.

Every one is made by `create(name, cardinalities, seed)` and used through `fit(X, y)` and `predict(X)`, on any table of
digits; only the order of the predictions is promised to mean something, larger being better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mosegnet.common.errors import UserError
from search.surrogates.auto import Auto
from search.surrogates.base import Surrogate, UncertainSurrogate
from search.surrogates.gaussian_process import DigitProcess, Kriging
from search.surrogates.kernels import CubicRbf, SupportVectors
from search.surrogates.linear import OneHotRidge
from search.surrogates.ranknet import PAPER, RankNet
from search.surrogates.trees import Boosting, E2epp, LightGbm, Tree

__all__ = ["DEFAULT", "NAMES", "Surrogate", "UncertainSurrogate", "create"]

_MAKERS: dict[str, Callable[[Sequence[int], int], Surrogate]] = {
    "auto": Auto,
    "ranknet": RankNet,
    "ranknet-ensemble": lambda cardinalities, seed: RankNet(cardinalities, seed, members=5),
    "ranknet-paper": lambda cardinalities, seed: RankNet(cardinalities, seed, recipe=PAPER),
    "rbf": CubicRbf,
    "kriging": Kriging,
    "svr": SupportVectors,
    "tree": Tree,
    "boosting": Boosting,
    "lightgbm": LightGbm,
    "e2epp": E2epp,
    "ridge": OneHotRidge,
    "gp": DigitProcess,
}
NAMES = tuple(_MAKERS)
DEFAULT = "auto"


def create(name: str, cardinalities: Sequence[int], seed: int) -> Surrogate:
    """An unfitted surrogate for digits of these cardinalities.

    Raises:
        UserError: there is no such surrogate.
    """
    if name not in _MAKERS:
        raise UserError(f"unknown surrogate {name!r}: choose one of {', '.join(NAMES)}")
    return _MAKERS[name](cardinalities, seed)
