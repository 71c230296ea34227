import contextlib
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from atc_fixtures import Scripted, model, survivors
from profiler_fixtures import hear_ctrl_c

from mosegnet.common.errors import UserError
from profiler.convert import AtcConverter, Failure, LocalRunner, ModelCache, NoConversion
from profiler.convert.pipeline import Pipeline, workers_for
from profiler.convert.runner import Capacity, Stopped

SOON_S = 30  # far beyond what anything takes: only a hang lasts so long


@dataclass(frozen=True)
class Item:
    key: str
    make: object = lambda: b""


class Counted:
    """A converter whose jobs end when the test says so, and that counts."""

    def __init__(self) -> None:
        self.change = threading.Condition()
        self.begun, self.done, self.allowed = [], [], set()
        self.running = self.most_running = 0

    def __call__(self, job, stop):
        with self.change:
            self.begun.append(job.key)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            self.change.notify_all()
            deadline = time.monotonic() + SOON_S
            while job.key not in self.allowed and not stop.is_set():  # nobody wakes us for the latter
                assert time.monotonic() < deadline
                self.change.wait(0.01)
            self.running -= 1
            if stop.is_set():
                raise Stopped
            self.done.append(job.key)
            self.change.notify_all()
            return job.key.encode()

    def allow(self, *keys):
        with self.change:
            self.allowed |= set(keys)
            self.change.notify_all()

    def wait(self, condition):
        with self.change:
            assert self.change.wait_for(condition, SOON_S)


def items(n):
    return [Item(str(number)) for number in range(n)]


def names(n):
    return [str(number) for number in range(n)]


@pytest.fixture
def scripted(tmp_path):
    return Scripted(tmp_path)


@pytest.fixture
def converter(scripted, tmp_path):
    def make(parallel=2, ahead=None, **changes):
        return AtcConverter(
            scripted.options(**changes), LocalRunner(scripted.root), ModelCache(tmp_path / "om"), parallel, ahead
        )

    return make


def jobs(n, mode=""):
    return [Item(f"job {number}", lambda number=number: model(f"m{number}", mode)) for number in range(n)]


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("convert-")]


def test_results_come_in_order_though_later_ones_are_ready_first():
    counted = Counted()
    with Pipeline(items(4), counted, workers=4, ahead=4) as pipeline:
        counted.allow("3", "2", "1")
        counted.wait(lambda: sorted(counted.done) == ["1", "2", "3"])
        counted.allow("0")
        assert [(job.key, result) for job, result in pipeline] == [(name, name.encode()) for name in names(4)]
    assert threads() == []


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_never_more_unused_than_agreed(ahead):
    counted = Counted()
    counted.allow(*names(12))
    with Pipeline(items(12), counted, workers=3, ahead=ahead) as pipeline:
        for used in range(12):
            counted.wait(lambda used=used: len(counted.done) == min(12, used + ahead))  # as far ahead as agreed
            settle()
            assert len(counted.begun) == min(12, used + ahead)  # and not further
            next(pipeline)


def settle():
    """Give threads that would go too far the time to do so."""
    time.sleep(0.02)


def test_conversions_go_on_while_the_consumer_measures():
    counted = Counted()
    counted.allow("0")
    with Pipeline(items(3), counted, workers=2, ahead=3) as pipeline:
        next(pipeline)
        counted.allow("1", "2")
        counted.wait(lambda: len(counted.done) == 3)  # nobody has asked for them


def test_as_many_side_by_side_as_there_are_workers_and_no_more():
    counted = Counted()
    with Pipeline(items(10), counted, workers=3, ahead=8) as pipeline:
        counted.wait(lambda: counted.running == 3)
        counted.allow(*names(10))
        assert len(list(pipeline)) == 10
    assert counted.most_running == 3


def test_jobs_are_asked_for_only_as_they_are_needed():
    asked = []

    def endless():
        while True:
            asked.append(len(asked))
            yield Item(str(len(asked)))

    with Pipeline(endless(), lambda job, stop: b"", workers=2, ahead=3) as pipeline:
        next(pipeline)
    assert len(asked) <= 4


def test_an_exception_ends_all_of_it_and_reaches_the_consumer():
    counted = Counted()

    def convert(job, stop):
        if job.key == "2":
            raise ZeroDivisionError("a bug")
        return counted(job, stop)

    pipeline = Pipeline(items(50), convert, workers=3, ahead=50)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        next(pipeline)
    assert threads() == []
    assert len(counted.begun) <= 2


def test_an_exception_of_the_jobs_reaches_the_consumer_too():
    def failing():
        yield Item("0")
        raise KeyError("no more")

    with Pipeline(failing(), lambda job, stop: b"", workers=1, ahead=1) as pipeline:
        assert next(pipeline)[1] == b""
        with pytest.raises(KeyError):
            next(pipeline)


@pytest.mark.parametrize("how", ["leave", "raise", "drop"])
def test_a_consumer_that_stops_ends_the_threads(how):
    counted = Counted()
    counted.allow("0")
    pipeline = Pipeline(items(9), counted, workers=3, ahead=5)
    if how == "drop":
        next(pipeline)
        del pipeline
    elif how == "leave":
        with pipeline:
            next(pipeline)
    else:
        with contextlib.suppress(OSError), pipeline:
            next(pipeline)
            raise OSError("the device is gone")
    deadline = time.monotonic() + SOON_S
    while threads():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert counted.running == 0
    assert len(counted.begun) <= 6


def test_what_is_used_up_stays_used_up():
    with Pipeline(items(2), lambda job, stop: b"", workers=2, ahead=2) as pipeline:
        assert len(list(pipeline)) == 2
        assert list(pipeline) == []
    with Pipeline([], lambda job, stop: b"", workers=2, ahead=2) as pipeline:
        assert list(pipeline) == []


