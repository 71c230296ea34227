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
        """Networks of the first sample where only the evaluations in all are given: the same share, a quarter at least.

        From much less a surrogate has nothing to learn.
        """
        share = max(_LEAST_SHARE, self.initial / (self.initial + self.generations * self.infill))
        return min(self.initial, budget, max(2, math.ceil(share * budget)))


_LEAST_SHARE = 0.25

PROFILES = {
    # Lu et al., arXiv 2208.06820, Table I
    "paper": Profile(
        initial=300,
        generations=20,
        infill=8,
        surrogate="ranknet-paper",
        criterion="hierarchical-ga",
        inner="nsga2-sbx",
        population=100,
        inner_generations=1000,
        settling=NEVER,
    ),
    # benchmarks/search_tables.py: a small sample, then few at a time, found more with as many evaluations
    "default": Profile(
        initial=20,
        generations=80,
        infill=4,
        surrogate=surrogates.DEFAULT,
        criterion=criteria.DEFAULT,
        inner=engines.DEFAULT,
        population=100,
        inner_generations=300,
        settling=Settling(generations=16, share=0.001),
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
