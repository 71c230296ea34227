"""Algorithm 1 by ask and tell: which networks to evaluate next, given what the evaluated ones scored.

No file, device or network is needed: `ask` gives encodings, `tell` takes their accuracies, and a callable gives
latencies. Everything is derived from the seed, the number of the generation and what was told before that generation,
so a search to which an archive is told goes on exactly as the one that made the archive would have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kendalltau

from mosegnet.common.errors import UserError
from search import surrogates
from search.evolution import infill as criteria
from search.evolution.hypervolume import ReferencePoint, hypervolume
from search.evolution.initialisation import IntArray, SearchSpace, draw_unseen, initial_sample, key
from search.evolution.nsga2 import candidates
from search.evolution.pareto import non_dominated
from search.evolution.problem import Archive, Problem
from search.surrogates.base import UncertainSurrogate
from search.surrogates.threads import one_thread

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Front:
    """The networks that no other beats, by rising latency and so by rising accuracy."""

    encodings: IntArray  # (n, D)
    miou: FloatArray  # (n,)
    latency_ms: FloatArray  # (n,)


@dataclass(frozen=True, slots=True)
class Generation:
    """What one generation brought."""

    generation: int  # 0 is the initial sample
    evaluated: int  # networks evaluated so far, this generation's and failed ones included
    hypervolume: float  # of everything evaluated so far, mIoU × ms
    surrogate_tau: float | None  # Kendall's, of what was predicted for this generation's networks; None where undefined


@dataclass(frozen=True, slots=True)
class _Plan:
    """The networks of one generation and what chose them."""

    generation: int
    encodings: IntArray  # (m, D)
    surrogate: surrogates.Surrogate | None  # None where the networks were drawn


class Search:
    """A search for the networks of greatest accuracy and least latency.

    The first `initial` networks are a uniform sample with both bounds of the space; after them come generations of
    `infill` networks: a surrogate is fitted to everything told before the generation, NSGA-II searches (predicted
    accuracy, latency), and `criterion` picks from its candidates.

    Networks that were not asked for may be told as well; they count towards the sample or the generation under way.

    Args:
        space: any digits, see `SearchSpace`.
        latency: canonical encodings (n, D) to milliseconds (n,); infinity for a network that the device cannot run,
            which is never asked for.
        seed: decides everything random; not negative.
        initial: networks before the first surrogate.
        infill: networks of each generation.
        surrogate: a name from `search.surrogates.NAMES`.
        criterion: how the networks of a generation are chosen, a name from `search.evolution.infill.NAMES`.
        population: of the inner NSGA-II.
        inner_generations: of the inner NSGA-II.
        reference: the corner of the hypervolumes in `history`; by default accuracy 0 and 1.1 times the greatest
            latency in the initial sample.

    Raises:
        UserError: an unknown surrogate, a number out of range, or a latency that is not a number.
    """

    def __init__(
        self,
        space: SearchSpace,
        latency: Callable[[IntArray], FloatArray],
        *,
        seed: int = 0,
        initial: int = 300,
        infill: int = 8,
        surrogate: str = surrogates.DEFAULT,
        criterion: str = criteria.DEFAULT,
        population: int = 100,
        inner_generations: int = 300,
        reference: ReferencePoint | None = None,
    ) -> None:
        for name, value, least in (
            ("seed", seed, 0),
            ("initial", initial, 1),
            ("infill", infill, 1),
            ("population", population, 4),
            ("inner_generations", inner_generations, 1),
        ):
            if value < least:
                raise UserError(f"{name} is {value}: it must be at least {least}")
        surrogates.create(surrogate, space.cardinalities, seed)  # an unknown name is told now, not after hours
        self._space, self._latency, self._seed = space, latency, seed
        self._initial, self._infill, self._surrogate = initial, infill, surrogate
        criteria.check(criterion)
        self._criterion = criterion
        self._population, self._inner_generations = population, inner_generations
        self._encodings = np.zeros((0, len(space.cardinalities)), dtype=np.int64)  # told, in order, failed ones too
        self._miou = np.zeros(0)  # NaN where the evaluation failed
        self._latency_ms = np.zeros(0)
        self._seen: set[bytes] = set()  # asked or told
        self._told: set[bytes] = set()
        self._plan: _Plan | None = None
        self._history: dict[int, Generation] = {}
        self._exhausted = False
        first = initial_sample(space, initial, self._rng(0), self._runs)
        self._first_plan = _Plan(0, first, None)
        self.reference = reference or ReferencePoint(miou=0.0, latency_ms=1.1 * float(self._latency_of(first).max()))

    # --- ask and tell --------------------------------------------------------------------------------------------

    def ask(self, k: int | None = None) -> IntArray:
        """The next networks to evaluate, canonical, shape (m, D), none of them asked or told before.

        At most k, and never past the end of the generation, since what is told of it makes the next one better; by
        default the rest of the generation. No networks at all when the space is used up (`exhausted`). Asking
        before everything asked was told is allowed: the next generation is then planned from what is known so far.
        """
        if k is not None and k < 1:
            raise ValueError(f"cannot ask for {k} networks")
        generation = self._generation_of(len(self._seen))
        wanted = self._start_of(generation + 1) - len(self._seen)
        plan = self._planned(generation)
        fresh = [x for x in plan.encodings if key(x) not in self._seen][: wanted if k is None else min(k, wanted)]
        self._exhausted = not fresh
        self._seen.update(key(x) for x in fresh)
        return np.array(fresh, dtype=np.int64).reshape(len(fresh), len(self._space.cardinalities))

    def tell(self, X: ArrayLike, miou: ArrayLike | Sequence[float | None]) -> None:
        """The accuracies of networks X (n, D), asked for or not; None or NaN marks one that failed.

        A failed network is never asked for again and teaches the surrogate nothing. To go on with an archive, tell
        it in the order in which it was written.

        Raises:
            UserError: an encoding out of bounds.
            ValueError: a network that was told before, or numbers that do not match.
        """
        X = self._space.canonical(X)
        scores = np.array(miou, dtype=np.float64, ndmin=1)  # None becomes NaN
        scores[~np.isfinite(scores)] = np.nan
        if scores.shape != (len(X),):
            raise ValueError(f"{len(X)} networks with accuracies of shape {scores.shape}")
        names = [key(x) for x in X]
        if len(set(names)) < len(names) or not self._told.isdisjoint(names):
            raise ValueError("a network is told twice")
        latency_ms = self._latency_of(X)
        if np.isinf(latency_ms).any():
            raise UserError(f"network {X[np.isinf(latency_ms)][0].tolist()} cannot be run on this device")
        self._encodings = np.concatenate([self._encodings, X])
        self._miou = np.concatenate([self._miou, scores])
        self._latency_ms = np.concatenate([self._latency_ms, latency_ms])
        self._told.update(names)
        self._seen.update(names)
        if self._plan is not None and self._start_of(self._plan.generation + 1) <= len(self._told):
            self._summary(self._plan.generation)  # while its surrogate is at hand

    def use_latency(self, latency: Callable[[IntArray], FloatArray]) -> None:
        """Go by another table from now on, such as one corrected by measurements; the reference point stays.

        A generation that is planned already keeps its plan.
        """
        self._latency = latency
        self._latency_ms = self._latency_of(self._encodings)

    # --- what is known -------------------------------------------------------------------------------------------

    @property
    def encodings(self) -> IntArray:
        """Everything told so far, in order, shape (n, D)."""
        return self._encodings.copy()

    @property
    def miou(self) -> FloatArray:
        """Accuracies of `encodings`, NaN where the evaluation failed, shape (n,)."""
        return self._miou.copy()

    @property
    def latency_ms(self) -> FloatArray:
        """Latencies of `encodings`, shape (n,)."""
        return self._latency_ms.copy()

    @property
    def generation(self) -> int:
        """The generation of the network asked or told last; 0 for the initial sample."""
        return self._generation_of(max(0, len(self._seen) - 1))

    @property
    def exhausted(self) -> bool:
        """Whether the last `ask` found no network left."""
        return self._exhausted

    def front(self) -> Front:
        """The non-dominated networks of everything told."""
        rows = non_dominated(self._miou, self._latency_ms)
        return Front(self._encodings[rows], self._miou[rows], self._latency_ms[rows])

    @property
    def history(self) -> tuple[Generation, ...]:
        """Every generation that was told in full; the same whether the search was interrupted or not.

        After an archive was told, the surrogates of its generations are fitted again, once, to say how well they
        did.
        """
        complete = 0
        while self._start_of(complete + 1) <= len(self._told):
            complete += 1
        if self._exhausted and self._start_of(complete) < len(self._told) == len(self._seen):
            complete += 1  # cut short by the end of the space
        return tuple(self._summary(generation) for generation in range(complete))

    # --- planning ------------------------------------------------------------------------------------------------

    def _planned(self, generation: int) -> _Plan:
        """The plan of a generation, made once."""
        if generation == 0:
            return self._first_plan
        if self._plan is None or self._plan.generation != generation:
            with one_thread():
                self._plan = self._make_plan(generation)
        return self._plan

    def _make_plan(self, generation: int) -> _Plan:
        rng = self._rng(generation)
        X, miou, latency_ms = self._known_before(generation)
        seen = {key(x) for x in X} | (self._seen - self._told)  # what others are still evaluating is out as well
        surrogate = self._fitted_before(generation)
        if surrogate is None:
            return _Plan(generation, draw_unseen(self._space, self._infill, seen, rng, self._runs), None)
        problem = Problem(self._space, self._promises(surrogate), runs=self._runs)
        start = X[non_dominated(miou, latency_ms)]
        found = candidates(
            problem, population=self._population, generations=self._inner_generations, start=start, rng=rng
        )
        scored = ~np.isnan(miou)
        known = Archive(X[scored], np.stack([-miou[scored], latency_ms[scored]], axis=1))
        spread = surrogate.predict_std(found.encodings) if isinstance(surrogate, UncertainSurrogate) else None
        picked = criteria.choose(
            self._criterion, problem, found, self._infill, seen=seen, archive=known, spread=spread, rng=rng
        )
        return _Plan(generation, picked, surrogate)

    def _promises(self, surrogate: surrogates.Surrogate) -> Callable[[IntArray], FloatArray]:
        """What the inner search minimises: minus the predicted accuracy, and the latency, (n, 2)."""

        def objectives(X: IntArray) -> FloatArray:
            return np.stack([-surrogate.predict(X), self._latency_of(X)], axis=1)

        return objectives

    def _fitted_before(self, generation: int) -> surrogates.Surrogate | None:
        """The surrogate of a generation; None where what is known cannot tell networks apart."""
        X, miou, _ = self._known_before(generation)
        scored = ~np.isnan(miou)
        if len(np.unique(miou[scored])) < 2:
            return None
        seed = int(np.random.SeedSequence((self._seed, generation, 1)).generate_state(1)[0])
        surrogate = surrogates.create(self._surrogate, self._space.cardinalities, seed)
        return surrogate.fit(X[scored], miou[scored])

    def _known_before(self, generation: int) -> tuple[IntArray, FloatArray, FloatArray]:
        """Encodings, accuracies and latencies of the generations before, in an order that no timing can change."""
        end = self._start_of(generation)
        order = np.lexsort(self._encodings[:end].T[::-1])
        return self._encodings[:end][order], self._miou[:end][order], self._latency_ms[:end][order]

    def _summary(self, generation: int) -> Generation:
        if generation not in self._history:
            start, end = self._start_of(generation), self._start_of(generation + 1)
            miou, latency_ms = self._miou[:end], self._latency_ms[:end]
            tau = self._tau(generation, self._encodings[start:end], miou[start:]) if generation else None
            self._history[generation] = Generation(
                generation, len(miou), hypervolume(miou, latency_ms, self.reference), tau
            )
        return self._history[generation]

    def _tau(self, generation: int, X: IntArray, miou: FloatArray) -> float | None:
        planned = self._plan is not None and self._plan.generation == generation
        with one_thread():
            surrogate = self._plan.surrogate if planned and self._plan else self._fitted_before(generation)
            scored = ~np.isnan(miou)
            if surrogate is None or scored.sum() < 2:
                return None
            tau = float(kendalltau(surrogate.predict(X[scored]), miou[scored]).statistic)
        return None if np.isnan(tau) else tau

    # --- small things --------------------------------------------------------------------------------------------

    def _generation_of(self, place: int) -> int:
        """The generation of the network at a place in the order of evaluation."""
        return 0 if place < self._initial else 1 + (place - self._initial) // self._infill

    def _start_of(self, generation: int) -> int:
        """The place of a generation's first network."""
        return 0 if generation == 0 else self._initial + (generation - 1) * self._infill

    def _rng(self, generation: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence((self._seed, generation, 0)))

    def _runs(self, X: IntArray) -> NDArray[np.bool_]:
        """Which of the networks X the device can run, shape (n,)."""
        return np.isfinite(self._latency_of(X))

    def _latency_of(self, X: IntArray) -> FloatArray:
        if not len(X):
            return np.zeros(0)
        latency_ms = np.asarray(self._latency(X), dtype=np.float64)
        if latency_ms.shape != (len(X),):
            raise ValueError(f"{len(X)} networks with latencies of shape {latency_ms.shape}")
        if np.isnan(latency_ms).any():
            row = int(np.flatnonzero(np.isnan(latency_ms))[0])
            raise UserError(f"the latency of network {X[row].tolist()} is {latency_ms[row]}: mend the latency table")
        return latency_ms