@pytest.mark.parametrize(
    ("cores", "free", "limit", "workers"),
    [(8, 16e9, None, 8), (8, 4e9, None, 2), (8, 1e9, None, 1), (8, 16e9, 3, 3), (2, None, None, 2), (1, 16e9, 4, 1)],
)
def test_workers_by_cores_and_memory(cores, free, limit, workers):
    capacity = Capacity(cores, None if free is None else int(free))
    assert workers_for(capacity, 1_500_000_000, limit) == workers


def test_a_whole_run_with_a_failure_in_it(converter, scripted, tmp_path):
    it = converter()
    todo = [*jobs(3), Item("bad", lambda: model(mode="fail:E19010: No parser is registered for Op [x]")), *jobs(5)[3:]]
    with it.models(todo) as models:
        results = list(models)
    assert [job.key for job, _ in results] == [job.key for job in todo]
    kinds = [result.kind if isinstance(result, Failure) else result[:4] for _, result in results]
    assert kinds == [b"IMOD"] * 3 + ["unsupported"] + [b"IMOD"] * 2
    assert (it.statistics.converted, it.statistics.failures, it.statistics.cache_hits) == (5, 1, 0)
    assert it.statistics.converting_s > 0 < it.statistics.waited_s
    again = converter()
    with again.models(jobs(5)) as models:
        assert [result for _, result in models] == [result for _, result in results if isinstance(result, bytes)]
    assert (again.statistics.converted, again.statistics.cache_hits) == (0, 5)
    assert len(scripted.calls) == 6


def test_the_same_model_twice_side_by_side_is_converted_once(converter, scripted):
    it = converter(parallel=2, env={"ATC_SLEEP_S": "0.2"})
    with it.models([*jobs(1), *jobs(1)]) as models:
        first, second = (result for _, result in models)
    assert first == second
    assert len(scripted.calls) == 1


def test_a_file_is_read(converter, tmp_path):
    (tmp_path / "m.onnx").write_bytes(model())
    with converter().models([Item("m", lambda: tmp_path / "m.onnx")]) as models:
        assert next(models)[1][:4] == b"IMOD"


@pytest.mark.parametrize(
    ("mode", "words"),
    [("hal", "devlib"), ("fail:E40000: Failed to import te.", "Python"), ("fail:E10001: bad soc", "bad soc")],
)
def test_what_concerns_all_jobs_is_one_error(converter, scripted, mode, words):
    scripted.modes("ok", mode)
    with converter(parallel=2).models(jobs(100)) as models, pytest.raises(UserError, match=words) as error:
        list(models)
    assert str(error.value).startswith("ATC on this host: ")
    assert "\n" not in str(error.value)
    assert len(scripted.calls) <= 8
    assert scripted.alive() == []


def test_a_missing_program_is_one_error(converter):
    with converter(command="no-such-atc").models(jobs(100)) as models, pytest.raises(UserError, match="no-such-atc"):
        list(models)


def test_a_consumer_that_stops_leaves_no_process_and_no_folder(converter, scripted):
    with converter(parallel=2, ahead=4).models(jobs(9, "hang")):
        deadline = time.monotonic() + SOON_S
        while len(scripted.calls) < 2 or not (scripted.folder / "child").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert scripted.alive() == []
    assert scripted.left() == []
    assert threads() == []


PROGRAM = """
import os, signal, sys, threading, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from atc_fixtures import Scripted, model
from profiler.convert import AtcConverter, LocalRunner, ModelCache
from test_convert_pipeline import jobs
scripted = Scripted(Path({folder!r}))
converter = AtcConverter(scripted.options(), LocalRunner(scripted.root), ModelCache(scripted.folder / "om"), 2)

def wait_until_it_hangs():
    while not (scripted.folder / "child").exists():
        time.sleep(0.01)

def press_ctrl_c():
    wait_until_it_hangs()
    os.kill(os.getpid(), signal.SIGINT)

if {ctrl_c}:
    threading.Thread(target=press_ctrl_c, daemon=True).start()
models = converter.models([*jobs(1, "ok"), *jobs(9, "hang")])
for job, model in models:
    if not {ctrl_c}:
        wait_until_it_hangs()
        raise SystemExit(7)
"""


@pytest.mark.parametrize(("ctrl_c", "status"), [(True, -2), (False, 7)])
def test_a_program_that_ends_leaves_no_process(tmp_path, ctrl_c, status):
    """By Ctrl-C while it waits, or by an error elsewhere; without a `with` at that."""
    folder = tmp_path / "scripted"
    folder.mkdir()
    program = PROGRAM.format(tests=str(Path(__file__).parent), folder=str(folder), ctrl_c=ctrl_c)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, timeout=60, capture_output=True, text=True, check=False, preexec_fn=hear_ctrl_c)
    assert done.returncode == status, done.stderr
    pids = [int(path.stem.split("-")[1]) for path in (folder / "calls").glob("*.json")]
    assert pids
    assert survivors([int((folder / "child").read_text()), *pids]) == []


def test_without_conversion_models_are_made_when_their_turn_comes():
    made = []

    def make(name):
        made.append(name)
        return name.encode()

    with NoConversion().models([Item(name, lambda name=name: make(name)) for name in "abc"]) as models:
        job, result = next(models)
        assert (job.key, result, made) == ("a", b"a", ["a"])
    assert NoConversion().describe() == {}


def test_a_table_can_say_how_its_models_were_made(converter):
    assert converter().describe() == {
        "tool": "atc", "cann": "6.0.1", "soc": "Ascend310", "precision_mode": "force_fp16",
    }  # fmt: skip
