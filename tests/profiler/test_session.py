"""Several boards share the work, and models are converted before they are measured."""

import numpy as np
import pytest
from profiler_fixtures import COMMAND, small_space
from scripted_agent import model_ms

from mosegnet.common.errors import DeviceError
from mosegnet.common.journal import Journal, read_journal
from profiler.convert import Failure, NoConversion
from profiler.devices import Device
from profiler.link import Link, Rule
from profiler.plan import make_plan
from profiler.session import Session
from profiler.visits import Drift, estimates

SPACE = small_space()
PLAN = make_plan(SPACE, "hybrid", 10, True, np.random.default_rng(0))


def scripted(**environment):
    """A link to a scripted agent with settings of its own."""
    settings = [f"{name}={value}" for name, value in environment.items()]
    return Link(Device(name="scripted"), ["env", *settings, *COMMAND])


def run(tmp_path, links, jobs=PLAN.jobs, converter=None, records=None):
    journal = Journal(tmp_path / "journal.jsonl")
    session = Session(
        jobs, PLAN.reference, links, journal, records if records is not None else [], Rule(), 0, PLAN.effort,
        converter=converter,
    )  # fmt: skip
    try:
        session.run("testing")
    finally:
        journal.close()
        for link in links:
            link.close()
    return session


def test_boards_of_different_speed_share_the_work_on_one_scale(tmp_path):
    links = [scripted(PAUSE_S="0.002"), scripted(PAUSE_S="0.002", FASTER="0.5")]
    session = run(tmp_path, links)
    measured = [record for record in session.records if record["what"] == "measured"]
    assert len({(record["visit"], record["key"]) for record in measured}) == len(measured)
    shares = [sum(record.get("board", 0) == board for record in measured) for board in (0, 1)]
    assert min(shares) > 0.2 * sum(shares)
    truth = {job.key: model_ms(job.make()) for job in PLAN.jobs}
    # a board twice as slow as the first, and by the reference's time on the first
    for key, found in estimates(session.records, session.clock).items():
        assert found.latency_ms == pytest.approx(truth[key], rel=1e-3), key
    assert Drift(session.records, session.clock).most == pytest.approx(0, abs=1e-6)
    assert read_journal(tmp_path / "journal.jsonl") == session.records


def test_a_board_that_fails_is_set_aside(tmp_path, capsys):
    links = [scripted(PAUSE_S="0.002"), scripted(PAUSE_S="0.002")]
    session = run(tmp_path, [links[0], _failing_after(links[1], 6)])
    assert "board 2 is set aside" in capsys.readouterr().err
    visits = {(record["visit"], record["key"]) for record in session.records if record["what"] == "measured"}
    assert all((visit, job.key) in visits for job in PLAN.jobs for visit in range(PLAN.effort[job.role].visits))


def test_when_every_board_fails_it_is_said_and_resumed(tmp_path):
    with pytest.raises(DeviceError, match="unplugged"):
        run(tmp_path, [_failing_after(scripted(), 6), _failing_after(scripted(), 9)])
    records = read_journal(tmp_path / "journal.jsonl")
    before = sum(record["what"] == "measured" for record in records)
    assert before > 0
    session = run(tmp_path, [scripted()], records=records)
    assert sum(record["what"] == "measured" for record in session.records) > before
    keys = [(record["visit"], record["key"]) for record in session.records if record["what"] == "measured"]
    assert len(keys) == len(set(keys))


class _Refusing(NoConversion):
    """Converts all but validation networks, and counts."""

    def models(self, jobs):
        from contextlib import contextmanager

        failure = Failure("unsupported", "E19010: No parser is registered", "another opset", None, 1)

        @contextmanager
        def made():
            yield ((job, failure if job.role == "validation" else job.make()) for job in jobs)

        return made()


def test_what_cannot_be_converted_is_kept_with_its_reason(tmp_path):
    session = run(tmp_path, [scripted()], converter=_Refusing())
    refused = [record for record in session.records if record["what"] == "refused"]
    assert {record["role"] for record in refused} == {"validation"}
    assert all(record["kind"] == "convert" and "E19010" in record["detail"] for record in refused)
    assert len(refused) == len({record["key"] for record in refused})  # tried once each
    with pytest.raises(DeviceError, match="cannot be measured"):
        session.refuse_gaps()


def _failing_after(link, count):
    """A link that is unplugged for good after so many measurements."""
    real, done = link.time, []

    def time(model, rule, name):
        done.append(name)
        if len(done) > count:
            raise DeviceError("the board is unplugged")
        return real(model, rule, name)

    link.time = time
    return link
