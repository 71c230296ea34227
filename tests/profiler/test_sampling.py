import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiler_fixtures import small_space

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from mosegnet.space import SCALE
from profiler import plan, sampling

SPACE = small_space()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
@pytest.mark.parametrize("name", ["tiny", "paper", "small"])
def test_every_unit_occurs_in_the_designed_networks(name, seed):
    space = SPACE if name == "small" else spaces.load(name)
    X = sampling.designed(space, np.random.default_rng(seed))
    assert X.shape == (27 * len(space.scales), 29)
    np.testing.assert_array_equal(X, space.canonical(X))
    seen = set(space.unit_indices(X).ravel().tolist()) - {len(space.units)}
    assert seen == set(range(len(space.units)))


def test_networks_are_spread_from_small_to_large_and_held_out():
    rng = np.random.default_rng(0)
    X = sampling.spread(SPACE, 12, rng)
    assert len(np.unique(X, axis=0)) == 12
    np.testing.assert_array_equal(X, SPACE.canonical(X))
    size = X[:, 1:].sum(axis=1)
    for scale in range(len(SPACE.scales)):
        own = size[X[:, SCALE] == scale]
        assert own[-1] > own[0] + 30
    held_out = sampling.held_out(SPACE, 50, rng, X)
    assert len(np.unique(np.concatenate([X, held_out]), axis=0)) == 62
    assert set(held_out[:, SCALE]) == set(range(len(SPACE.scales)))


@pytest.mark.parametrize("method", plan.METHODS)
def test_a_plan_is_the_same_for_the_same_seed(method):
    one, other = (plan.make_plan(SPACE, method, None, False, np.random.default_rng(4)) for _ in range(2))
    assert [job.key for job in one.jobs] == [job.key for job in other.jobs]
    assert len({job.key for job in one.jobs}) == len(one.jobs)
    np.testing.assert_array_equal(one.validation, other.validation)
    known = {tuple(x) for x in [*one.calibration.tolist(), *one.designed.tolist()]}
    assert not known & {tuple(x) for x in one.validation.tolist()}


@pytest.mark.parametrize(
    ("method", "networks", "has_prior", "words"),
    [
        ("stub", 10, False, "leave out --networks"),
        ("designed", None, True, "leave out --prior"),
        ("networks", 5, False, "too few"),
        ("hybrid", 1, True, "too few"),
    ],
)
def test_numbers_that_a_method_cannot_bear_are_refused(method, networks, has_prior, words):
    with pytest.raises(UserError, match=words):
        plan.make_plan(SPACE, method, networks, has_prior, np.random.default_rng(0))
