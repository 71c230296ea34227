"""The stand-in for atc: order of checks, messages, exit codes, files."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from handmade_models import conv_model, serialise
from onnx import TensorProto, helper

from device_agents import emulator, om_header
from device_agents.emulator import atc, om

START = "ATC start working now, please wait for a moment."
FAILED = "ATC run failed, Please check the detail log, Try 'atc --help' for more information"
GOOD = ["--model=m.onnx", "--framework=5", "--output=m", "--soc_version=Ascend310"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.onnx").write_bytes(conv_model())
    return tmp_path


def run(*arguments, **settings):
    """As a command: (status, standard output, standard error)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASCEND_")}
    environment.update(emulator.environment(**settings))
    command = [sys.executable, os.path.join(emulator.BIN, "atc"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def here(capsys, *arguments, **settings):
    """In this process: (status, standard output, standard error)."""
    environ = {"ASCEND_EMULATOR_" + name.upper(): str(value) for name, value in settings.items()}
    status = atc.main(list(arguments), atc.Settings(environ))
    return (status, *capsys.readouterr())


def test_a_conversion_as_a_command(folder):
    status, said, wrong = run("--model", "m.onnx", *GOOD[1:], "--input_shape=x:1,4,8,8", "--log=error")
    assert (status, wrong) == (0, "")
    assert said == f"{START}\nATC run success, welcome to the next use.\n"
    data = (folder / "m.om").read_bytes()
    assert om_header.problem(data[:256], len(data)) is None
    definition, onnx_bytes = om.unpack(data)
    assert onnx_bytes == (folder / "m.onnx").read_bytes()
    assert (definition["soc"], definition["cann"], definition["opset"]) == ("Ascend310", "6.0.0.alpha003", 11)
    assert definition["inputs"][0]["shape"] == [1, 4, 8, 8]
    assert [operator["op"] for operator in definition["operators"]] == ["Conv"]
    assert {path.name for path in folder.iterdir()} == {"m.onnx", "m.om", "kernel_meta", "fusion_result.json"}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "input argument value is empty or command line format is invalid"),
        (["--modle=m.onnx"], "unknown command line flag 'modle'"),
        ([*GOOD, "--log"], "flag 'log' is missing its argument; flag description:"),
        (["m.onnx"], "Non-option parameter: m.onnx"),
    ],
)
def test_a_command_line_that_cannot_be_read(folder, capsys, arguments, word):
    status, said, wrong = here(capsys, *arguments)
    assert status == 255
    assert wrong.startswith("ERROR: ")
    assert word in wrong
    assert FAILED not in said


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        (["--log=loud"], "E10007: [--framework] is required."),
        (["--framework=4", "--log=loud"], "E10007: "),
        (["--framework=5", "--log=loud"], "E10054: The requied parameter [--soc_version] for ATC is empty."),
        (["--framework=5", "--soc_version=Ascend999"], "E10001: Value [Ascend999]"),
        (["--framework=5", "--soc_version=Ascend310"], "E10054: The requied parameter [--output]"),
        ([*GOOD[1:], "--log=loud"], "E10054: The requied parameter [--model]"),
        ([*GOOD[1:], "--model=none.onnx", "--output=no/m"], "E13000: File [none.onnx]"),
        ([*GOOD, "--output=no/m", "--log=loud"], "E13000: Path [no]"),
        ([*GOOD, "--output=./", "--log=loud"], "E10022: "),
        ([*GOOD, "--output=" + "m" * 5000], "E10021: "),
        ([*GOOD, "--log=loud"], "E10010: "),
        ([*GOOD, "--auto_tune_mode=RL,GA"], "E10001: The Auto Tune function has been deprecated."),
        ([*GOOD, "--precision_mode=fast"], "E10001: Value [fast] for parameter [--precision_mode]"),
        ([*GOOD, "--precision_mode_v2=fp16"], "E10001: Parameter [--precision_mode_v2] is not supported."),
        ([*GOOD, "--input_shape=x"], "E10002: "),
        ([*GOOD, "--input_shape=x:1,0,8,8"], "E10011: "),
        ([*GOOD, "--input_shape=z:1,4,8,8"], "E10016: "),
        ([*GOOD, "--input_shape=x:1,4"], "E10049: "),
    ],
)
def test_which_error_wins(folder, capsys, arguments, first):
    status, said, wrong = here(capsys, *arguments)
    lines = said.splitlines()
    assert status == 255
    assert wrong == ""
    assert lines[:2] == [START, FAILED]
    assert lines[2].startswith(first)
    assert all(line.startswith("        ") for line in lines[3:])
    assert not (folder / "m.om").exists()


def test_help(folder, capsys):
    status, said, _ = here(capsys, "--help")
    assert status == 0
    assert "--soc_version" in said


@pytest.mark.parametrize(
    ("cann", "pattern"),
    [
        ("6.0.0.alpha003", r"E10010: Value"),
        ("7.0.0", r"E10010: Value"),
        ("8.0.RC2", r"E10010: \[PID: \d+\] \d{4}-\d\d-\d\d-\d\d:\d\d:\d\d\.\d{3}\.\d{3} Value"),
        ("9.0.0", r"\[PID: \d+\] \d{4}-\d\d-\d\d-\d\d:\d\d:\d\d\.\d{3}\.\d{3} \w+\(E10010\): Value"),
    ],
)
def test_error_block_of_the_era(folder, capsys, cann, pattern):
    said = here(capsys, *GOOD, "--log=loud", cann=cann)[1]
    after = said.split(FAILED + "\n")[1]
    assert re.match(pattern, after)
    assert re.search(r"\b(?:E[A-Z]?\d{4,5}|W\d{5})\b", after).group() == "E10010"  # the reference's own pattern
    assert (said.splitlines()[1] == "...") is (cann >= "7")


