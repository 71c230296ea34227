"""A landscape of ten digits and who scores it, well or badly; light to import and to pickle, for worker processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mosegnet.digits import DigitSpace

SPACE = DigitSpace([3] * 10)
_RNG = np.random.default_rng(42)
_GAIN, _COST = _RNG.uniform(0.2, 1, (10, 3)).cumsum(axis=1), _RNG.uniform(0.2, 1, (10, 3)).cumsum(axis=1)


def latency_ms(X: np.ndarray) -> np.ndarray:
    return _COST[np.arange(10), np.asarray(X)].sum(axis=1)


def accuracy(x: np.ndarray) -> float:
    return float(1 / (1 + np.exp(-(_GAIN[np.arange(10), x].sum() - 8) / 4)))


@dataclass(frozen=True)
class Scorer:
    """Takes `slow_s`, and longer for some networks than for others."""

    slow_s: float = 0.0

    def __call__(self, number: int) -> Callable[[np.ndarray], float]:
        return self.score

    def score(self, x: np.ndarray) -> float:
        time.sleep(self.slow_s * (1 + int(x.sum()) % 3))
        return accuracy(x)


class Failing(Scorer):
    """Every network whose first digit is 0 fails, one whose digits are all 1 gives no number."""

    def score(self, x: np.ndarray) -> float:
        if x[0] == 0:
            raise RuntimeError(f"no memory\nfor {x.tolist()}")
        return float("nan") if (x == 1).all() else accuracy(x)


class Hopeless(Scorer):
    """Nothing works."""

    def score(self, x: np.ndarray) -> float:
        raise RuntimeError("the driver is gone")


class Chancy(Scorer):
    """A score that is drawn from numpy's global state."""

    def score(self, x: np.ndarray) -> float:
        return float(np.random.random())


@dataclass(frozen=True)
class Fatal(Scorer):
    """The process dies, or hangs, over the first `times` networks; files in `folder` count them."""

    folder: str = ""
    times: int = 1
    hang: bool = False

    def score(self, x: np.ndarray) -> float:
        for k in range(self.times):
            try:
                os.close(os.open(f"{self.folder}/{k}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            if self.hang:
                time.sleep(3600)
            os._exit(9)
        return accuracy(x)


class Unstartable(Scorer):
    """No worker can begin."""

    def __call__(self, number: int) -> Callable[[np.ndarray], float]:
        raise OSError("no such supernet")
