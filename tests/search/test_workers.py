"""Pools: every network comes back once; failures, crashes and hangs are outcomes; chance follows the network."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import SPACE, Chancy, Failing, Fatal, Scorer, Unstartable, accuracy

import search.datasets
from mosegnet.common.errors import DeviceError, UserError
from search.evaluate import Evaluator
from search.supernet import load
from search.workers import Outcome, Pool, Score, open_pool
from search.workers.supernet import SupernetRecipe

X = SPACE.sample(12, np.random.default_rng(0))


def pool_of(scorer: Scorer, workers: int | None, **more: float) -> Pool:
    return open_pool(scorer.score, scorer, threads=3, workers=workers, **more)  # type: ignore[arg-type]


def all_of(pool: Pool) -> list[Outcome]:
    """Every network of X evaluated, by id."""
    found: list[Outcome] = []
    for id, x in enumerate(X):
        pool.submit(id, x)
    while len(found) < len(X):
        found += pool.completed()
    assert sorted(outcome.id for outcome in found) == list(range(len(X)))
    return sorted(found, key=lambda outcome: outcome.id)


@pytest.mark.parametrize("workers", [None, 2])
def test_the_same_scores_wherever_they_are_made(workers: int | None) -> None:
    with closing(pool_of(Scorer(0.001), workers)) as pool:
        found = all_of(pool)
    assert [outcome.miou for outcome in found] == [accuracy(x) for x in X]
    assert {outcome.attempts for outcome in found} == {1}
    assert all(outcome.seconds >= 0.001 for outcome in found)


@pytest.mark.parametrize("workers", [None, 2])
def test_a_failure_is_tried_three_times_and_then_told_in_one_line(workers: int | None) -> None:
    with closing(pool_of(Failing(), workers)) as pool:
        found = all_of(pool)
    for outcome, x in zip(found, X, strict=True):
        if x[0]:
            assert (outcome.miou, outcome.attempts, outcome.failure) == (accuracy(x), 1, None)
        else:
            assert (outcome.miou, outcome.attempts) == (None, 3)
            assert outcome.failure == f"RuntimeError: no memory for {x.tolist()}"


def test_a_failure_that_passes_is_a_result() -> None:
    failed: list[int] = []

    def score(x: np.ndarray) -> float:
        failed.append(1)
        if len(failed) < 3:
            raise OSError("a hiccup")
        return 0.5

    pool = open_pool(score, Scorer())
    pool.submit(7, X[0])
    (outcome,) = pool.completed()
    pool.close()
    assert (outcome.id, outcome.miou, outcome.attempts, outcome.failure) == (7, 0.5, 3, None)


@pytest.mark.parametrize(("hang", "said"), [(False, "status 9"), (True, "nothing heard for 3 s")])
def test_a_worker_that_dies_or_hangs_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], hang: bool, said: str
) -> None:
    with closing(pool_of(Fatal(folder=str(tmp_path), times=2, hang=hang), 2, deadline_s=3.0)) as pool:
        found = all_of(pool)
    assert [outcome.miou for outcome in found] == [accuracy(x) for x in X]
    assert sum(outcome.attempts for outcome in found) == len(X) + 2
    assert capsys.readouterr().err.count(said) == 2


def test_workers_that_cannot_begin_end_the_work_in_one_line() -> None:
    with closing(pool_of(Unstartable(), 2)) as pool:
        pool.submit(0, X[0])
        with pytest.raises(DeviceError, match=r"no worker can be started .*no such supernet.*--resume"):
            pool.completed()


def test_chance_follows_the_network_not_the_worker() -> None:
    scores = []
    for workers in (1, 3):
        with closing(pool_of(Chancy(), workers)) as pool:
            scores.append([outcome.miou for outcome in all_of(pool)])
    assert scores[0] == scores[1]
    assert len(set(scores[0])) == len(X)


def test_the_supernet_is_scored_alike_by_every_worker(monkeypatch, micro_supernet: Path, micro_dataset) -> None:
    supernet = load(micro_supernet)
    monkeypatch.setattr(search.datasets, "load", lambda spec: micro_dataset)
    x = supernet.space.smallest()
    recipe = SupernetRecipe(micro_supernet, supernet.fingerprint(), "boxes")
    assert recipe(0)(x) == Evaluator(supernet, micro_dataset).miou(x)
    with pytest.raises(UserError, match="has other weights here"):
        replace(recipe, fingerprint="another")(0)


def test_what_cannot_be() -> None:
    score: Score = Scorer().score
    with pytest.raises(UserError, match="0 workers evaluate nothing"):
        open_pool(score, Scorer(), workers=0)
