"""Requirements and choices in words: what they mean, and one line for what cannot be read."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosegnet.common.errors import UserError
from mosegnet.cost import costs
from profiler import lut as luts
from search.objectives import Catalogue, NamedLut, goals_of, named
from search.preferences import Networks, indistinct, pick
from search.requirements import UNITS, parse


@pytest.mark.parametrize(
    ("text", "name", "device", "at_most", "value", "of_largest"),
    [
        ("latency<=30ms", "latency", None, True, 30.0, False),
        (" Latency ≤ 0.03 s ", "latency", None, True, 30.0, False),
        ("latency:atlas-200.v2<=30", "latency", "atlas-200.v2", True, 30.0, False),
        ("flops<=50%", "flops", None, True, 0.5, True),
        ("flops>=1.5G", "flops", None, False, 1.5e9, False),
        ("params<=2e6", "params", None, True, 2e6, False),
        ("memory<=16MiB", "memory", None, True, 2.0**24, False),
        ("energy:orin<=0.2J", "energy", "orin", True, 200.0, False),
        ("miou>=0.70", "miou", None, False, 0.7, False),
    ],
)
def test_what_words_mean(
    text: str, name: str, device: str | None, at_most: bool, value: float, of_largest: bool
) -> None:
    found = parse(text)
    assert (found.name, found.device, found.at_most, found.of_largest) == (name, device, at_most, of_largest)
    assert found.value == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot read the requirement ''"),
        ("latency", "cannot read"),
        ("latency<=", "cannot read"),
        ("latency<=fast", "cannot read"),
        ("speed<=3", "unknown 'speed': name one of latency, energy"),
        ("latency==30ms", "needs <= or >=; a band is two requirements"),
        ("latency<30ms", "needs <= or >="),
        ("latency<=3.0.0", "has no number but '3.0.0'"),
        ("latency<=-1ms", "must not be negative"),
        ("latency<=30mb", "latency takes ms, s, us"),
        ("flops<=3ms", "has unit 'ms': flops takes k, m, g, t"),
        ("flops:cpu<=3G", "only latency and energy"),
        ("miou<=0.5", "limits accuracy from above"),
        ("miou>=70%", "lies in 0..1"),
        ("miou>=70", "lies in 0..1"),
        ("miou>=0.7ms", "lies in 0..1"),
    ],
)
def test_what_cannot_be_read_is_one_line(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=30))
def test_no_text_is_worse_than_one_line(text: str) -> None:
    with suppress(UserError):  # and nothing else
        parse(text)


@given(st.sampled_from(sorted(set(UNITS) - {"miou"})), st.floats(0, 1e9), st.booleans())
def test_every_number_comes_back(name: str, value: float, at_most: bool) -> None:
    found = parse(f"{name}{'<=' if at_most else '>='}{value!r}")
    assert (found.value, found.at_most) == (value, at_most)


@pytest.fixture(scope="module")
def two(micro_table) -> tuple[NamedLut, NamedLut]:
    """A table, and one of a device half as fast."""
    lut = luts.load(micro_table)
    slow = {
        key: entry.model_copy(update={"latency_ms": 2 * entry.latency_ms}) for key, entry in lut.table.entries.items()
    }
    return NamedLut("a", lut), NamedLut("b", luts.Lut(lut.table.model_copy(update={"entries": slow})))


def test_objectives_come_in_the_order_of_the_words(two) -> None:
    one = two[:1]
    assert goals_of(one, ("miou", "latency"), ()).names == ("latency",)
    assert goals_of(one, ("miou", "params", "flops", "latency"), ()).names == ("params", "flops", "latency")
    assert goals_of(two, ("miou", "latency"), ()).names == ("latency:a", "latency:b")
    assert goals_of(two, ("miou", "flops", "latency:b"), ()).names == ("flops", "latency:b")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("latency", "miou"), "the first objective is always miou"),
        (("miou",), "needs a cost"),
        (("miou", "speed"), "unknown objective 'speed'"),
        (("miou", "flops", "flops"), "named twice"),
        (("miou", "latency:c"), "no table is called 'c': this run has a, b"),
        (("miou", "flops:a"), "the same on every device"),
    ],
)
def test_objectives_that_cannot_be(two, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        goals_of(two, words, ())


def test_percentages_are_of_the_largest_network(two, micro_space) -> None:
    goals = goals_of(two, ("miou", "latency"), ("flops<=50%", "latency:b<=60%", "memory>=1kb", "miou>=0.6"))
    largest = micro_space.largest()[None]
    bounds = {one.quantity.name: one.bound for one in goals.limits}
    assert bounds["flops"] == 0.5 * costs(micro_space, largest).flops[0]
    assert bounds["latency:b"] == pytest.approx(0.6 * two[1].lut.predict(largest)[0])
    assert bounds["memory"] == 1e3
    assert goals.least_miou == 0.6
    assert goals.violation(largest)[0] == pytest.approx(1.0 + 1 / 0.6 - 1)
    X = micro_space.sample(50, np.random.default_rng(0))
    np.testing.assert_array_equal(goals.costs_of(X), np.stack([one.lut.predict(X) for one in two], axis=1))


def test_energy_is_the_tables_own(two, monkeypatch) -> None:
    def energy(self, X):
        return 3.0 * self.predict(X)

    monkeypatch.setattr(luts.Lut, "predict_energy", energy, raising=False)
    goals = goals_of(two[:1], ("miou", "latency", "energy"), ("energy<=70%",))
    X = two[0].lut.space.sample(9, np.random.default_rng(0))
    np.testing.assert_allclose(goals.costs_of(X)[:, 1], 3 * goals.costs_of(X)[:, 0])

    def none(self, X):
        raise UserError("the table has no energy")

    monkeypatch.setattr(luts.Lut, "predict_energy", none)
    with pytest.raises(UserError, match="no energy"):
        goals_of(two[:1], ("miou", "energy"), ())


def test_tables_are_named_apart(micro_table, tmp_path, two) -> None:
    lut = two[0].lut
    assert [one.name for one in named([lut, lut], [tmp_path / "x.json", tmp_path / "y.json"])] == ["x", "y"]
    with pytest.raises(UserError, match="two tables are both called 'x'"):
        named([lut, lut], [tmp_path / "x.json", tmp_path / "other" / "x.json"])


# --- choices from a front ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def front(two, micro_space) -> Networks:
    """Twelve networks whose accuracy rises with latency, most steeply at first."""
    lut = two[0].lut
    X = micro_space.sample(60, np.random.default_rng(3))
    X = X[np.argsort(lut.predict(X))][::5]
    latency_ms, half_ms = lut.predict_interval(X)
    return Networks(X, 0.8 - 0.3 * np.exp(-4 * (latency_ms / latency_ms[0] - 1)), half_ms)


def choose(text: str, front: Networks, two):
    goals = goals_of(two[:1], ("miou", "latency"), ())
    return pick(text, front, Catalogue(two[:1]), goals, two[0].lut.space.largest())


def test_the_best_within_conditions(front: Networks, two) -> None:
    latency_ms = two[0].lut.predict(front.encodings)
    limit = float(latency_ms[6])
    assert choose(f"latency<={limit!r}ms:best miou", front, two).row == 6
    assert choose("best miou", front, two).row == 11
    assert choose("best flops", front, two).row == int(np.argmin(costs(two[0].lut.space, front.encodings).flops))
    knee = choose("knee", front, two).row
    scaled = (latency_ms - latency_ms[0]) / (latency_ms[-1] - latency_ms[0]) - front.miou / np.ptp(front.miou)
    assert knee == int(np.argmin(scaled))
    assert 0 <= choose("trade-off", front, two).row < 12


def test_of_networks_that_cannot_be_told_apart_the_most_accurate_is_taken(front: Networks, two) -> None:
    latency_ms = two[0].lut.predict(front.encodings)
    wide = Networks(front.encodings, front.miou, np.full(12, (latency_ms[2] - latency_ms[0]) / 2))
    found = choose("best latency", wide, two)
    assert found.row == max({0, 1, 2} | set(found.tied))
    assert 0 in found.tied
    exact = Networks(front.encodings, front.miou, np.zeros(12))
    assert choose("best latency", exact, two).row == 0
    assert choose("best latency", exact, two).tied == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fastest", "cannot read the choice 'fastest': write"),
        ("latency<=1ms", "cannot read the choice"),
        ("latency<=0.001ms:best miou", "no network of the front meets .*: the nearest has mIoU 0.5000, latency"),
        ("speed<=1:knee", "unknown 'speed'"),
        ("best speed", "unknown objective 'speed'"),
    ],
)
def test_choices_that_cannot_be(front: Networks, two, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        choose(text, front, two)


def test_an_empty_front_has_nothing_to_pick(two) -> None:
    with pytest.raises(UserError, match="the front is empty"):
        choose("knee", Networks(np.zeros((0, 29), dtype=np.int64), np.zeros(0), np.zeros(0)), two)


@given(st.lists(st.tuples(st.floats(1, 100), st.floats(0, 20)), max_size=8))
def test_who_cannot_be_told_apart_is_mutual_and_never_oneself(pairs: list[tuple[float, float]]) -> None:
    latency_ms, half_ms = np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])
    found = indistinct(latency_ms, half_ms)
    for i, ties in enumerate(found):
        assert i not in ties
        for j in ties:
            assert i in found[j]
            assert abs(latency_ms[i] - latency_ms[j]) <= (half_ms[i] + half_ms[j]) * (1 + 1e-9)
