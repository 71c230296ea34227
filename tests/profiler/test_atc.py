import os
import threading
import time
from pathlib import Path

import pytest
from atc_fixtures import Scripted, model

from mosegnet.common.errors import UserError
from profiler.convert import AtcOptions, Failure, runner
from profiler.convert.atc import HEADER_BYTES, header_fault
from profiler.convert.runner import Stopped, free_memory_bytes
from profiler.convert.toolkit import opsets, parse_probe, precision_option


@pytest.fixture
def scripted(tmp_path):
    return Scripted(tmp_path)


def kind_of(result):
    return result.kind if isinstance(result, Failure) else "converted"


def test_a_model_comes_back_whole_and_nothing_is_left(scripted):
    data = scripted.atc().convert(model())
    assert data[:4] == b"IMOD"
    assert header_fault(data) is None
    assert scripted.left() == []


def test_the_command_is_the_documented_one_and_its_folder_its_own(scripted):
    atc = scripted.atc()
    atc.convert(model(), compilers=3)
    atc.convert(model())
    first, second = scripted.calls
    assert first["argv"] == [
        "--model=model.onnx", "--framework=5", "--output=model", "--soc_version=Ascend310", "--input_format=NCHW",
        "--precision_mode=force_fp16", "--log=error",
    ]  # fmt: skip
    assert first["env"]["TE_PARALLEL_COMPILER"] == "3"
    assert first["cwd"] != second["cwd"]
    assert os.getcwd() not in (first["cwd"], second["cwd"])


def test_a_file_named_after_the_system_is_found_too(scripted):
    scripted.modes("ok:linux")
    assert scripted.atc().convert(model())[:4] == b"IMOD"


@pytest.mark.parametrize(
    ("mode", "kind", "calls", "line", "remedy"),
    [
        ("argument", "usage", 1, "unknown command line flag 'sock_version'", "soc"),
        ("fail:E10001: Value [Ascend999] for parameter [--soc_version] is invalid.", "usage", 1, "Ascend999", "soc"),
        ("fail:E10041: [PID: 7] 2025-03-18-09:02:18.501.341 Failed to load the model", "file", 1,
         "E10041: Failed to load the model", "by hand"),
        ("fail:E13000: path is missing", "file", 1, "E13000", "by hand"),
        ("fail:E19010: No parser is registered for Op [Conv_52, optype [ai.onnx::19::Conv]].|        TraceBack",
         "unsupported", 1, "E19010: No parser is registered for Op [Conv_52", "opset 11"),
        ("fail:EZ9999: Inner Error!|        EZ9999  failed|EZ3003: No supported Ops kernel and engine are found",
         "unsupported", 1, "EZ3003: No supported Ops kernel", "operator"),
        ("fail:E40000: Failed to import te.platform.log_util.", "environment", 1, "te.platform", "Python"),
        ("fail:[PID: 9] 2026-01-01-00:00:00.000.001 Import(EC0010): No module named 'decorator'", "environment", 1,
         "EC0010: No module named 'decorator'", "PATH"),
        ("hal", "environment", 1, "libascend_hal.so", "devlib"),
        ("fail:E19999: Internal Error!|        An unknown error occurred. Please check the log.", "internal", 2,
         "E19999: Internal Error! An unknown error occurred", "log"),
        ("status:255", "internal", 2, "255", "log"),
        ("signal:11", "internal", 2, "crashed with signal 11", "log"),
        ("signal:9", "killed", 2, "signal 9, most likely because memory ran out", "fewer at a time"),
        ("status:137", "killed", 2, "signal 9", "memory"),
        ("fail:E19999: Inner Error!|  Cannot allocate memory", "killed", 2, "E19999", "memory"),
        ("nothing", "no_output", 2, "wrote no .om", "disk"),
        ("mute", "no_output", 2, "without its success line", "disk"),
        ("stale", "no_output", 2, "older than the model", "disk"),
        ("empty", "no_output", 2, "is empty", "disk"),
        ("cut", "no_output", 2, "is damaged", "disk"),
        ("foreign", "no_output", 2, "no offline model", "disk"),
    ],
)  # fmt: skip
def test_each_failure_has_its_class_line_remedy_and_number_of_tries(scripted, mode, kind, calls, line, remedy):
    scripted.modes(mode)
    failed = scripted.atc().convert(model(), "unit 7")
    assert (kind_of(failed), failed.attempts, len(scripted.calls)) == (kind, calls, calls)
    assert line in failed.line
    assert remedy in failed.remedy
    assert "\n" not in failed.message
    assert all(part in failed.message for part in (kind, failed.line, failed.remedy, failed.log))
    (kept,) = scripted.left()
    assert failed.log == str(kept)
    assert (kept / "model.onnx").read_bytes() == model()
    assert "unit 7" in (kept / "conversion.log").read_text()


@pytest.mark.parametrize(
    "mode",
    ["status:137", "signal:9", "status:255", "fail:EZ9999: Inner Error!", "nothing", "stale", "cut"],
)
def test_what_can_pass_by_itself_is_tried_once_more(scripted, mode):
    scripted.modes(mode, "ok")
    assert kind_of(scripted.atc().convert(model())) == "converted"
    assert len(scripted.calls) == 2
    assert scripted.left() == []


