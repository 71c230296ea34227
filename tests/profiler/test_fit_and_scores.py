import numpy as np
import pytest
from profiler_fixtures import small_space

from mosegnet.cost import unit_costs
from mosegnet.space import SCALE
from profiler import plan, posterior, prior, sampling, stubs, validate
from profiler.posterior import Prior, Spreads
from profiler.visits import Estimate

SPACE = small_space()
SPREADS = Spreads(total=0.2, scale=0.05, kind=0.05, stage=0.03, shape=0.01, unit=0.01, costs=0.05, constant=0.1)


def estimate(ms, visits=()):
    return Estimate(ms, 0.001 * ms, 10, True, tuple(visits) or (ms, ms), ())


def made_up_prior(rng, sd_share=0.0, spreads=SPREADS):
    unit_ms = rng.uniform(0.5, 2, len(SPACE.units))
    return Prior(unit_ms, sd_share * unit_ms, unit_costs(SPACE)[:-1, 1:2].astype(float), 0.02, spreads)


def true_ms(unit_ms, X, constant_ms=0.02):
    return posterior.unit_counts(SPACE, X) @ unit_ms + constant_ms


@pytest.mark.parametrize("truth", ["as it is", "all scaled", "one kind", "a constant", "weights"])
def test_few_networks_find_what_the_sum_lacks(truth):
    rng = np.random.default_rng(1)
    known = made_up_prior(rng)
    X, unseen = sampling.spread(SPACE, 16, rng), SPACE.sample(40, rng)
    unit_ms = known.mean_ms * (1.25 if truth == "all scaled" else 1)
    if truth == "one kind":
        unit_ms = unit_ms * np.array([0.93 if unit.kind == "decoder" else 1 for unit in SPACE.units])
    if truth == "weights":
        unit_ms = unit_ms + 3e-5 * unit_costs(SPACE)[:-1, 1]
    constant_ms = 1.0 if truth == "a constant" else 0.02

    noisy = true_ms(unit_ms, X, constant_ms) * (1 + 0.002 * rng.standard_normal(len(X)))
    found = posterior.fit(SPACE, known, X, noisy)
    error = posterior.predict(SPACE, found, unseen) / true_ms(unit_ms, unseen, constant_ms) - 1
    uncorrected = true_ms(known.mean_ms, unseen) / true_ms(unit_ms, unseen, constant_ms) - 1
    assert np.abs(error).mean() < max(0.005, 0.3 * np.abs(uncorrected).mean())
    assert np.mean(np.abs(error) <= found.interval[unseen[:, SCALE]]) > 0.9
    assert found.noise < 0.01


@pytest.mark.parametrize("noise", [0.005, 0.03])
def test_the_interval_follows_the_noise(noise):
    """Over many tables, 95 % intervals hold about so many networks that were not seen."""
    rng = np.random.default_rng(2)
    known = made_up_prior(rng)
    covered = []
    for _ in range(20):
        X, unseen = sampling.spread(SPACE, 16, rng), SPACE.sample(50, rng)
        found = posterior.fit(SPACE, known, X, true_ms(known.mean_ms, X) * (1 + noise * rng.standard_normal(len(X))))
        fresh = true_ms(known.mean_ms, unseen) * (1 + noise * rng.standard_normal(len(unseen)))
        error = np.abs(fresh / posterior.predict(SPACE, found, unseen) - 1)
        covered.append(np.mean(error <= found.interval[unseen[:, SCALE]]))
    assert 0.92 <= np.mean(covered) <= 0.99


