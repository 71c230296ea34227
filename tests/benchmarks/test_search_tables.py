"""Strategies are held to the same budget, landscapes are always the same, and shares are of the right front."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import click
import numpy as np
import pytest

pytest.importorskip("optuna")

import landscapes
import published
import search_tables
import strategies
from click.testing import CliRunner
from shares import Journal, Run, first_at, median_interval, shares

TINY = {
    "ours": "ours:initial=8:infill=4:surrogate=ridge:population=8:inner_generations=3",
    "paper": "paper:initial=8:surrogate=ridge:population=8:inner_generations=3",
    "linas": "linas:population=10:predictions=40",
    "msunas": "msunas:initial=12:surrogate=rbf",
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """81 networks of 4 digits; each digit costs more and brings more, the first the most."""
    path = tmp_path_factory.mktemp("tables") / "tiny.csv"
    lines = ["op0,op1,op2,op3,mean_acc,flops"]
    for digits in product(range(3), repeat=4):
        accuracy = 50 + 10 * np.sqrt(digits[0]) + 5 * np.sqrt(digits[1]) + digits[2] - 2 * digits[3]
        lines.append(",".join(map(str, [*digits, accuracy, 1 + sum(digits)])))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", search_tables.STRATEGIES)
def test_a_strategy_spends_its_budget_on_distinct_networks(name: str, table: Path) -> None:
    landscape = landscapes.load(str(table))
    strategy = search_tables._strategy(TINY.get(name, name))
    X = strategies.run(strategy, landscape, 24, 3)
    assert len(X) == len(np.unique(X, axis=0)) == 24
    assert np.array_equal(X, strategies.run(strategy, landscape, 24, 3))


def test_another_spelling_of_a_known_network_costs_nothing() -> None:
    landscape = landscapes.synthetic(space_name="tiny")
    space = landscape.space
    spellings = np.random.default_rng(1).integers(0, space.cardinalities, size=(400, len(space.cardinalities)))
    changed = np.array([s for s in spellings if not np.array_equal(space.canonical(s)[0], s)])
    ledger = strategies.Ledger(landscape, 500)
    first = ledger.accuracy(space.canonical(changed))
    left = ledger.left
    assert np.array_equal(ledger.accuracy(changed), first)
    assert ledger.left == left < 500


def test_a_strategy_that_finds_nothing_new_is_stopped(table: Path) -> None:
    def stubborn(ledger: strategies.Ledger, seed: int) -> None:
        while True:
            ledger.accuracy(np.zeros((1000, 4), dtype=np.int64))

    assert len(strategies.run(stubborn, landscapes.load(str(table)), 24, 0)) == 1


def test_the_whole_table_has_the_whole_share_and_a_band_its_own(table: Path) -> None:
    landscape = landscapes.load(f"{table}:band=60")
    X = landscapes.everything(landscape.space)
    accuracy, cost = landscape.truth(X), landscape.cost(X)
    assert landscape.share(accuracy, cost) == landscape.share(accuracy, cost, "upper") == 1.0
    low = accuracy < 60
    assert 0 < landscape.share(accuracy[low], cost[low]) < 1
    assert landscape.share(accuracy[low], cost[low], "upper") == 0.0


def test_a_file_that_lacks_a_network_is_refused(table: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.csv"
    short.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(click.UsageError, match="holds 80 of 81"):
        landscapes.load(str(short))


@pytest.mark.parametrize("name", ["cells", "binary", "synthetic:space_name=tiny"])
def test_a_made_up_landscape_is_always_the_same_and_its_error_is_small(name: str) -> None:
    one, again, other = (landscapes.load(f"{name}:seed={seed}") for seed in (0, 0, 1))
    X = one.space.sample(500, np.random.default_rng(0))
    assert np.array_equal(one.observed(X), again.observed(X))
    assert not np.array_equal(one.truth(X), other.truth(X))
    error = one.observed(X) - one.truth(X)
    assert 0 < error.std() < 0.2 * one.truth(X).std()
    assert abs(error.mean()) < 3 * error.std() / np.sqrt(len(np.unique(X, axis=0)))


def test_the_front_of_a_listed_landscape_is_the_true_one() -> None:
    landscape = landscapes.cells()
    X = landscape.space.sample(2000, np.random.default_rng(0))
    accuracy, cost = landscape.truth(X), landscape.cost(X)
    best, price = landscape.front
    for a, c in zip(accuracy, cost, strict=True):
        assert (best[price <= c + 1e-12] >= a - 1e-12).any()


def test_even_gaps_prefers_the_middle_of_a_gap() -> None:
    costs = np.array([0.1, 4.9, 0.2, 9.8])
    assert published.even_gaps(costs, np.array([0.0, 10.0]), 1).tolist() == [1]
    assert published.even_gaps(costs, np.array([0.0, 10.0]), 9).tolist() == [0, 1, 2, 3]


def test_a_journal_gives_back_the_longest_run_and_skips_a_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    journal = Journal(path)
    for budget in (2, 3, 1):
        journal.append(Run("t", "s", "", 0, budget, [0.1] * budget, [1.0] * budget, 0.0))
    with open(path, "a") as file:
        file.write('{"landscape":"t"')
    found = Journal(path).find("t", "s", "", 0, 2)
    assert found is not None
    assert found.budget == 3
    assert Journal(path).find("t", "s", "", 0, 4) is None
    assert Journal(path).find("t", "s", "other code", 0, 1) is None


def test_first_at_is_the_first_evaluation_that_reaches_the_goal(table: Path) -> None:
    landscape = landscapes.load(str(table))
    X = strategies.run(strategies.chance, landscape, 81, 0)
    run = Run("t", "random", "", 0, 81, landscape.truth(X).tolist(), landscape.cost(X).tolist(), 0.0)
    n = int(first_at(run, landscape, 0.9))
    before, at = shares(run, landscape, "whole", [n - 1, n])
    assert before < 0.9 <= at
    assert first_at(run, landscape, 1.01) == float("inf")


def test_median_interval_holds_the_median_and_infinities() -> None:
    median, low, high = median_interval(np.array([1.0, 2.0, 3.0, np.inf, np.inf]))
    assert low <= median == 3.0 <= high == np.inf


def test_a_comparison_goes_on_where_it_was_cut_off(table: Path, tmp_path: Path) -> None:
    results = tmp_path / "runs.jsonl"
    common = ["--tables", str(table), "--evaluations", "5,10", "--results", str(results)]
    first = CliRunner().invoke(search_tables.main, [*common, "--strategies", "random", "--seeds", "2"])
    assert first.exit_code == 0, first.output
    second = CliRunner().invoke(search_tables.main, [*common, "--strategies", "random,nsga2", "--seeds", "2"])
    assert second.exit_code == 0, second.output
    assert len(results.read_text().splitlines()) == 4
    assert "the first is ahead by" in second.output


@pytest.mark.parametrize("spec", ["nonsense", "random:initial=3", "ours:space=3"])
def test_an_unknown_strategy_or_setting_is_told(spec: str, table: Path) -> None:
    outcome = CliRunner().invoke(search_tables.main, ["--tables", str(table), "--strategies", spec])
    assert outcome.exit_code == 2
    assert "choose among" in outcome.output