def test_after_a_kill_the_second_try_is_alone_and_less_parallel(scripted):
    """Another conversion is under way when one is killed: the second try waits until that has ended."""
    atc = scripted.atc()
    other = threading.Thread(target=atc.convert, args=(model("other", "wait"),))
    other.start()
    wait_for(lambda: scripted.calls)
    other_alive = []
    run = atc._runner.run

    def observed(*args):
        other_alive.append(other.is_alive())
        done = run(*args)
        threading.Timer(0.2, (scripted.folder / "go").touch).start()  # a second try that does not wait is sooner
        return done

    atc._runner.run = observed
    assert kind_of(atc.convert(model(mode="status:137"), compilers=4)) == "killed"
    assert other_alive == [True, False]
    assert [call["env"]["TE_PARALLEL_COMPILER"] for call in scripted.calls[1:]] == ["4", "1"]
    other.join()


def test_a_hang_is_ended_with_its_children_and_tried_once_more(scripted):
    scripted.modes("hang", "hang")
    failed = scripted.atc(timeout_s=0.6).convert(model())
    assert (failed.kind, failed.attempts) == ("timeout", 2)
    assert "0.6 s" in failed.line
    assert scripted.alive() == []


def test_stopping_ends_the_processes_and_leaves_no_folder(scripted):
    scripted.modes("hang")
    stop = threading.Event()
    threading.Thread(target=lambda: (wait_for((scripted.folder / "child").exists), stop.set())).start()
    with pytest.raises(Stopped):
        scripted.atc().convert(model(), stop=stop)
    assert scripted.alive() == []
    assert scripted.left() == []


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_missing_program_is_named(scripted):
    failed = scripted.atc(command="no-such-atc", cann=None).convert(model())
    assert failed.kind == "environment"
    assert "no-such-atc: command not found" in failed.line
    assert "set_env" in failed.remedy


def test_a_missing_set_env_is_named(scripted, tmp_path):
    failed = scripted.atc(set_env=str(tmp_path / "E10054: no.sh")).convert(model())
    assert failed.kind == "environment"
    assert "E10054: no.sh" in failed.line


def test_set_env_is_sourced_and_env_comes_after_it(scripted, tmp_path):
    """The program is on the PATH that only set_env.sh gives; nothing of its name is read by the shell."""
    folder = tmp_path / "it's $(touch pwned) here"
    folder.mkdir()
    program = folder / "atc"
    command = " ".join(f"'{part}'" for part in scripted.command)
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    set_env = folder / "set_env.sh"
    set_env.write_text(f'echo noise\nexport PATH="{"$(dirname "}"$BASH_SOURCE")":$PATH FROM_SCRIPT=$# BOTH=script\n')
    env = {"BOTH": "mine; touch pwned", "TE_PARALLEL_COMPILER": "7", "ODD": "a'b\"c $(touch pwned)\nd"}
    data = scripted.atc(command="atc", set_env=str(set_env), env=env).convert(model())
    assert kind_of(data) == "converted"
    (call,) = scripted.calls
    assert call["env"]["FROM_SCRIPT"] == "0"
    assert {name: call["env"][name] for name in env} == env
    assert not list(tmp_path.rglob("pwned"))


