"""Which workers a run has, from what its command line says."""

from __future__ import annotations

from collections.abc import Callable

from mosegnet.common.errors import UserError
from search.workers.crew import Crew
from search.workers.pool import Pool, Recipe, Score
from search.workers.processes import Processes
from search.workers.retries import Retrying
from search.workers.threads import Threads

DEADLINE_S = 3600.0


def open_pool(
    score: Score,
    recipe: Recipe,
    *,
    threads: int = 1,
    prepare_thread: Callable[[], None] | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    deadline_s: float = DEADLINE_S,
) -> Pool:
    """The pool to evaluate with; failures are tried again.

    Args:
        score: what this process evaluates with, where neither `workers` nor `cluster` is given.
        recipe: makes the score of a worker elsewhere.
        threads: of this process, at most so many networks at a time.
        prepare_thread: called once in each of these threads.
        workers: so many processes, or of so many of a cluster's GPUs or cores; by default all of these.
        cluster: the address of a Ray cluster, see `Cluster`.
        deadline_s: see `Crew`.

    Raises:
        UserError: no worker, or no cluster.
    """
    if workers is not None and workers < 1:
        raise UserError(f"{workers} workers evaluate nothing: at least 1")
    if cluster is not None:
        from search.workers.ray_cluster import Cluster

        joined = Cluster(cluster, recipe)
        return Retrying(Crew(joined, min(workers or joined.room, joined.room), deadline_s))
    if workers is not None:
        return Retrying(Crew(Processes(recipe), workers, deadline_s))
    return Retrying(Threads(score, threads, prepare_thread))
