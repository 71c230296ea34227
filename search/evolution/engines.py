"""The inner searches by name; all are called alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mosegnet.common.errors import UserError
from search.evolution import moead, nsga2, nsga2_pymoo
from search.evolution.initialisation import IntArray
from search.evolution.problem import Candidates, Problem

_ENGINES: dict[str, Callable[..., Candidates]] = {
    "nsga2": nsga2.candidates,
    "nsga2-pymoo": nsga2_pymoo.by_digits,
    "nsga2-sbx": nsga2_pymoo.by_rounding,
    "moead": moead.candidates,
}
NAMES = tuple(_ENGINES)
DEFAULT = "nsga2"


def check(name: str) -> None:
    """Whether there is such an inner search.

    Raises:
        UserError: there is not.
    """
    if name not in _ENGINES:
        raise UserError(f"unknown inner search {name!r}: choose one of {', '.join(NAMES)}")


def candidates(
    name: str, problem: Problem, *, population: int, generations: int, start: IntArray, rng: np.random.Generator
) -> Candidates:
    """What the inner search of that name finds; the arguments are those of `nsga2.candidates`.

    Raises:
        UserError: an unknown name.
    """
    check(name)
    return _ENGINES[name](problem, population=population, generations=generations, start=start, rng=rng)