def test_no_value_reaches_a_shell(scripted, tmp_path):
    soc = f"x; touch {tmp_path}/pwned $(touch {tmp_path}/pwned) `id`\n"
    scripted.atc(soc=soc).convert(model(), "a'; touch pwned; '")
    assert f"--soc_version={soc}" in scripted.calls[0]["argv"]
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(
    "changes",
    [{"soc": ""}, {"command": ""}, {"command": "bin/atc"}, {"env": {"A B": "c"}}, {"env": {"-u": "PATH"}},
     {"soc": "a\0b"}, {"precision_mode": "fp17"}, {"precision_mode": "mixed_hif8", "cann": "6.0.1"}],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(changes):
    with pytest.raises(UserError):
        AtcOptions(**{"soc": "Ascend310", **changes})


def test_an_opset_that_this_cann_does_not_read_is_refused_without_running(scripted):
    failed = scripted.atc(cann="6.0.0.alpha003").convert(model(opset=14))
    assert failed.kind == "unsupported"
    assert "opset 14, CANN 6.0.0.alpha003 reads 9 to 13" in failed.line
    assert kind_of(scripted.atc(cann="7.0.0").convert(model(opset=14))) == "converted"
    assert len(scripted.calls) == 1


@pytest.mark.parametrize("data", [b"", b"no model", b"\x08"])
def test_what_is_no_onnx_is_refused_without_running(scripted, data):
    failed = scripted.atc().convert(data)
    assert (failed.kind, failed.line) == ("file", "the model is not ONNX")
    assert scripted.calls == []


def test_kept_folders_are_bounded_and_the_messages_stay_true(scripted):
    scripted.modes("fail:E13000: path is missing")
    atc = scripted.atc()
    logs = [atc.convert(model()).log for _ in range(runner.KEPT_OF_A_RUN + 2)]
    assert [log is None for log in logs] == [False] * runner.KEPT_OF_A_RUN + [True] * 2
    assert [str(path) for path in scripted.left()] == sorted(filter(None, logs))


def test_later_runs_delete_the_oldest_kept_and_what_killed_runs_left(scripted):
    scripted.root.mkdir()
    for number in range(runner.KEPT_OF_ALL_RUNS + 3):
        (scripted.root / f"failed-{number:03}").mkdir()
        os.utime(scripted.root / f"failed-{number:03}", (1e9 + number, 1e9 + number))
    (scripted.root / "work-old").mkdir()
    os.utime(scripted.root / "work-old", (1e9, 1e9))
    (scripted.root / "work-of-another").mkdir()
    scripted.atc().convert(model())
    names = [path.name for path in scripted.left()]
    assert len(names) == runner.KEPT_OF_ALL_RUNS + 1
    assert names[0] == "failed-003"
    assert names[-1] == "work-of-another"


@pytest.mark.parametrize(
    ("place", "text", "version"),
    [
        ("atc-home/x86_64-linux/ascend_toolkit_install.info", "package_name=Ascend\nversion=8.0.RC2\ninnerversion=V1\n",
         "8.0.RC2"),
        ("atc-home/version.cfg", "# version: 1.0\nruntime_running_version=[1.8:6.0.0]\n"
         "toolkit_running_version=[1.84.15.1.310:6.0.1]\n", "6.0.1"),
        ("elsewhere/version.cfg", "toolkit_running_version=[1:6.0.1]\n", None),
    ],
)  # fmt: skip
def test_the_version_is_found_beside_the_program(scripted, tmp_path, place, text, version):
    program = tmp_path / "atc-home/x86_64-linux/bin/atc"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text(text)
    link = tmp_path / "on path"
    link.symlink_to(program)
    found = scripted.atc(command=str(link), cann=None).toolkit()
    assert found.version == version
    assert str(program) in found.identity
    assert scripted.calls == []


def test_a_home_in_a_path_is_the_runners(scripted, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "set_env.sh").write_text("export HERE=1\n")
    assert kind_of(scripted.atc(set_env="~/set_env.sh").convert(model())) == "converted"
    assert scripted.calls[0]["env"]["HERE"] == "1"


def test_opsets_by_version():
    assert opsets("5.0.4.6") == opsets("6.0.RC1.alpha001") == range(9, 14)
    assert 18 in opsets("7.0.0")
    assert 19 not in opsets("8.0.RC2.2")
    assert opsets("20.0.0") is None  # older than 3.x, in spite of its number
    assert opsets(None) is None


def test_precision_options_by_version():
    assert precision_option("force_fp32", None) == "--precision_mode=force_fp32"
    assert precision_option("fp16", "6.0.1") == "--precision_mode=force_fp16"
    assert precision_option("fp16", "8.0.0") == "--precision_mode_v2=fp16"
    with pytest.raises(UserError, match="CANN 6"):
        precision_option("mixed_hif8", "6.0.1")


def test_a_probe_without_a_version_still_tells_installations_apart():
    assert parse_probe("tool=/a/atc 10 20\n") != parse_probe("tool=/a/atc 10 21\n")


def test_a_key_depends_on_all_that_changes_the_result(scripted):
    changes = [{}, {"soc": "Ascend310P3"}, {"cann": "7.0.0"}, {"precision_mode": "force_fp32"}, {"env": {"A": "b"}}]
    keys = set()
    for change in changes:
        atc = scripted.atc(**change)
        keys |= {atc.key(onnx, atc.toolkit()) for onnx in (model(), model("other"))}
    assert len(keys) == 2 * len(changes)
    one, two = scripted.atc(timeout_s=1), scripted.atc(timeout_s=2)
    assert one.key(b"", one.toolkit()) == two.key(b"", two.toolkit())


def test_headers():
    good = bytearray(b"IMOD" + (256).to_bytes(4, "little") + bytes(248) + b"payload")
    good[76] = 7
    assert header_fault(bytes(good)) is None
    good[76], good[184] = 0, 7  # the later field, for files over 4 GiB
    assert header_fault(bytes(good)) is None
    assert "damaged" in header_fault(bytes(good) + b"x")
    assert "cut short" in header_fault(bytes(good[:HEADER_BYTES]))


def test_free_memory_is_the_lesser_of_machine_and_control_group(tmp_path: Path):
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:  1000 kB\n")
    assert free_memory_bytes(tmp_path, tmp_path) == 1_024_000
    (tmp_path / "memory.max").write_text("500000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    (tmp_path / "memory.stat").write_text("anon 300000\ninactive_file 50000\n")
    assert free_memory_bytes(tmp_path, tmp_path) == 150_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory_bytes(tmp_path, tmp_path) == 1_024_000
    assert free_memory_bytes(tmp_path / "no", tmp_path / "no") is None


def test_a_place_that_cannot_be_written_is_one_error(scripted):
    scripted.root.write_text("a file")
    with pytest.raises(UserError, match=r"cannot write .*root: .*file, not a folder"):
        scripted.atc(cann=None).convert(model())
