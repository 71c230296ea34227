import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.visits import Drift, estimates, needs_more


def record(what, key, ms, time_s, visit=0, wall=1.0, **more):
    samples = [ms] * 5 if isinstance(ms, float) else ms.tolist()
    return {
        "what": what, "key": key, "visit": visit, "time_s": time_s, "converged": True, "warm": True,
        "samples_ms": {"thread_cpu": samples, "wall": [wall * value for value in samples]}, **more,
    }  # fmt: skip


def visits(latencies_ms, slowness=lambda time_s: 1.0, count=60, **more):
    """A reference of 2 ms every second, and one visit to "a" every ten."""
    records = [record("reference", "r", 2.0 * slowness(t), float(t)) for t in range(count)]
    for k, ms in enumerate(latencies_ms):
        t = 10.0 * k + 5
        records.append(record("measured", "a", ms * slowness(t), t, visit=k, **more))
    return estimates(records, "thread_cpu")["a"]


@given(st.floats(0.01, 100))
def test_a_steady_device_is_taken_at_its_word(ms):
    found = visits([ms, ms])
    assert found.latency_ms == pytest.approx(ms, rel=1e-9)
    assert found.ci95_ms == pytest.approx(0, abs=1e-6 * ms)
    assert found.converged
    assert found.flags == ()
    assert found.samples == 10


def test_drift_is_taken_out_and_flagged():
    """A device that is a fifth slower in the second half of the time: both visits say the same once corrected."""
    found = visits([3.0, 3.0, 3.0, 3.0], lambda t: 1.2 if t > 30 else 1.0)
    assert found.latency_ms == pytest.approx(3.0, rel=1e-6)
    assert found.disagreement < 1e-6
    assert "drift" in found.flags


def test_one_bad_reference_moves_nothing():
    found = visits([3.0, 3.0], lambda t: 3.0 if t == 5 else 1.0)
    records = [record("reference", "r", 2.0 if t != 5 else 6.0, float(t)) for t in range(20)]
    assert Drift(records, "thread_cpu").most == pytest.approx(0)
    assert found.latency_ms == pytest.approx(6.0, rel=1e-6)  # 3 · (3 + 1) / 2: the visit at 5 s was slowed itself


def test_visits_that_disagree_widen_the_interval_and_say_so():
    found = visits([2.0, 2.2])
    assert found.ci95_ms >= 0.1
    assert "visits_disagree" in found.flags
    assert visits([2.0, 2.2, 2.02]).latency_ms == pytest.approx(2.02)  # from three on, the median


@pytest.mark.parametrize(
    ("visits_ms", "disagreement"),
    [
        ((2.0, 2.2), 0.2 / 2.1),
        ((2.0, 2.01, 3.0), 0.01 / 2.01),
        ((1.0, 2.0, 3.0), 0.5),
        ((1.0, 2.0, 2.02, 9.0), 0.02 / 2.01),
    ],
)
def test_a_visit_is_outvoted_by_two_that_agree(visits_ms, disagreement):
    assert visits(visits_ms).disagreement == pytest.approx(disagreement, rel=1e-6)


def test_one_loose_visit_makes_the_whole_loose():
    assert not visits([2.0, 2.0], converged=False).converged
    assert "not_warm" in visits([2.0, 2.0], warm=False).flags
    assert "contended" in visits([2.0, 2.0], wall=1.5).flags


def test_a_visit_that_did_not_settle_is_made_again_and_then_left_out():
    assert needs_more(visits([3.0], converged=False))
    assert not needs_more(visits([3.0]))
    records = [record("reference", "r", 2.0, float(t)) for t in range(30)]
    records.append(record("measured", "a", 3.0, 5.0, converged=False))
    records.append(record("measured", "a", 2.0, 15.0, visit=1))
    found = estimates(records, "thread_cpu")["a"]
    assert (found.latency_ms, found.converged, found.flags) == (pytest.approx(2.0), True, ())
    assert not needs_more(found)


def test_an_interval_covers_the_truth():
    """Visits off by 1 % at random, samples within one by 0.3 %."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        true_visits = 2.0 * (1 + 0.01 * rng.standard_normal(4))
        found = visits([ms * (1 + 0.003 * rng.standard_normal(8)) for ms in true_visits])
        covered.append(abs(found.latency_ms - 2.0) <= found.ci95_ms)
    assert np.mean(covered) > 0.88


def test_no_reference_is_a_bug():
    with pytest.raises(ValueError):
        estimates([record("measured", "a", 1.0, 0.0)], "thread_cpu")


@pytest.mark.parametrize(
    ("reasons", "flags"),
    [([], ()), (["gpu_idle"], ()), (["hw_thermal_slowdown"], ("throttled",)), (["sw_power_cap"], ("power_capped",))],
)
def test_a_card_that_is_slowed_says_so(reasons, flags):
    states = [{"gpu_reasons": []}, {"gpu_reasons": reasons}]
    records = [record("reference", "r", 2.0, float(t), state=state) for t, state in zip((0, 10), states, strict=True)]
    records.append(record("measured", "a", 3.0, 5.0))
    assert estimates(records, "thread_cpu")["a"].flags == flags
