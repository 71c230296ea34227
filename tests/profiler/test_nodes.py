"""Which unit a node works for, and how certain a unit's time is."""

import math

import numpy as np
import pytest
from profiler_fixtures import small_space

from profiler import finish, nodes, prior
from profiler.nodes import unit_times
from profiler.plan import network_key
from profiler.sampling import designed
from profiler.visits import Drift

SPACE = small_space()


def reference(time_s, ms=1.0):
    return {"what": "reference", "key": "r", "visit": 0, "time_s": time_s, "samples_ms": {"thread_cpu": [ms] * 5}}


def records(networks, runs_ms, contention=(), slowness=1.0):
    """Profiles in which every unit is one node; `runs_ms(key, network)` gives its runs."""
    found = [reference(0.0), reference(1e6)]
    for k, x in enumerate(networks):
        named = list(SPACE.decode(x).named_units())
        profiled = [(f"{name}.y", "Conv", [slowness * ms for ms in runs_ms(unit.key, k)]) for name, unit in named]
        runs = len(profiled[0][2])
        found.append(
            {
                "what": "profiled", "key": network_key(x), "visit": 0, "time_s": 10.0 + k, "nodes": profiled,
                "total_ms": [1.0] * runs, "contention": list(contention),
            }
        )  # fmt: skip
    return found


X = designed(SPACE, np.random.default_rng(0))
ENCODINGS = {network_key(x): x.tolist() for x in X}


def times(found):
    return unit_times(SPACE, ENCODINGS, found, Drift(found, "thread_cpu"))


def test_units_are_pooled_over_networks():
    found = times(records(X, lambda key, network: [2.0, 2.0, 2.0]))
    assert set(found) == {unit.key for unit in SPACE.units}
    assert all(one.latency_ms == pytest.approx(2.0) for one in found.values())
    assert all(one.within_ms == pytest.approx(0) for one in found.values())
    decoder = next(one for key, one in found.items() if key.startswith("decoder"))
    assert (decoder.networks, decoder.samples, decoder.nodes) == (1, 3, 1)
    assert math.isnan(decoder.between_ms)


def test_intervals_cover_the_truth_and_narrow_with_the_runs():
    rng = np.random.default_rng(0)

    def noisy(runs):
        found = times(records(X, lambda key, network: 2.0 * (1 + 0.02 * rng.standard_normal(runs))))
        assert 0.9 < np.mean([abs(one.latency_ms - 2.0) <= one.within_ms for one in found.values()]) <= 1
        return np.median([one.within_ms for one in found.values()])

    assert noisy(20) < 0.6 * noisy(4)


def test_a_unit_that_differs_from_network_to_network_says_so():
    """More visits would not help it: it is uncertain, and settled."""
    rng = np.random.default_rng(1)
    by_network = 1 + 0.1 * rng.standard_normal(len(X))
    found = times(records(X, lambda key, network: [by_network[network]] * 4))
    layers = [one for key, one in found.items() if key.startswith("layer")]
    assert 0.05 < np.median([one.between_ms / one.latency_ms for one in layers]) < 0.15
    assert not nodes.unsettled(SPACE, found, X, 0.01).any()
    known = prior.of_nodes(SPACE, found, {}, 0.01)[1]
    assert np.median([one.sd_ms / one.latency_ms for one in known.values()]) > 0.03
    jumping = times(records(X, lambda key, network: 1 + 0.2 * rng.standard_normal(4)))
    assert nodes.unsettled(SPACE, jumping, X, 0.01).all()


def test_runs_during_which_others_had_the_processor_do_not_count():
    found = times(records(X, lambda key, network: [2.0, 9.0, 2.0], contention=(1.0, 1.8, 1.02)))
    assert all(one.latency_ms == pytest.approx(2.0) for one in found.values())
    assert all(one.flags == ("contended",) for one in found.values())
    worst = times(records(X, lambda key, network: [9.0, 4.0], contention=(3.0, 1.4)))
    assert all(one.latency_ms == pytest.approx(4.0) for one in worst.values())


def test_drift_is_taken_out():
    slow = records(X, lambda key, network: [2.0] * 3, slowness=1.5)
    quiet = [reference(float(t), 1.0) for t in range(-10, -4)]
    loaded = [reference(float(t), 1.5) for t in (0, 1, 2, 1000, 1001, 1002)]
    slow = [*quiet, *loaded, *slow[2:]]
    found = times(slow)
    assert all(one.latency_ms == pytest.approx(2.0, rel=0.02) for one in found.values())
    assert all("drift" in one.flags for one in found.values())


def test_what_was_split_between_units_is_flagged_and_doubted(capsys):
    def profile(shared):
        found = records(X, lambda key, network: [2.0] * 3)
        for record in found[2:]:
            named = record["nodes"]
            if shared:
                first, second = named[-2][0], named[-1][0]
                record["nodes"] = [*named[:-2], (f"{{ForeignNode[{first}...{second}]}}", "Myelin", [4.0] * 3)]
        return times(found)

    apart, together = profile(False), profile(True)
    decoders = [key for key in together if key.startswith("decoder")]
    assert all(together[key].shared == 1.0 and "shared_node" in together[key].flags for key in decoders)
    assert all(apart[key].shared == 0.0 and apart[key].flags == () for key in decoders)
    known = prior.of_nodes(SPACE, together, {}, 0.01)[1]
    assert all(known[key].sd_ms >= 0.3 * known[key].latency_ms for key in decoders)
    finish.say_what_was_split(apart)
    finish.say_what_was_split({})
    assert capsys.readouterr().err == ""
    finish.say_what_was_split({key: together[key] for key in decoders})
    assert "100 % of the units' time is in nodes that the runtime fused across units" in capsys.readouterr().err
