"""What the figures hold, before any browser draws it."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from report_builder import build

from search.report import figures


def test_every_scored_network_is_drawn_once() -> None:
    data = build()
    own = figures.front(data)
    networks = [trace for trace in own.data if trace.mode == "markers" and trace.name.startswith("input")]
    drawn = Counter((x, round(y, 9)) for trace in networks for x, y in zip(trace.x, trace.y, strict=True))
    assert drawn == Counter((r["latency_ms"], round(100 * r["miou"], 9)) for r in data.scored)
    bold = [trace for trace in networks if trace.showlegend]
    assert sum(len(trace.x) for trace in bold) == len(data.pareto)
    for trace in networks:
        assert list(trace.error_x.array) == pytest.approx([0.03 * x for x in trace.x])


def test_the_front_is_a_step_along_what_it_dominates() -> None:
    data = build()
    border = next(trace for trace in figures.front(data).data if trace.name == "the front")
    assert border.line.shape == "hv"
    assert list(border.x) == sorted(border.x)
    assert list(border.y) == sorted(border.y)
    assert len(border.x) == len(data.pareto)


def test_hover_names_what_a_reader_asks() -> None:
    data = build()
    texts = [text for trace in figures.front(data).data for text in trace.hovertext or ()]
    record = data.front[0]
    hover = next(text for text in texts if text.startswith(f"<b>{record['id']}</b>"))
    for part in ("(A)", "on the front", "input 96×128", "mIoU", "predicted", "re-measured", "multiply-adds", "params"):
        assert part in hover
    assert "fastest" in hover


def test_chosen_networks_carry_their_letters() -> None:
    data = build()
    badges = {note.text: (note.x, note.y) for note in figures.front(data).layout.annotations}
    expected = {r["id"]: (r["latency_ms"], 100 * r["miou"]) for r in data.front if r["chosen"]}
    assert badges == {f"<b>{letter}</b>": expected[network] for network, letter in data.chosen.items()}


def test_badges_of_neighbours_do_not_lie_on_each_other() -> None:
    data = build(pareto=[record | {"chosen": ["all"]} for record in build().pareto])
    offsets = [note.ay for note in figures.front(data).layout.annotations]
    points = [(r["latency_ms"], r["miou"]) for r in data.front]
    spans = [max(axis) - min(axis) for axis in zip(*points, strict=True)]
    close = [
        k
        for k, (a, b) in enumerate(itertools.pairwise(points))
        if all(abs(p - q) < 0.05 * span for p, q, span in zip(a, b, spans, strict=True))
    ]
    assert close
    assert all(offsets[k] != offsets[k + 1] for k in close)


def test_hypervolume_is_drawn_over_evaluations() -> None:
    data = build()
    (line,) = figures.hypervolume(data).data
    assert list(line.x) == [40, 48, 56, 64, 72, 80, 88, 96]
    assert list(line.y) == [record["hypervolume"] for record in data.generations]


def test_a_generation_without_a_surrogate_is_left_out_of_its_tau() -> None:
    (line,) = figures.surrogate_tau(build()).data
    assert list(line.x) == [1, 2, 3, 4, 5, 6, 7]


def test_the_band_is_five_percent_about_the_identity() -> None:
    band, identity = figures.agreement(build()).data[:2]
    low, high = band.x[:2]
    assert list(identity.x) == list(identity.y) == [low, high]
    assert list(band.y) == pytest.approx([0.95 * low, 0.95 * high, 1.05 * high, 1.05 * low])


def test_bars_are_laid_end_to_end_and_end_at_the_prediction() -> None:
    data = build()
    bars = figures.units(data).data
    assert [trace.name for trace in bars] == ["stem", "first layer", "layer", "decoder", "constant"]
    for record in (r for r in data.front if r["chosen"]):
        name = f"<b>{data.chosen[record['id']]}</b>  {record['id']}"
        pieces = sorted(
            (base, length)
            for trace in bars[:-1]
            for y, base, length in zip(trace.y, trace.base, trace.x, strict=True)
            if y == name
        )
        ends = [base + length for base, length in pieces]
        assert pieces[0][0] == 0
        assert [base for base, _ in pieces[1:]] == pytest.approx(ends[:-1])
        (constant,) = (x for y, x in zip(bars[-1].y, bars[-1].x, strict=True) if y == name)
        assert constant < 0
        assert ends[-1] + constant == pytest.approx(record["latency_ms"])


def test_an_unknown_unit_has_a_kind_too() -> None:
    assert figures.unit_kind("stem 3>4>8 d1 96x128") == "stem"
    assert figures.unit_kind("tail") == "other"
