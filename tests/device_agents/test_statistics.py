import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from device_agents.statistics import ci95, median, t975, trimmed_mean

samples = st.lists(st.floats(0.001, 1e4), min_size=3, max_size=80)


@given(samples)
def test_trimmed_mean_is_scipys(values):
    assert trimmed_mean(values) == pytest.approx(stats.trim_mean(values, 0.2), rel=1e-9)


@given(samples)
def test_median_is_numpys(values):
    assert median(values) == pytest.approx(float(np.median(values)), rel=1e-12)


@given(samples, st.floats(0.1, 100))
def test_interval_scales_with_the_samples(values, factor):
    assert ci95([factor * value for value in values]) == pytest.approx(factor * ci95(values), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("degrees", [1, 2, 5, 10, 11, 12, 20, 50, 1000])
def test_student(degrees):
    assert t975(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-3)


@pytest.mark.parametrize(("count", "least"), [(5, 0.90), (10, 0.93), (40, 0.93)])
def test_interval_covers_the_mean_of_normal_samples(count, least):
    rng = np.random.default_rng(0)
    draws = rng.normal(10.0, 1.0, size=(2000, count))
    covered = [abs(trimmed_mean(list(row)) - 10.0) <= ci95(list(row)) for row in draws]
    assert least <= np.mean(covered) <= 0.98


def test_too_few_samples_have_no_interval():
    assert math.isinf(ci95([1.0, 1.0]))


def test_no_samples_have_no_mean():
    with pytest.raises(ValueError):
        trimmed_mean([])
    with pytest.raises(ValueError):
        median([])


def test_an_outlier_does_not_move_the_mean():
    values = [1.0] * 9 + [1000.0]
    assert trimmed_mean(values) == 1.0
