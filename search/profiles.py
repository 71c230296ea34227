"""The settings of a search under one name: the paper's, and the best that were measured. The numbers live here only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mosegnet.common.errors import UserError
from search import surrogates
from search.evolution import engines
from search.evolution import infill as criteria
from search.stopping import NEVER, Settling


@dataclass(frozen=True, slots=True)
class Profile:
    """How a search is carried out, where nothing else is said."""

    initial: int  # networks of the first sample
    generations: int
    infill: int  # networks of each generation
    surrogate: str
    criterion: str  # how a generation's networks are chosen
    inner: str  # the search of the surrogate's promises
    population: int  # of the inner search
    inner_generations: int
    settling: Settling

    def initial_of(self, budget: int) -> int:
        """Networks of the first sample where only the evaluations in all are given: the same share, 2 at least."""
        share = self.initial / (self.initial + self.generations * self.infill)
        return min(self.initial, budget, max(2, math.ceil(share * budget)))


PROFILES = {
    # Lu et al., arXiv 2208.06820, Table I
    "paper": Profile(
        initial=300,
        generations=20,
        infill=8,
        surrogate="ranknet-paper" if "ranknet-paper" in surrogates.NAMES else "ranknet",
        criterion="hierarchical-ga",
        inner="nsga2-sbx",
        population=100,
        inner_generations=1000,
        settling=NEVER,
    ),
    "default": Profile(
        initial=300,
        generations=20,
        infill=8,
        surrogate=surrogates.DEFAULT,
        criterion=criteria.DEFAULT,
        inner=engines.DEFAULT,
        population=100,
        inner_generations=300,
        settling=Settling(generations=8, share=0.001),
    ),
}
DEFAULT = "default"


def profile(name: str) -> Profile:
    """A profile by its name.

    Raises:
        UserError: there is no such profile.
    """
    if name not in PROFILES:
        raise UserError(f"unknown profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
