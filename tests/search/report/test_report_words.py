"""Numbers as text, and the sentences made from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_builder import landscape, validation
from scipy.stats import kendalltau

from search.report import text, verdicts


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0.00"), (0.05054, "0.0505"), (12.345, "12.3"), (1234.5, "1,234"), (-2.5, "−2.50")]
)
def test_significant(value: float, shown: str) -> None:
    assert text.significant(value) == shown


@pytest.mark.parametrize(
    ("value", "half", "shown"),
    [
        (12.3456, 0.2134, "12.35 ± 0.21"),
        (12.3456, 0.02, "12.346 ± 0.020"),
        (120.4, 13.0, "120 ± 13"),
        (12.3456, None, "12.3"),
        (12.3456, 0.0, "12.3"),
        (None, 0.1, "–"),
    ],
)
def test_with_interval(value: float | None, half: float | None, shown: str) -> None:
    assert text.with_interval(value, half) == shown


@given(st.floats(1e-4, 1e4), st.floats(1e-3, 0.5))
def test_an_interval_is_never_rounded_away(value: float, share: float) -> None:
    shown_value, shown_half = text.with_interval(value, share * value).replace(",", "").split(" ± ")
    assert float(shown_half) == pytest.approx(share * value, rel=0.06, abs=1e-6)
    assert float(shown_value) == pytest.approx(value, abs=share * value)


def test_encoding_shows_every_digit_in_its_stage() -> None:
    digits = [k % 10 for k in range(29)]
    assert text.encoding(digits) == "0 · 12 · 345678 · 901234 · 56789012 · 345678"


def test_digits_have_names() -> None:
    names = [text.digit_name(digit) for digit in range(29)]
    assert len(set(names)) == 29
    assert names[0] == "the input scale"
    assert names[10] == "stage 2’s width"
    assert names[28] == "the expansion of stage 4’s layer 4"


def test_within_a_scale_comes_first_and_noise_is_called_noise() -> None:
    first, across, so = verdicts.landscape(landscape(across=0.74, within=0.2))
    assert first.startswith("Within one input scale (192×256) the ranking is mostly noise: tau 0.20")
    assert "luck alone reaches 0.22" in first
    assert across.startswith("Across input scales the ranking is mostly meaningful: tau 0.74")
    assert "the input scale alone explains 83 %; with that levelled out tau is 0.31" in across
    assert so == "So the search can choose an input scale; networks of one scale are as good as tied in mIoU."


@pytest.mark.parametrize(
    ("across", "within", "words", "so"),
    [
        (0.1, 0.1, "mostly noise", "says little"),
        (0.9, 0.55, "part signal and part noise", "should not be believed"),
        (0.9, 0.7, "mostly meaningful", "differences of mIoU count"),
        (0.9, 0.85, "meaningful", "differences of mIoU count"),
        (0.9, None, "cannot be judged", "half of the evidence is missing"),
    ],
)
def test_levels(across: float, within: float | None, words: str, so: str) -> None:
    first, _, conclusion = verdicts.landscape(landscape(across, within))
    assert words in first
    assert so in conclusion


def test_luck_is_what_unrelated_rankings_reach() -> None:
    rng = np.random.default_rng(5)
    taus = [kendalltau(rng.random(40), rng.random(40)).statistic for _ in range(2000)]
    assert verdicts.chance_limit(40) == pytest.approx(np.quantile(taus, 0.975), abs=0.02)


def test_a_better_table_is_said_to_be_better() -> None:
    said = verdicts.validation(validation())
    assert "On 30 held-out networks the table ranks with tau 0.96 and errs by 1.6 %" in said
    assert said.endswith("better than FLOPs and FLOPs + params on both counts.")


def test_a_worse_table_is_said_to_be_worse() -> None:
    said = verdicts.validation(validation(mape_percent=5.5))
    assert "but FLOPs + params fit at least as well" in said
    assert "not the best predictor" in said


def test_missing_rivals_are_said() -> None:
    alone = {name: value for name, value in validation().items() if not name.startswith("flops")}
    assert "was not recorded" in verdicts.validation(alone)
