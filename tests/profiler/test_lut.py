"""The file: what it refuses and why; look-up against a slow, plain sum."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from profiler.lut import load, save


def plain_sum_ms(lut, x):
    """The sum of one network, unit by unit."""
    units = lut.space.decode(x).units
    return lut.calibration.constant_ms[x[0]] + sum(lut.table.entries[unit.key].latency_ms for unit in units)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 5))
def test_prediction_is_the_sum(table_file, seed, count):
    lut = load(table_file)
    X = lut.space.sample(count, np.random.default_rng(seed))
    expected_ms = [plain_sum_ms(lut, x) for x in X]
    np.testing.assert_allclose(lut.predict(X), expected_ms, rtol=1e-12)
    for x, latency_ms in zip(X, expected_ms, strict=True):
        parts = lut.breakdown(x)
        assert sum(ms for _, ms in parts) == pytest.approx(latency_ms, rel=1e-12)
        assert [key for key, _ in parts[:-1]] == [unit.key for unit in lut.space.decode(x).units]


def test_inactive_digits_do_not_count(table_file):
    lut = load(table_file)
    X = np.random.default_rng(0).integers(0, lut.space.cardinalities, size=(50, len(lut.space.cardinalities)))
    np.testing.assert_array_equal(lut.predict(X), lut.predict(lut.space.canonical(X)))


def test_shapes(table_file):
    lut = load(table_file)
    assert lut.predict(lut.space.smallest()).shape == (1,)
    assert lut.predict(np.zeros((0, 29), dtype=int)).shape == (0,)
    latency_ms, ci95_ms = lut.predict_interval(lut.space.sample(7, np.random.default_rng(0)))
    assert latency_ms.shape == ci95_ms.shape == (7,)
    assert latency_ms.dtype == np.float64
    assert (ci95_ms > 0).all()


def test_a_saved_table_is_the_same_table(table_file, tmp_path):
    lut = load(table_file)
    copy = tmp_path / "copy.json"
    assert save(copy, lut.table) == lut.sha256
    assert copy.read_bytes() == table_file.read_bytes()
    assert load(copy).table == lut.table


def test_a_table_is_readable(table_file):
    lines = table_file.read_text().split("\n")
    entries = [line for line in lines if '"latency_ms"' in line]
    assert len(entries) == len(load(table_file).table.entries)


def test_a_table_of_another_space_is_refused(table_file, space):
    assert load(table_file, space).space.fingerprint == space.fingerprint
    with pytest.raises(UserError, match="space 'small', not of this 'tiny'"):
        load(table_file, spaces.load("tiny"))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_table_is_refused(table_file, tmp_path, share):
    data = table_file.read_bytes()
    path = tmp_path / "cut.json"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(UserError, match="damaged or not JSON"):
        load(path)


def test_an_edited_table_is_refused(table_file, tmp_path):
    """Any digit changed anywhere."""
    text = table_file.read_text()
    rng = np.random.default_rng(0)
    digits = [k for k, letter in enumerate(text) if letter.isdigit()]
    for place in rng.choice(digits, 40, replace=False):
        path = tmp_path / "edited.json"
        path.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])
        with pytest.raises(UserError) as error:
            load(path)
        assert "\n" not in str(error.value)


def drop_entry(value):
    del value["entries"][next(iter(value["entries"]))]


def drop_scale(value):
    value["calibration"]["constant_ms"].pop()


def drop_interval(value):
    value["calibration"]["interval_percent"].pop()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.update(schema_version=3), "schema version 3, this tool reads up to 2"),
        (lambda v: v.update(schema_version=1), "lacks what version 1 demands"),
        (lambda v: v.update(schema="other"), "is not a latency table"),
        (lambda v: v.update(schema_version="1"), "schema_version"),
        (drop_entry, "no entry for unit 'stem"),
        (drop_scale, "calibration does not cover"),
        (drop_interval, "calibration does not cover"),
        (lambda v: v.pop("device"), "'device'"),
        (lambda v: v.pop("calibration"), "'calibration'"),
        (lambda v: v["device"].update(colour="red"), "colour"),
        (lambda v: v["entries"][next(iter(v["entries"]))].update(latency_ms=0.0), "greater than 0"),
        (lambda v: v["entries"][next(iter(v["entries"]))].update(latency_ms=-1.0), "greater than 0"),
        (lambda v: v["space"].update(width=-1), "positive width"),
    ],
)
def test_unfit_tables_are_refused_with_the_reason(edit, change, words):
    with pytest.raises(UserError) as error:
        load(edit(change))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_checksum_that_does_not_fit_is_damage(edit):
    with pytest.raises(UserError, match="damaged or edited"):
        load(edit(lambda v: v["method"].update(seed=5), seal=False))


@pytest.mark.parametrize("text", ["[]", "3", '"table"', "{}", '{"schema": null}'])
def test_foreign_json_is_refused(tmp_path, text):
    path = tmp_path / "foreign.json"
    path.write_text(text)
    with pytest.raises(UserError, match="not a latency table"):
        load(path)


def test_an_absent_table_is_said(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load(tmp_path / "none.json")


def test_a_table_without_proof_loads_and_says_so(edit, capsys):
    from profiler.words import describe

    lut = load(edit(lambda v: v.pop("validation")))
    assert lut.table.validation is None
    assert any("not validated" in line for line in describe(lut))


def test_a_simulated_table_warns(edit, capsys):
    load(edit(lambda v: v["device"].update(simulated=True)))
    assert "simulated" in capsys.readouterr().err


def test_encodings_out_of_bounds_are_refused(table_file):
    lut = load(table_file)
    x = lut.space.smallest()
    x[5] = 9
    with pytest.raises(UserError, match="digit 5 is 9"):
        lut.predict([x])
    with pytest.raises(UserError, match="29 digits"):
        lut.predict([[0, 1]])


def test_not_a_number_never_reaches_a_file(table_file, tmp_path):
    table = load(table_file).table
    bad = table.model_copy(update={"calibration": table.calibration.model_copy(update={"noise_percent": float("nan")})})
    with pytest.raises(ValueError):
        save(tmp_path / "bad.json", bad)
    assert not (tmp_path / "bad.json").exists()
    assert json.loads(table_file.read_text())["sha256"]


def test_later_visits_widen_the_interval(table_file, edit):
    """What the device had moved by then counts; what the build itself found does not."""

    def visits(value):
        one = {"measured_at": None, "networks": 20, "kendall_tau": 0.9, "mape_percent": 5.0}
        value["visits"] = [{**one, "own": True, "bias_percent": 50.0}, {**one, "own": False, "bias_percent": -8.0}]

    lut, moved = load(table_file), load(edit(visits))
    x = [lut.space.smallest()]
    assert lut.drift == 0
    assert moved.drift == pytest.approx(1.96 * 0.08)
    latency_ms, half_ms = moved.predict_interval(x)
    assert half_ms[0] == pytest.approx(np.hypot(lut.predict_interval(x)[1][0], 1.96 * 0.08 * latency_ms[0]))