def test_units_hold_their_own_interval():
    """Each unit off at random by what the prior says of it: posterior intervals cover it."""
    rng = np.random.default_rng(3)
    spreads = Spreads(0.05, 0.01, 0.01, 0.01, 0.01, 0.03, 0.01, 0.01)
    known = made_up_prior(rng, 0.05, spreads)
    unit_ms = known.mean_ms * (1 + 0.05 * rng.standard_normal(len(SPACE.units)))
    X = sampling.mixed(SPACE, 200, rng, np.empty((0, 29), dtype=int))
    found = posterior.fit(SPACE, known, X, true_ms(unit_ms, X) * (1 + 0.002 * rng.standard_normal(200)))
    off = (found.unit_ms - unit_ms) / found.unit_sd_ms
    assert 0.9 < np.mean(np.abs(off) < 1.96) <= 1
    assert np.abs(found.unit_ms / unit_ms - 1).mean() < 0.8 * np.abs(known.mean_ms / unit_ms - 1).mean()


def test_more_networks_never_make_a_unit_negative():
    """A prior that is far too high for some units, and networks that say so loudly."""
    rng = np.random.default_rng(4)
    known = made_up_prior(rng, 0.0, Spreads(0.3, 0.3, 0.3, 0.3, 0.3, 0.5, 0.3, 0.3))
    unit_ms = known.mean_ms * np.where(rng.random(len(SPACE.units)) < 0.5, 0.001, 1.5)
    X = sampling.mixed(SPACE, 150, rng, np.empty((0, 29), dtype=int))
    found = posterior.fit(SPACE, known, X, true_ms(unit_ms, X))
    assert (found.unit_ms > 0).all()
    unseen = SPACE.sample(50, rng)
    true = true_ms(unit_ms, unseen)
    error = np.abs(posterior.predict(SPACE, found, unseen) / true - 1).mean()
    prior_ms = true_ms(known.mean_ms, unseen)
    assert error < 0.6 * np.abs(prior_ms * np.median(true / prior_ms) / true - 1).mean()


def test_networks_alone_give_a_table():
    rng = np.random.default_rng(5)
    flops = unit_costs(SPACE)[:-1, 0].astype(float)
    unit_ms = 0.01 + flops / flops.mean() * rng.uniform(0.7, 1.3, len(flops))
    X, unseen = sampling.mixed(SPACE, 120, rng, np.empty((0, 29), dtype=int)), SPACE.sample(60, rng)
    labels = true_ms(unit_ms, X) * (1 + 0.003 * rng.standard_normal(len(X)))
    by_costs, known = prior.of_costs(SPACE, X, labels)
    assert set(known) == {unit.key for unit in SPACE.units}
    before = np.abs(true_ms(by_costs.mean_ms, unseen, 0) / true_ms(unit_ms, unseen) - 1).mean()
    found = posterior.fit(SPACE, by_costs, X, labels)
    after = np.abs(posterior.predict(SPACE, found, unseen) / true_ms(unit_ms, unseen) - 1).mean()
    assert after < 0.6 * before


def stub_estimates(unit_ms, context_ms=1.0):
    known = {plan.context_key(shape): estimate(context_ms) for shape in plan.context_shapes(SPACE.units)}
    return known | {unit.key: estimate(unit_ms) for unit in SPACE.units}


def test_a_unit_below_its_noise_is_never_zero():
    for known in stubs.units(SPACE, stub_estimates(0.9)).values():
        assert known.latency_ms > 0
        assert "below_noise" in known.flags


def test_what_was_not_measured_is_left_out():
    known = stub_estimates(2.0)
    unit = SPACE.units[40]
    del known[unit.key]
    lost_context = plan.context_key(SPACE.units[-1].input_shapes[-1])
    del known[lost_context]
    found = stubs.units(SPACE, known)
    assert unit.key not in found
    assert SPACE.units[-1].key not in found
    assert SPACE.units[0].key in found
    assert stubs.units(SPACE, {}) == {}


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


def test_bootstrap_intervals_hold_the_figure_and_narrow_with_the_networks():
    rng = np.random.default_rng(0)

    def width(count):
        ms = rng.uniform(1, 5, count)
        found = validate.scores(ms * (1 + 0.05 * rng.standard_normal(count)), ms, SPACE.sample(count, rng))
        low, high = found.intervals["mape_percent"]
        assert low <= found.mape_percent <= high
        return high - low

    assert width(200) < 0.6 * width(20)


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
