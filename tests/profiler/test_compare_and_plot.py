"""Figures are looked at by people; here: that they are drawn from the right numbers and are pictures."""

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from profiler_fixtures import RUN

from mosegnet.common.errors import UserError
from mosegnet.onnx_graph import context_model
from profiler import figures, ratio
from profiler.cli import cli
from profiler.compare import compare
from profiler.lut import load

PNG = b"\x89PNG"


def invoke(*args):
    return CliRunner().invoke(cli, [str(arg) for arg in args], catch_exceptions=True)


@pytest.fixture
def other_file(edit):
    """A device that is three times as slow, and five times slower than that with its stems."""

    def change(value):
        value["device"]["name"] = "other"
        for key, entry in value["entries"].items():
            entry["latency_ms"] *= 15 if key.startswith("stem") else 3
        value["calibration"]["constant_ms"] = [3 * ms for ms in value["calibration"]["constant_ms"]]

    return edit(change)


def test_two_devices_are_compared(table_file, other_file, tmp_path):
    figure = tmp_path / "out.png"
    result = invoke("compare", table_file, other_file, "--networks", 200, "--figure", figure, "--json")
    assert result.exit_code == 0, result.exception
    found = json.loads(result.stdout)
    (pair,) = found["pairs"]
    assert (pair["first"], pair["second"]) == ("scripted", "other")
    assert 3 < pair["speed"] < 15
    assert 0.3 < pair["kendall_tau"] < 1
    assert all(key.startswith("stem") and factor == pytest.approx(5, rel=1e-3) for key, factor in pair["differing"])
    assert figure.read_bytes().startswith(PNG)
    in_words = invoke("compare", table_file, other_file, "--figure", figure)
    assert "5.00 x  stem" in in_words.output


def test_a_device_agrees_with_itself(table_file):
    lut = load(table_file)
    (pair,) = compare([lut, lut], 100, 0).pairs
    assert (pair.kendall_tau, pair.kendall_tau_within_scale, pair.speed) == (1, 1, 1)
    X = lut.space.sample(100, np.random.default_rng(0))
    np.testing.assert_array_equal(compare([lut, lut], 100, 0).latency_ms[0], lut.predict(X))


def test_tables_that_cannot_be_compared(table_file, edit):
    alien = edit(lambda v: v["space"].update(classes=5))
    assert isinstance(invoke("compare", table_file, alien).exception, UserError)  # its units are missing
    with pytest.raises(UserError, match="two tables"):
        raise invoke("compare", table_file).exception
    lut = load(table_file)
    from mosegnet.space import load as load_space

    class Other:
        space, device = load_space("paper"), lut.device

    with pytest.raises(UserError, match="different spaces, 'small' of scripted and 'paper'"):
        compare([lut, Other()], 100, 0)


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_entries_are_drawn(table_file, tmp_path, ending):
    out = tmp_path / f"entries{ending}"
    result = invoke("plot", table_file, "--figure", out)
    assert result.exit_code == 0, result.exception
    assert out.read_bytes()[:4] in (PNG, b"<?xm", b"%PDF")
    lines = figures.entries(load(table_file)).axes[0].containers
    drawn = np.concatenate([line.lines[0].get_ydata() for line in lines])
    scale = load(table_file).space.unit_scales == 0
    entries = load(table_file).table.entries
    keys = [unit.key for unit, own in zip(load(table_file).space.units, scale, strict=True) if own]
    np.testing.assert_allclose(np.sort(drawn), np.sort([entries[key].latency_ms for key in keys]))


def test_an_unknown_kind_of_picture_is_refused(table_file, tmp_path):
    with pytest.raises(UserError, match=r"ends in \.png"):
        raise invoke("plot", table_file, "--figure", tmp_path / "entries.bmp").exception


def test_validate_writes_into_the_table_and_draws(table_file, tmp_path):
    copy = tmp_path / "copy.json"
    copy.write_bytes(table_file.read_bytes())
    command = [*RUN, "validate", "--lut", str(copy), "--device", "cpu", "--networks", "9", "--seed", "5"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    table = load(copy).table
    assert table.validation.networks == 9
    assert table.validation.seed == 5
    assert [visit.own for visit in table.visits] == [True, False]
    assert (tmp_path / "copy.validation.png").read_bytes().startswith(PNG)
    shown = invoke("show", copy).output
    assert shown.count("  visit   ") == 2
    assert "of the build" in shown


# --- which of two models is faster --------------------------------------------------------------------------------


def pairs(share, noise, count=20, seed=0):
    rng = np.random.default_rng(seed)
    return [(share * (1 + noise * a), 1 + noise * b) for a, b in rng.standard_normal((count, 2))]


@pytest.mark.parametrize(
    ("share", "noise", "verdict"),
    [
        (0.9, 0.01, "faster"),
        (1.1, 0.01, "slower"),
        (1.0, 0.01, "not distinguishable"),
        (0.98, 0.1, "not distinguishable"),
    ],
)
def test_the_verdict(share, noise, verdict):
    found = ratio.judge(pairs(share, noise, seed=1))
    assert found.verdict == verdict
    assert found.low <= found.ratio <= found.high


def test_equal_models_are_seldom_told_apart():
    """Looking after every pair, as the command does, must not find differences that are not there."""
    wrong = 0
    for seed in range(200):
        found_ms = pairs(1.0, 0.02, ratio._MOST_PAIRS, seed)
        count = next(n for n in range(1, len(found_ms) + 1) if ratio._enough(found_ms[:n]))
        wrong += ratio.judge(found_ms[:count]).verdict != "not distinguishable"
    assert wrong <= 20


def test_measure_says_which_is_faster(tmp_path):
    small, large = tmp_path / "small.onnx", tmp_path / "large.onnx"
    small.write_bytes(context_model((8, 32, 32)))
    large.write_bytes(context_model((256, 64, 64)))
    command = [sys.executable, "-m", "profiler.cli", "measure", "--device", "cpu", str(small), "--compare", str(large)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert f"{small} is faster than {large}" in result.stdout
    found = json.loads(subprocess.run([*command, "--json"], capture_output=True, check=True).stdout)
    assert found["verdict"] == "faster"
    assert found["high"] < 1
    refused = subprocess.run([*command, str(large)], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "one model beside another" in refused.stderr
