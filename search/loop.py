"""Algorithm 1 by ask and tell: which networks to evaluate next, given what the evaluated ones scored.

No file, device or network is needed: `ask` gives encodings, `tell` takes their accuracies, and a callable gives
latencies (or `Goals` say what else to keep small, and within which limits). Everything is derived from the seed, the
number of the generation and what was told before that generation, so a search to which an archive is told goes on
exactly as the one that made the archive would have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kendalltau

from mosegnet.common.errors import UserError
from search import surrogates
from search.cheap_side import drawn, first_sample
from search.evolution import engines
from search.evolution import infill as criteria
from search.evolution.hypervolume import ReferencePoint, hypervolume_of_costs
from search.evolution.initialisation import IntArray, SearchSpace, distinct, key
from search.evolution.pareto import non_dominated_by
from search.evolution.problem import Archive, Problem, unconstrained
from search.goals import Goals, of_latency
from search.predicted_limit import below
from search.surrogates.base import UncertainSurrogate
from search.surrogates.threads import one_thread

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Front:
    """The networks inside the constraints that no other beats, by rising first cost.

    With one cost, the usual latency, they come by rising accuracy too.
    """

    encodings: IntArray  # (n, D)
    miou: FloatArray  # (n,)
    latency_ms: FloatArray  # (n,) the first cost
    costs: FloatArray  # (n, c) every cost


@dataclass(frozen=True, slots=True)
class Generation:
    """What one generation brought."""

    generation: int  # 0 is the initial sample
    evaluated: int  # networks evaluated so far, this generation's and failed ones included
    hypervolume: float  # of everything evaluated so far inside the constraints, mIoU × ms; see `hypervolume_of_costs`
    surrogate_tau: float | None  # Kendall's, of what was predicted for this generation's networks; None where undefined


@dataclass(frozen=True, slots=True)
class _Plan:
    """The networks of one generation and what chose them."""

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
            which is never asked for. Or `Goals`: any costs, limits on the cheap side, outside which no network is
            asked for, and a least accuracy, below which none is wanted.
        seed: decides everything random; not negative.
        initial: networks before the first surrogate; more where `first` has more.
        infill: networks of each generation.
        surrogate: a name from `search.surrogates.NAMES`.
        criterion: how the networks of a generation are chosen, a name from `search.evolution.infill.NAMES`.
        inner: the search of the surrogate's promises, a name from `search.evolution.engines.NAMES`.
        population: of the inner search.
        inner_generations: of the inner search.
        lag: a generation is planned without the last so many networks before it, so that it can be asked for while
            they are evaluated; the result then depends on `lag`, but on no timing.
        first: networks to evaluate before all others, (n, D), in this order.
        reference: the corner of the hypervolumes in `history`; by default accuracy 0 and 1.1 times the greatest
            cost in the initial sample, for each.

    Raises:
        UserError: an unknown surrogate, a number out of range, a latency that is not a number, limits that no network
            meets (says how near one comes), or a first network that does not meet them.
    """

    def __init__(
        self,
        space: SearchSpace,
        latency: Callable[[IntArray], FloatArray] | Goals,
        *,
        seed: int = 0,
        initial: int = 300,
        infill: int = 8,
        surrogate: str = surrogates.DEFAULT,
        criterion: str = criteria.DEFAULT,
        inner: str = engines.DEFAULT,
        population: int = 100,
        inner_generations: int = 300,
        lag: int = 0,
        first: ArrayLike | None = None,
        reference: ReferencePoint | None = None,
    ) -> None:
        for name, value, least in (
            ("seed", seed, 0),
            ("initial", initial, 1),
            ("infill", infill, 1),
            ("population", population, 4),
            ("inner_generations", inner_generations, 1),
            ("lag", lag, 0),
        ):
            if value < least:
                raise UserError(f"{name} is {value}: it must be at least {least}")
        surrogates.create(surrogate, space.cardinalities, seed)  # an unknown name is told now, not after hours
        self._space, self._seed = space, seed
        self._goals = latency if isinstance(latency, Goals) else of_latency(latency)
        self._initial, self._infill, self._surrogate = initial, infill, surrogate
        criteria.check(criterion)
        engines.check(inner)
        self._criterion, self._inner = criterion, inner
        self._population, self._inner_generations = population, inner_generations
        self._lag = lag
        self._encodings = np.zeros((0, len(space.cardinalities)), dtype=np.int64)  # told, in order, failed ones too
        self._miou = np.zeros(0)  # NaN where the evaluation failed
        self._costs = np.zeros((0, len(self._goals.costs)))
        self._seen: set[bytes] = set()  # asked or told
        self._told: set[bytes] = set()
        self._plans: dict[int, _Plan] = {}  # of the generations that were not told in full
        self._history: dict[int, Generation] = {}
        self._exhausted = False
        sample = first_sample(space, self._goals, initial, first, self._rng(0))
        self._initial = max(initial, 0 if first is None else len(distinct(space.canonical(first))))
        self._first_plan = _Plan(sample, None)
        self.reference = reference or self._corner(sample)

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
        costs = self._goals.costs_of(X)
        stopped = np.isinf(costs).any(axis=1)
        if stopped.any():
            raise UserError(f"network {X[stopped][0].tolist()} cannot be run on this device")
        self._encodings = np.concatenate([self._encodings, X])
        self._miou = np.concatenate([self._miou, scores])
        self._costs = np.concatenate([self._costs, costs])
        self._told.update(names)
        self._seen.update(names)
        for generation in [one for one in self._plans if self._start_of(one + 1) <= len(self._told)]:
            self._summary(generation)  # while its surrogate is at hand
            del self._plans[generation]

    def use_latency(self, latency: Callable[[IntArray], FloatArray], name: str | None = None) -> None:
        """Go by another table from now on, such as one corrected by measurements; the reference point stays.

        A generation that is planned already keeps its plan. `name` is that of the quantity it replaces; by default
        the first cost.
        """
        self._goals = self._goals.with_quantity(name or self._goals.names[0], latency)
        self._costs = self._goals.costs_of(self._encodings)

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
        """Latencies of `encodings`, or whatever the first cost is, shape (n,)."""
        return self._costs[:, 0].copy()

    @property
    def costs(self) -> FloatArray:
        """Every cost of `encodings`, in the order of the goals, shape (n, c)."""
        return self._costs.copy()

    @property
    def goals(self) -> Goals:
        """What the search wants, by the tables that it goes by now."""
        return self._goals

    @property
    def generation(self) -> int:
        """The generation of the network asked or told last; 0 for the initial sample."""
        return self._generation_of(max(0, len(self._seen) - 1))

    @property
    def exhausted(self) -> bool:
        """Whether the last `ask` found no network left."""
        return self._exhausted

    def front(self) -> Front:
        """The non-dominated networks of everything told that is inside the constraints."""
        rows = self._front_rows(self._encodings, self._miou, self._costs)
        return Front(self._encodings[rows], self._miou[rows], self._costs[rows, 0], self._costs[rows])

    @property
    def history(self) -> tuple[Generation, ...]:
        """Every generation that was told in full; the same whether the search was interrupted or not.

        After an archive was told, the surrogates of its generations are fitted again, once, to say how well they
        did.
        """
        return self.history_from(0)

    def hypervolume_after(self, generation: int) -> float:
        """Of everything told up to the end of a generation, inside the constraints, by the tables of now."""
        end = self._start_of(generation + 1)
        miou = self._miou[:end]
        wanted = np.where(self._wanted(self._encodings[:end], miou), miou, np.nan)
        return hypervolume_of_costs(wanted, self._costs[:end], self.reference)

    def known_generation(self, asked: int) -> int:
        """The last generation that is known in full whenever a network is planned at place `asked`; -1 for none."""
        end, generation = self._start_of(self._generation_of(asked)) - self._lag, -1
        while self._start_of(generation + 2) <= end:
            generation += 1
        return generation

    def history_from(self, first: int) -> tuple[Generation, ...]:
        """`history` from generation `first` on; nothing is fitted for the generations before."""
        complete = 0
        while self._start_of(complete + 1) <= len(self._told):
            complete += 1
        if self._exhausted and self._start_of(complete) < len(self._told) == len(self._seen):
            complete += 1  # cut short by the end of the space
        return tuple(self._summary(generation) for generation in range(first, complete))

    # --- planning ------------------------------------------------------------------------------------------------

    def _planned(self, generation: int) -> _Plan:
        """The plan of a generation, made once."""
        if generation == 0:
            return self._first_plan
        if generation not in self._plans:
            with one_thread():
                self._plans[generation] = self._make_plan(generation)
        return self._plans[generation]

    def _draw(self, n: int, seen: set[bytes], rng: np.random.Generator, start: IntArray) -> IntArray:
        return drawn(self._space, self._goals, n, seen, rng, start)

    def _corner(self, sample: IntArray) -> ReferencePoint:
        worst = [1.1 * float(cost) for cost in self._goals.costs_of(sample).max(axis=0)]
        return ReferencePoint(0.0, worst[0], tuple(worst[1:]))

    def _make_plan(self, generation: int) -> _Plan:
        rng = self._rng(generation)
        X, miou, costs = self._known_before(generation)
        before = self._encodings[: self._start_of(generation)]
        seen = {key(x) for x in before} | (self._seen - self._told)  # what is still being evaluated is out as well
        surrogate = self._fitted_before(generation)
        if surrogate is None:
            return _Plan(self._draw(self._infill, seen, rng, X), None)
        problem = self._problem(surrogate, X, miou)
        front = self._front_rows(X, miou, costs)
        start = X[front if len(front) else non_dominated_by(miou, costs)]
        size = {"population": self._population, "generations": self._inner_generations}
        found = engines.candidates(self._inner, problem, start=start, rng=rng, **size)
        spread = surrogate.predict_std(found.encodings) if isinstance(surrogate, UncertainSurrogate) else None
        picked = criteria.choose(
            self._criterion,
            problem,
            found,
            self._infill,
            seen=seen,
            archive=self._archive(X, miou, costs),
            spread=spread,
            rng=rng,
        )
        if len(picked) < self._infill:  # chance found no more inside the limits
            names = {key(x) for x in picked}
            picked = np.concatenate([picked, self._draw(self._infill - len(picked), seen | names, rng, X)])
        return _Plan(picked, surrogate)

    def _problem(self, surrogate: surrogates.Surrogate, X: IntArray, miou: FloatArray) -> Problem:
        """What the inner search minimises: minus the predicted accuracy, and the costs, inside the constraints."""
        goals = self._goals

        def objectives(X: IntArray) -> FloatArray:
            return np.concatenate([-surrogate.predict(X)[:, None], goals.costs_of(X)], axis=1)

        if not goals.constrained:
            return Problem(self._space, objectives, runs=goals.runs)
        scored = ~np.isnan(miou)
        accuracy: Callable[[IntArray], FloatArray] = unconstrained
        if np.isfinite(goals.least_miou):
            accuracy = below(surrogate.predict, surrogate.predict(X[scored]), miou[scored] >= goals.least_miou)

        def violation(X: IntArray) -> FloatArray:
            return goals.violation(X) + accuracy(X)

        return Problem(self._space, objectives, violation, goals.runs)

    def _archive(self, X: IntArray, miou: FloatArray, costs: FloatArray) -> Archive:
        """What the in-fill knows: everything scored inside the constraints, or all of it where nothing is."""
        scored = ~np.isnan(miou)
        inside = scored & self._wanted(X, miou)
        rows = inside if inside.any() else scored
        return Archive(X[rows], np.concatenate([-miou[rows, None], costs[rows]], axis=1))

    def _wanted(self, X: IntArray, miou: FloatArray) -> NDArray[np.bool_]:
        """Which of the evaluated networks are inside the constraints, (n,); those that failed are not asked."""
        inside: NDArray[np.bool_] = ~(miou < self._goals.least_miou)
        return inside & (self._goals.violation(X) <= 0)

    def _front_rows(self, X: IntArray, miou: FloatArray, costs: FloatArray) -> NDArray[np.int64]:
        return non_dominated_by(np.where(self._wanted(X, miou), miou, np.nan), costs)

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
        """What a generation is planned from: encodings, accuracies, costs, in an order without timing."""
        end = max(0, self._start_of(generation) - self._lag)
        order = np.lexsort(self._encodings[:end].T[::-1])
        return self._encodings[:end][order], self._miou[:end][order], self._costs[:end][order]

    def _summary(self, generation: int) -> Generation:
        if generation not in self._history:
            start, end = self._start_of(generation), self._start_of(generation + 1)
            miou = self._miou[:end]
            volume = self.hypervolume_after(generation)
            tau = self._tau(generation, self._encodings[start:end], miou[start:]) if generation else None
            self._history[generation] = Generation(generation, len(miou), volume, tau)
        return self._history[generation]

    def _tau(self, generation: int, X: IntArray, miou: FloatArray) -> float | None:
        plan = self._plans.get(generation)
        with one_thread():
            surrogate = plan.surrogate if plan else self._fitted_before(generation)
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
