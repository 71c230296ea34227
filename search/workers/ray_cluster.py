"""Workers that are actors of a Ray cluster: every GPU of its hosts, or every core where there is none."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mosegnet.common.errors import DeviceError, UserError
from search.workers.crew import Event, Lost, Ready
from search.workers.pool import Job, Outcome, Recipe, reason, seeded_attempt


class Cluster:
    """The backend of a Ray cluster that is running.

    Args:
        address: `auto` for the cluster that this host belongs to, `ray://HOST:10001` for one elsewhere.

    Raises:
        UserError: Ray is not installed, or no cluster is found.
    """

    def __init__(self, address: str, recipe: Recipe) -> None:
        self._ray = _connect(address)
        resources = self._ray.cluster_resources()
        self._gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        self.room = self._gpus or max(1, cores)  # for how many workers
        self._recipe = self._ray.put(recipe)  # sent to each host once
        share = {"num_cpus": 0, "num_gpus": 1} if self._gpus else {"num_cpus": 1}
        self._actor = self._ray.remote(_Actor).options(max_restarts=0, max_task_retries=0, **share)

    def start(self, number: int) -> _Handle:
        """See `Backend`."""
        actor = self._actor.remote()
        return _Handle(number, actor, actor.prepare.remote(self._recipe, number))

    def send(self, handle: _Handle, job: Job) -> None:
        """See `Backend`."""
        handle.awaited = handle.actor.evaluate.remote(job)

    def wait(self, handles: Sequence[_Handle], timeout_s: float) -> list[tuple[_Handle, Event]]:
        """See `Backend`."""
        by_ref = {handle.awaited: handle for handle in handles if handle.awaited is not None}
        try:
            done, _ = self._ray.wait(list(by_ref), num_returns=1, timeout=timeout_s)
            return [(by_ref[ref], self._heard(by_ref[ref])) for ref in done]
        except (ConnectionError, self._ray.exceptions.RaySystemError) as error:
            raise DeviceError(f"the Ray cluster is gone ({reason(error)}): start it and go on with --resume") from error

    def kill(self, handle: _Handle) -> None:
        """See `Backend`."""
        self._ray.kill(handle.actor)

    def name(self, number: int) -> str:
        """See `Backend`."""
        return f"ray-{number}"

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()

    def _heard(self, handle: _Handle) -> Event:
        ref, handle.awaited = handle.awaited, None
        try:
            event: Event = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            return Lost(f"{type(error).__name__}: {str(error).splitlines()[0]}")
        return event


@dataclass(slots=True, eq=False)
class _Handle:
    number: int
    actor: Any
    awaited: Any  # the reference of what it is at


class _Actor:
    """A worker on some host of the cluster."""

    def prepare(self, recipe: Recipe, number: int) -> Event:
        self._name = f"{socket.gethostname()}-{number}"
        try:
            self._score = recipe(number)
        except Exception as error:
            return Lost(f"{self._name}: {reason(error)}")
        return Ready()

    def evaluate(self, job: Job) -> Outcome:
        return seeded_attempt(self._score, job, self._name)


def _connect(address: str) -> Any:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise UserError("--cluster needs Ray: pip install 'mosegnas-hil[cluster]'") from None
    try:
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(
            f"no Ray cluster at {address!r} ({reason(error)}): `ray start --head` on one host starts one, "
            "`ray start --address …` on the others joins them"
        ) from None
    return ray
