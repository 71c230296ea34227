"""The options of `search run` that say who evaluates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from search.evaluate import Evaluator
    from search.workers import Pool


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Who evaluates, as the command line says."""

    workers: int | None
    cluster: str | None
    asynchronous: bool
    deadline_s: float

    def lag(self, infill: int) -> int:
        """So many networks may be under way when the next generation is planned."""
        return infill if self.asynchronous else 0

    def open(self, evaluator: Evaluator, supernet: Path, fingerprint: str, data: str) -> Pool:
        """The pool; `evaluator` is this process's own, the rest is what others make theirs of.

        Raises:
            UserError: no worker, or no cluster.
        """
        import torch

        from search.workers import open_pool
        from search.workers.supernet import SupernetRecipe

        return open_pool(
            evaluator.miou,
            SupernetRecipe(supernet.resolve(), fingerprint, data),
            threads=torch.get_num_threads(),
            prepare_thread=partial(torch.set_num_threads, 1),  # a network: see `Evaluator.confusions_of_all`
            workers=self.workers,
            cluster=self.cluster,
            deadline_s=self.deadline_s,
        )


def worker_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which takes them together as `work`."""

    @click.option("--workers", type=click.IntRange(1), help="evaluate in so many processes  [default: in this one]")
    @click.option("--cluster", metavar="ADDRESS", help="evaluate on a Ray cluster: auto, or ray://HOST:10001")
    @click.option(
        "--asynchronous",
        is_flag=True,
        help="plan a generation while the last networks of the one before are evaluated; another result, as repeatable",
    )
    @click.option(
        "--deadline",
        "deadline_s",
        type=click.FloatRange(1.0),
        default=3600.0,
        show_default=True,
        help="seconds after which a worker hangs and is replaced",
    )
    @wraps(command)
    def wrapped(workers: int | None, cluster: str | None, asynchronous: bool, deadline_s: float, **others: Any) -> None:
        command(work=WorkerOptions(workers, cluster, asynchronous, deadline_s), **others)

    return wrapped