def with_opset(version):
    model = onnx.load_model_from_string(conv_model())
    model.opset_import[0].version = version
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("cann", "good", "bad"),
    [
        ("5.0.4", (9, 13), (8, 14)),
        ("6.0.1", (9, 13), (8, 14)),
        ("7.0.0", (9, 18), (8, 19)),
        ("8.0", (11, 18), (10, 19)),
    ],
)
def test_opsets_by_version(folder, capsys, cann, good, bad):
    for versions, status in ((good, 0), (bad, 255)):
        for version in versions:
            (folder / "m.onnx").write_bytes(with_opset(version))
            got, said, _ = here(capsys, *GOOD, cann=cann)
            assert got == status, (version, said)
            assert ("E19010" in said) is (status == 255)
            if status:
                assert re.search(rf"No parser is registered for Op \[\w+, optype \[ai\.onnx::{version}::Conv\]\]", said)


def test_an_unknown_operator(folder, capsys):
    graph = helper.make_graph(
        [helper.make_node("GridSample", ["x", "x"], ["y"], name="grid")], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, 4, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 2, 4, 4))],
    )  # fmt: skip
    (folder / "m.onnx").write_bytes(serialise(graph))
    status, said, _ = here(capsys, *GOOD)
    assert status == 255
    assert "E19010: No parser is registered for Op [grid, optype [ai.onnx::11::GridSample]]." in said


def test_not_an_onnx_file(folder, capsys):
    (folder / "m.onnx").write_bytes(b"no model at all")
    status, said, _ = here(capsys, *GOOD)
    assert status == 255
    assert "E10041" in said


def test_open_shapes_have_to_be_given(folder, capsys):
    model = onnx.load_model_from_string(conv_model())
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    assert here(capsys, *GOOD)[0] == 255
    assert here(capsys, *GOOD, "--input_shape=x:1,4,8,8")[0] == 0


@pytest.mark.parametrize(
    ("fault", "status", "out", "error"),
    [
        ("usage", 255, "E10001", ""),
        ("file", 255, "E13000", ""),
        ("unsupported", 255, "EZ3002", ""),
        ("environment", 255, "E40000", ""),
        ("internal", 255, "E19999: Internal Error!\n        An unknown error occurred. Please check the log.", ""),
        ("killed", 137, START, ""),
        ("exit 3", 3, START, ""),
        ("library", 127, "", "libascend_hal.so: cannot open shared object file"),
    ],
)
def test_injected_failures(folder, capsys, fault, status, out, error):
    (folder / "faults").write_text(f"atc: {fault}\n")
    got, said, wrong = here(capsys, *GOOD, faults="faults")
    assert got == status
    assert out in said
    assert error in wrong
    assert not (folder / "m.om").exists()


def test_success_without_a_file_leaves_the_old_one(folder, capsys):
    (folder / "faults").write_text("atc: no-file\n")
    (folder / "m.om").write_bytes(b"old")
    status, said, _ = here(capsys, *GOOD, faults="faults")
    assert status == 0
    assert "ATC run success" in said
    assert (folder / "m.om").read_bytes() == b"old"


def test_the_second_of_all_conversions_fails(folder, capsys):
    (folder / "faults").write_text("all atc 2: unsupported\n")
    assert [here(capsys, *GOOD, faults="faults", state=folder)[0] for _ in range(3)] == [0, 255, 0]


def test_a_hung_conversion(folder):
    (folder / "faults").write_text("atc: hang\n")
    environment = dict(os.environ, **emulator.environment(faults="faults"))
    command = [sys.executable, os.path.join(emulator.BIN, "atc"), *GOOD]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == START + "\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.kill()
    process.wait()
    process.stdout.close()


def test_takes_the_time_of_a_conversion_when_asked(folder, capsys, monkeypatch):
    waits = []
    monkeypatch.setattr(atc.passing, "wait", waits.append)
    here(capsys, *GOOD)
    here(capsys, *GOOD, atc_time_factor=1)
    assert waits[0] <= 0 < waits[1] - 5


def test_an_installation_to_be_sourced(tmp_path):
    from device_agents.emulator.install import install

    folder = tmp_path / "it's a CANN"
    script = install(str(folder), time_factor=0, cann="5.1.RC2")
    (tmp_path / "m.onnx").write_bytes(conv_model())
    code = "import acl; print(acl.init(), acl.__emulator__['cann'], acl.__emulator__['time_factor'])"
    command = f'. "$1"; cd "$2"; atc {" ".join(GOOD)}; npu-smi info; "$3" -c "$4"; echo "$ASCEND_TOOLKIT_HOME"'
    done = subprocess.run(
        ["sh", "-c", command, "sh", script, str(tmp_path), sys.executable, code],
        capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert "ATC run success, welcome to the next use." in lines
    assert "0 5.1.RC2 0.0" in lines
    assert any("Memory-Usage(MB)" in line for line in lines)
    assert lines[-1] == str(folder)
    assert (tmp_path / "m.om").exists()
    assert (
        next(Path(folder).glob("*-linux/ascend_toolkit_install.info")).read_text().splitlines()[1] == "version=5.1.RC2"
    )


def test_outputs_have_the_converters_long_names(folder, capsys):
    here(capsys, *GOOD, "--output_type=FP16", "--input_fp16_nodes=x")
    definition = om.unpack((folder / "m.om").read_bytes())[0]
    assert definition["outputs"][0]["om_name"] == "y:0:y"
    assert [definition[side][0]["dtype"] for side in ("inputs", "outputs")] == [1, 1]
    assert np.prod(definition["outputs"][0]["shape"]) == 192
