"""The border: what a report refuses, and what it derives."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_builder import build, landscape, validation

from mosegnet.common.errors import UserError
from search.report.data import indistinct


@pytest.mark.parametrize(
    ("field", "place", "change", "said"),
    [
        ("archive", 0, {"latency_ms": math.nan}, "archive network 0: latency_ms is nan"),
        ("archive", 0, {"latency_ms": 0.0}, "latency_ms is 0.0"),
        ("archive", 0, {"miou": "0.3"}, "miou is '0.3'"),
        ("archive", 0, {"encoding": [3] + [0] * 28}, "fits none of the 3 input scales"),
        ("archive", 0, {"flops": True}, "flops is True"),
        ("pareto", 1, {"miou": None}, "miou is None"),
        ("pareto", 1, {"measured_ms": -1.0}, "measured_ms is -1.0"),
        ("generations", 2, {"evaluated": 1}, "cannot fall"),
        ("generations", 2, {"surrogate_tau": math.inf}, "surrogate_tau is inf"),
    ],
)
def test_refuses_in_one_line(field: str, place: int, change: dict[str, Any], said: str) -> None:
    records = [dict(record) for record in getattr(build(), field)]
    records[place] |= change
    with pytest.raises(UserError) as caught:
        build(**{field: records})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["breakdown", "chosen", "flops", "encoding", "measured_ms"])
def test_refuses_a_front_with_a_field_missing(name: str) -> None:
    records = [dict(record) for record in build().pareto]
    del records[0][name]
    with pytest.raises(UserError, match=f"has no {name}"):
        build(pareto=records)


def test_refuses_a_landscape_and_a_validation_with_a_field_missing() -> None:
    within = landscape()
    del within["within_scale"]["tau_halves"]
    with pytest.raises(UserError, match="within a scale has no tau_halves"):
        build(landscape=within)
    scores = validation()
    del scores["flops"]["mape_percent"]
    with pytest.raises(UserError, match="validation of flops has no mape_percent"):
        build(validation=scores)


def test_letters_follow_the_latency() -> None:
    data = build(pareto=[record | {"chosen": ["all"]} for record in reversed(build().pareto)])
    assert list(data.chosen) == [record["id"] for record in data.front]
    assert "".join(data.chosen.values()) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(data.pareto)]


def test_letters_go_on_after_z() -> None:
    one = build().front[0]
    pareto = [one | {"id": k, "latency_ms": 1.0 + k, "chosen": ["all"]} for k in range(54)]
    letters = list(build(pareto=pareto).chosen.values())
    assert [letters[k] for k in (25, 26, 27, 51, 52, 53)] == ["Z", "AA", "AB", "AZ", "BA", "BB"]


def test_overlapping_intervals() -> None:
    front = [
        {"latency_ms": latency_ms, "ci95_ms": ci95_ms}
        for latency_ms, ci95_ms in [(1.0, 0.1), (1.15, 0.1), (2.0, None), (2.0, None), (3.0, 0.5)]
    ]
    assert indistinct(front) == {0, 2}


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=8, unique=True), st.floats(0, 50))
def test_wider_intervals_never_tell_more_networks_apart(latencies_ms: list[float], more_ms: float) -> None:
    narrow = [{"latency_ms": ms, "ci95_ms": 0.02 * ms} for ms in sorted(latencies_ms)]
    wide = [record | {"ci95_ms": record["ci95_ms"] + more_ms} for record in narrow]
    assert indistinct(narrow) <= indistinct(wide)
