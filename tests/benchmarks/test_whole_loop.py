"""Both sides of the whole loop begin with the same networks, and every second is counted once."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("optuna")

import landscapes
import whole_loop
from click.testing import CliRunner

from search.profiles import PROFILES


@pytest.fixture
def small_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both profiles in numbers for a test."""
    small = {"initial": 10, "infill": 3, "population": 8, "inner_generations": 3}
    for name in ("paper", "default"):
        monkeypatch.setitem(PROFILES, name, replace(PROFILES[name], **small, surrogate="ridge"))


def test_both_sides_evaluate_as_many_and_begin_alike(small_profiles: None) -> None:
    landscape = landscapes.load("synthetic:space_name=tiny")
    clocks = [whole_loop.Clock(), whole_loop.Clock()]
    mine, other = (side(landscape, 0, 2, clock) for side, clock in zip(whole_loop.SIDES.values(), clocks, strict=True))
    assert len(mine) == len(other) == 16
    assert np.array_equal(mine[:10], other[:10])
    for clock in clocks:
        assert {whole_loop.SURROGATE, whole_loop.INNER, whole_loop.CHOICE} <= set(clock.seconds)


def test_a_part_inside_another_is_counted_once() -> None:
    clock = whole_loop.Clock()
    started = time.perf_counter()
    with clock.part("outer"):
        sum(range(100_000))
        clock.timed("inner", sum)(range(200_000))
    assert set(clock.seconds) == {"outer", "inner"}
    assert min(clock.seconds.values()) >= 0
    assert sum(clock.seconds.values()) <= time.perf_counter() - started


def test_the_comparison_is_printed_and_goes_on(small_profiles: None, tmp_path: Path) -> None:
    results = tmp_path / "loop.jsonl"
    arguments = ["--table", "binary", "--generations", "1", "--results", str(results)]
    for seeds in ("1", "2"):
        outcome = CliRunner().invoke(whole_loop.main, [*arguments, "--seeds", seeds])
        assert outcome.exit_code == 0, outcome.output
    records = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(record["seed"], record["side"]) for record in records] == [
        (0, "ours"),
        (0, "paper's parts"),
        (1, "ours"),
        (1, "paper's parts"),
    ]
    assert "times faster" in outcome.output
    assert "look-ups and bookkeeping" in outcome.output
