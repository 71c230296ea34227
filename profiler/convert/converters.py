"""Converters: what turns a session's jobs into what its device loads, alike for all devices."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors
from profiler.convert.atc import Atc, AtcOptions
from profiler.convert.cache import ModelCache, user_cache
from profiler.convert.failures import Failure
from profiler.convert.pipeline import J, Pipeline, Result, Source, Statistics, workers_for
from profiler.convert.runner import LocalRunner, Runner
from profiler.convert.toolkit import Toolkit

_FATAL = frozenset({"environment", "usage"})  # the same for every job
_MOST_COMPILERS = 8  # ATC's own default


class Converter(Protocol):
    """Makes models ready for a device.

    `models` is to be used as `with converter.models(jobs) as models: for job, model in models: …`; a model that cannot
    be converted is a Failure at its turn, what concerns all of them is raised as one `UserError`.
    """

    statistics: Statistics

    def models(self, jobs: Iterable[J]) -> AbstractContextManager[Iterator[tuple[J, Result]]]:
        """Each job with its model, in order, as they are needed."""

    def describe(self) -> dict[str, Any]:
        """What a table should say about it, as JSON data; empty when nothing is converted."""


Rewrite = Callable[[bytes], bytes]  # of an ONNX model


class NoConversion:
    """The device loads ONNX, or converts it by itself; `rewrites` are made to it before."""

    def __init__(self, rewrites: Sequence[Rewrite] = ()) -> None:
        self._rewrites = rewrites
        self.statistics = Statistics()

    @contextmanager
    def models(self, jobs: Iterable[J]) -> Iterator[Iterator[tuple[J, Result]]]:
        """See `Converter`: models as the jobs make them, each when its turn comes."""
        yield ((job, self._made(job.make())) for job in jobs)

    def describe(self) -> dict[str, Any]:
        """See `Converter`."""
        return {}

    def _made(self, model: bytes | Path) -> bytes | Path:
        if not self._rewrites:
            return model
        onnx = _read(model)
        for rewrite in self._rewrites:
            onnx = rewrite(onnx)
        return onnx


class AtcConverter:
    """ATC ahead of the device, side by side, with a cache; where it runs is up to `runner`.

    `parallel` limits the conversions side by side further than cores and memory do; `ahead` is how many models may be
    under way or finished and unused, by default two for each conversion side by side.
    """

    def __init__(
        self,
        options: AtcOptions,
        runner: Runner | None = None,
        cache: ModelCache | None = None,
        parallel: int | None = None,
        ahead: int | None = None,
    ) -> None:
        self._options = options
        self._runner: Runner = runner or LocalRunner(user_cache() / "conversions")
        self._atc = Atc(options, self._runner)
        self._cache = cache or ModelCache()
        self._parallel, self._ahead = parallel, ahead
        self._compilers = 1
        self._turns = _Turns()
        self.statistics = Statistics()

    def models(self, jobs: Iterable[J]) -> Pipeline[J]:
        """See `Converter`."""
        capacity = self._runner.capacity()
        workers = workers_for(capacity, self._options.memory_bytes, self._parallel)
        self._compilers = max(1, min(_MOST_COMPILERS, capacity.cores // workers))
        return Pipeline(jobs, self.convert, workers, self._ahead or 2 * workers, self.statistics)

    def convert(self, job: Source, stop: threading.Event | None = None) -> bytes | Failure:
        """One job's model, from the cache where it is.

        Raises:
            UserError: ATC cannot work here at all, or not with these options.
            Stopped: `stop` was set.
        """
        onnx = _read(job.make())
        toolkit = self._atc.toolkit(stop)
        if isinstance(toolkit, Failure):
            raise UserError(self._complaint(toolkit))
        key = self._atc.key(onnx, toolkit)
        with self._turns.of(key):  # the same model twice, side by side, is converted once
            model = self._cache.get(key)
            if model is not None:
                self.statistics.add(cache_hits=1)
                return model
            return self._convert(onnx, job.key, key, stop)

    def describe(self) -> dict[str, Any]:
        """See `Converter`: the tool, its CANN as far as it is known, and the options that change the result."""
        toolkit = self._atc.toolkit()
        version = toolkit.version if isinstance(toolkit, Toolkit) else None
        options = self._options
        return {"tool": "atc", "cann": version, "soc": options.soc, "precision_mode": options.precision_mode}

    def _convert(self, onnx: bytes, name: str, key: str, stop: threading.Event | None) -> bytes | Failure:
        began_s = time.monotonic()
        try:
            model = self._atc.convert(onnx, name, stop, self._compilers)
        finally:
            self.statistics.add(converting_s=time.monotonic() - began_s)
        if isinstance(model, bytes):
            self.statistics.add(converted=1)
            self._cache.put(key, model)
        elif model.kind in _FATAL:
            raise UserError(self._complaint(model))
        else:
            self.statistics.add(failures=1)
        return model

    def _complaint(self, failed: Failure) -> str:
        return f"ATC on {self._runner.where}: {failed.message}"


class _Turns:
    """A lock for each key that somebody is at."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def of(self, key: str) -> Iterator[None]:
        with self._lock:
            lock, users = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, users = self._locks[key]
                if users == 1:
                    del self._locks[key]
                else:
                    self._locks[key] = lock, users - 1


def _read(model: bytes | Path) -> bytes:
    if isinstance(model, bytes):
        return model
    with explain_os_errors(model, "read"):
        return model.read_bytes()
