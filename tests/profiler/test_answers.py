"""Answers of an agent that may be anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agents.faults import Fault
from profiler.answers import introduction, outputs_of, profile_of, readings_of, timing_of
from profiler.conversation import Conversation
from profiler.outside import last_line, printable
from profiler.pipe import LinkLost

TIMING = {
    "samples_ms": {"wall": [1.0, 2.0], "device": [0.5, 0.6]}, "loops": 1, "warm_up_runs": 3, "warm": True,
    "converged": True, "spent_s": 0.1,
}  # fmt: skip
PROFILE = {"nodes": [{"name": "a", "op": "Conv", "ms": [1.0, 2.0]}], "total_ms": [3.0, 4.0], "spent_s": 1}
HELLO = {
    "agent": "1", "chip": "c", "system": "s", "clock": "wall",
    "runtime": {"name": "r", "version": "1", "precision": "p"},
}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def test_what_makes_sense_is_taken():
    timing = timing_of(TIMING, 0.25, "device")
    assert timing.samples_ms == TIMING["samples_ms"]
    assert timing.spent_s == 0.35
    assert profile_of(PROFILE).nodes == (("a", "Conv", (1.0, 2.0)),)
    assert introduction(HELLO) == HELLO


@given(st.sampled_from(sorted(TIMING)), JSON)
def test_a_wrong_field_of_a_timing_is_a_lost_link(name, value):
    try:
        found = timing_of({**TIMING, name: value}, 0.0, "wall")
    except LinkLost:
        return
    assert all(0 < ms < 1e308 for values in found.samples_ms.values() for ms in values)
    assert found.spent_s >= 0


@given(st.sampled_from(sorted(PROFILE)), JSON)
def test_a_wrong_field_of_a_profile_is_a_lost_link(name, value):
    try:
        found = profile_of({**PROFILE, name: value})
    except LinkLost:
        return
    assert all(ms > 0 for ms in found.total_ms)


@pytest.mark.parametrize("name", sorted(HELLO))
@pytest.mark.parametrize("value", [None, 5, [], {}, {"name": "\x1b[2J" * 10_000}])
def test_a_wrong_introduction_is_a_lost_link(name, value):
    with pytest.raises(LinkLost) as error:
        introduction({**HELLO, name: value})
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 120


def test_a_reason_is_brief():
    with pytest.raises(LinkLost) as error:
        timing_of({**TIMING, "loops": "many " * 10_000}, 0.0, "wall")
    assert len(str(error.value)) < 200


@given(JSON)
def test_outputs_that_make_no_sense(value):
    try:
        outputs_of({"outputs": value})
    except LinkLost:
        return
    assert isinstance(value, dict)


def test_a_clock_that_was_announced_and_is_not_there():
    with pytest.raises(LinkLost):
        timing_of(TIMING, 0.0, "thread_cpu")


@pytest.mark.parametrize("ms", [0, -1, float("nan"), float("inf"), 10**400, "x", None])
def test_times_that_are_none(ms):
    with pytest.raises(LinkLost):
        timing_of({**TIMING, "samples_ms": {"wall": [1.0, ms]}}, 0.0, "wall")


def test_readings_keep_what_has_a_unit_and_a_number():
    readings = {
        "temperature_c": 50, "memory_free_mb": "much", "frequency_mhz": [1000, 900], "load_1min": float("nan"),
        "governors": ["performance\x1b[2J"], "ticks": {"a": float("inf")}, "total_ticks": 10**400,
    }  # fmt: skip
    assert readings_of(readings) == {
        "temperature_c": 50, "frequency_mhz": [1000, 900], "governors": ["performance [2J"],
    }  # fmt: skip


class _Scripted:
    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)

    def send(self, data, silence_s):
        pass

    def receive(self, silence_s):
        if not self._chunks:
            raise LinkLost("no more")
        return self._chunks.pop(0)


def test_a_line_may_come_in_any_pieces():
    line = b'{"id": 1, "ok": {"a": 1}}\n'
    for cut in range(1, len(line)):
        assert Conversation(_Scripted(line[:cut], line[cut:])).ask("x", {}, 1.0) == {"a": 1}


def test_whoever_is_alive_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr("profiler.conversation._LONGEST_S", -1.0)
    with pytest.raises(LinkLost, match="still busy"):
        Conversation(_Scripted(b'{"id": 1, "alive": true}\n')).ask("x", {}, 1.0)


def test_a_faults_words_are_fit_to_be_shown():
    line = b'{"id": 1, "fault": {"kind": "load", "detail": "\\u001b[2J' + b"x" * 5000 + b'"}}\n'
    fault = Conversation(_Scripted(line)).ask("x", {}, 1.0)
    assert isinstance(fault, Fault)
    assert fault.detail.isprintable()
    assert len(fault.detail) <= 400


@given(st.text())
def test_anything_becomes_one_printable_line(text):
    line = printable(text)
    assert line == "" or line.isprintable()
    assert len(line) <= 400


def test_the_last_line_that_says_something():
    assert last_line(b"first\nlast words\r\n \n\x1b\x07\n") == "last words"
    assert last_line(b"") == ""
