import numpy as np
import pytest
from profiler_fixtures import small_space

from mosegnet.space import SCALE
from profiler import fit, plan, validate
from profiler.schema import Entry
from profiler.visits import Estimate

SPACE = small_space()


def estimate(ms, visits=()):
    return Estimate(ms, 0.001 * ms, 10, True, tuple(visits) or (ms, ms), ())


def made_up_entries(rng):
    return {
        unit.key: Entry(latency_ms=float(rng.uniform(0.5, 2)), ci95_ms=0.01, samples=10, converged=True)
        for unit in SPACE.units
    }


def sums_ms(entries, X, by_kind=None):
    factor = by_kind or {}
    values = [factor.get(unit.kind, 1.0) * entries[unit.key].latency_ms for unit in SPACE.units]
    return np.array([*values, 0.0])[SPACE.unit_indices(X)].sum(axis=1)


def predicted_ms(entries, calibration, X):
    from profiler.lut import calibrated_ms

    values = calibrated_ms(SPACE, entries, calibration)
    return values[X[:, [SCALE]], SPACE.unit_indices(X)].sum(axis=1) + np.array(calibration.constant_ms)[X[:, SCALE]]


@pytest.mark.parametrize("truth", ["as it is", "all scaled", "one kind", "a constant"])
def test_calibration_finds_what_the_sum_lacks(truth):
    rng = np.random.default_rng(1)
    entries = made_up_entries(rng)
    known, unseen = plan.spread(SPACE, 16, rng), SPACE.sample(40, rng)

    def true_ms(X):
        by_kind = {"decoder": 0.93} if truth == "one kind" else {}
        total = sums_ms(entries, X, by_kind)
        return total * (1.25 if truth == "all scaled" else 1) + (1.0 if truth == "a constant" else 0) * (
            1 + X[:, SCALE]
        )

    noisy = true_ms(known) * (1 + 0.002 * rng.standard_normal(len(known)))
    found = fit.calibrate(SPACE, entries, known, [estimate(ms) for ms in noisy], 0.02)
    error = predicted_ms(entries, found, unseen) / true_ms(unseen) - 1
    assert np.abs(error).mean() < 0.004
    assert np.mean(100 * np.abs(error) <= found.interval_percent) > 0.9
    assert found.noise_percent < 1


@pytest.mark.parametrize("noise", [0.005, 0.03])
def test_the_interval_follows_the_noise(noise):
    """Over many calibrations, 95 % intervals hold about so many networks that were not seen."""
    rng = np.random.default_rng(2)
    entries = made_up_entries(rng)
    covered = []
    for _ in range(20):
        X, unseen = plan.spread(SPACE, 16, rng), SPACE.sample(50, rng)
        labels = sums_ms(entries, X) * (1 + noise * rng.standard_normal(len(X)))
        found = fit.calibrate(SPACE, entries, X, [estimate(ms) for ms in labels], 0.02)
        fresh = sums_ms(entries, unseen) * (1 + noise * rng.standard_normal(len(unseen)))
        error = np.abs(fresh / predicted_ms(entries, found, unseen) - 1)
        covered.append(np.mean(100 * error <= found.interval_percent))
    assert 0.93 <= np.mean(covered) <= 0.99


def test_an_entry_below_its_noise_is_never_zero():
    known = {plan.context_key(shape): estimate(1.0) for shape in plan.context_shapes(SPACE)}
    known |= {unit.key: estimate(0.9) for unit in SPACE.units}
    for entry in fit.entries(SPACE, known).values():
        assert entry.latency_ms > 0
        assert "below_noise" in entry.flags


def test_something_not_measured_is_an_error():
    with pytest.raises(KeyError):
        fit.entries(SPACE, {plan.context_key(shape): estimate(1.0) for shape in plan.context_shapes(SPACE)})


def test_scores_of_a_perfect_predictor_and_of_a_biased_one():
    X = SPACE.sample(30, np.random.default_rng(0))
    ms = np.random.default_rng(1).uniform(1, 5, 30)
    perfect = validate.scores(ms, ms, X)
    assert (perfect.kendall_tau, perfect.pearson_r, perfect.mape_percent) == (1, 1, 0)
    assert perfect.within_5_percent == 100
    biased = validate.scores(1.07 * ms, ms, X)
    assert biased.bias_percent == pytest.approx(7)
    assert biased.kendall_tau == 1
    assert (biased.within_5_percent, biased.within_10_percent) == (0, 100)
    assert validate.scores(np.ones(30), ms, X).kendall_tau == 0


def test_label_noise_is_the_error_of_the_mean_of_visits():
    rng = np.random.default_rng(0)
    measured = [estimate(2.0, 2.0 * (1 + 0.02 * rng.standard_normal(4))) for _ in range(400)]
    assert validate.label_noise(measured) == pytest.approx(0.01, rel=0.1)


def test_the_ceiling_falls_with_the_noise():
    ms = np.random.default_rng(0).normal(100, 8, 40)
    ceilings = [validate.tau_ceiling(ms, noise) for noise in (0.0, 0.002, 0.01, 0.02)]
    assert ceilings[0] == 1
    assert ceilings == sorted(ceilings, reverse=True)
    assert ceilings[-1] < 0.92


def test_networks_are_spread_from_small_to_large_and_held_out():
    rng = np.random.default_rng(0)
    X = plan.spread(SPACE, 12, rng)
    assert len(np.unique(X, axis=0)) == 12
    np.testing.assert_array_equal(X, SPACE.canonical(X))
    size = X[:, 1:].sum(axis=1)
    for scale in range(len(SPACE.scales)):
        own = size[X[:, SCALE] == scale]
        assert own[-1] > own[0] + 30
    held_out = plan.held_out(SPACE, 50, rng, X)
    assert len(np.unique(np.concatenate([X, held_out]), axis=0)) == 62
    assert set(held_out[:, SCALE]) == set(range(len(SPACE.scales)))


def test_a_plan_is_the_same_for_the_same_seed():
    one, other = (plan.stub_plan(SPACE, np.random.default_rng(4)) for _ in range(2))
    assert [job.key for job in one.jobs] == [job.key for job in other.jobs]
    assert len({job.key for job in one.jobs}) == len(one.jobs)
    np.testing.assert_array_equal(one.validation, other.validation)
