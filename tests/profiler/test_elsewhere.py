"""Networks measured by other tools: exported, measured by a made-up trtexec, imported as a table."""

import json
import shutil

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from scripted_agent import model_ms

from mosegnet.common.errors import UserError
from mosegnet.onnx_graph import network_model
from profiler import elsewhere, manifest
from profiler.cli import cli
from profiler.elsewhere import Origin, import_table
from profiler.imports import Imported
from profiler.lut import load, save
from profiler.words import describe

ORIGIN = Origin("orin", "Jetson Orin NX", "10.3.0", None)
SAMPLES = 60


@pytest.fixture(scope="module")
def exported(tmp_path_factory, space):
    folder = tmp_path_factory.mktemp("exported") / "orin"
    return folder, manifest.export(space, folder, networks=60, proof=12, half=False, seed=3)


def true_ms(space, encodings):
    return np.array([model_ms(network_model(space.decode(np.array(x)))) for x in encodings])


def trtexec(latency_ms, rng, noise=0.01):
    samples = latency_ms * (1 + noise * rng.standard_normal(SAMPLES))
    return json.dumps([{"startComputeMs": 0.0, "computeMs": ms, "latencyMs": 2 * ms} for ms in samples.tolist()])


@pytest.fixture
def measured(exported, tmp_path, space):
    """What a made-up trtexec leaves of every model, in a folder of its own."""
    _, listed = exported
    rng = np.random.default_rng(0)
    for line, ms in zip(listed.lines, true_ms(space, [line.encoding for line in listed.lines]), strict=True):
        (tmp_path / f"{line.stem}.json").write_text(trtexec(ms, rng))
    return tmp_path


def test_the_export_is_of_models_that_any_tool_can_measure(exported):
    folder, listed = exported
    assert len(list(folder.glob("*.onnx"))) == len(listed.lines) == 72
    assert len(listed.of("validation")) == 12
    assert len({str(line.encoding) for line in listed.lines}) == 72
    graph = onnx.load(folder / listed.lines[0].model).graph
    assert not any(node.op_type == "ConstantOfShape" for node in graph.node)
    onnx.checker.check_model(onnx.load(folder / listed.lines[-1].model))
    again = manifest.read(folder / manifest.MANIFEST)
    assert (again.head, again.lines, again.space.fingerprint) == (listed.head, listed.lines, listed.space.fingerprint)


def test_half_precision_is_written_into_the_models(tmp_path, space):
    listed = manifest.export(space, tmp_path / "half", networks=2, proof=2, half=True, seed=0)
    graph = onnx.load(tmp_path / "half" / listed.lines[0].model).graph
    assert {tensor.data_type for tensor in graph.initializer if tensor.dims} >= {onnx.TensorProto.FLOAT16}
    assert listed.head.precision == "fp16"


def test_an_export_is_not_overwritten(exported, space):
    with pytest.raises(UserError, match="measure its models, or name another folder"):
        manifest.export(space, exported[0], 4, 4, False, 0)


def test_measurements_become_a_table(exported, measured, space):
    lut = import_table(exported[1], [measured], ORIGIN, None)
    X = space.sample(30, np.random.default_rng(5))
    assert np.abs(lut.predict(X) / true_ms(space, X) - 1).mean() < 0.05
    table = lut.table
    assert (table.method.name, table.method.clock) == ("networks", "device")
    assert (table.method.imported.tool, table.method.imported.files) == ("trtexec", 72)
    assert table.method.imported.samples == 72 * SAMPLES
    assert (table.device.chip, table.device.runtime, table.device.precision) == ("Jetson Orin NX", "tensorrt", "fp32")
    assert table.validation.networks == 12
    assert len(table.calibration.networks) == 60
    assert 0.05 < table.validation.label_noise_percent < 0.4
    assert not table.device.simulated


def test_ten_measurements_bring_another_table_here(exported, measured, space, table_file):
    prior = load(table_file)
    few = [measured / f"{line.stem}.json" for line in [*exported[1].lines[:10], *exported[1].of("validation")]]
    lut = import_table(exported[1], few, ORIGIN, prior)
    assert (lut.table.method.name, lut.table.method.prior) == ("hybrid", prior.sha256)
    assert lut.table.validation.mape_percent < 1.5


def test_the_table_lives_through_a_file_and_says_where_it_is_from(exported, measured, tmp_path):
    lut = import_table(exported[1], [measured], ORIGIN, None)
    save(tmp_path / "t.lut.json", lut.table)
    assert load(tmp_path / "t.lut.json").table == lut.table
    words = "\n".join(describe(lut))
    assert "imported  72 files of trtexec, 4320 samples" in words
    assert "drift     not known" in words


def test_several_files_of_a_network_are_its_visits(exported, measured, space):
    listed = exported[1]
    stem = listed.lines[0].stem
    shutil.copy(measured / f"{listed.lines[1].stem}.json", measured / f"{stem}.run2.json")
    (measured / "stray.json").write_text("no measurement of ours")
    own = elsewhere.find(listed, [measured])[0][1]
    assert [path.name for path in own] == [f"{stem}.json", f"{stem}.run2.json"]


@pytest.mark.parametrize(
    ("visits", "latency_ms", "half_ms"),
    [
        ([Imported("n", "trtexec", "device", tuple(range(1, 102)), 51.0, 51.0)], 51.0, 10.5),
        ([Imported("n", "ais_bench", "wall", (), 1.5, 1.4, (1.0, 2.0))], 1.4, 0.5),
        ([Imported("n", "msame", "wall", (), 1.0, None), Imported("n", "msame", "wall", (), 1.2, None)], 1.1, 0.1),
        ([Imported("n", "msame", "wall", (1.0, 1.0, 1.0), 1.0, 1.0)] * 3, 1.0, 0.0),
    ],
)
def test_the_spread_is_the_interval(visits, latency_ms, half_ms):
    found = elsewhere.estimate("n", visits)
    assert found.latency_ms == pytest.approx(latency_ms)
    assert found.ci95_ms == pytest.approx(half_ms, abs=1e-9)


def test_the_interval_of_a_median_covers_it():
    rng = np.random.default_rng(7)
    covered = []
    for _ in range(400):
        samples = 1 + rng.exponential(0.1, 101)  # skewed, as latencies are
        one = Imported("n", "trtexec", "device", tuple(samples.tolist()), 0.0, float(np.median(samples)))
        covered.append(abs(one.median_ms - (1 + 0.1 * np.log(2))) <= elsewhere.half_ms(one))
    assert 0.9 < np.mean(covered) < 0.99


def test_a_single_figure_without_spread_is_refused():
    with pytest.raises(UserError, match="give the whole output of msame, or a second measurement"):
        elsewhere.estimate("n", [Imported("n", "msame", "wall", (), 1.0, None)])


def test_no_network_takes_no_time():
    with pytest.raises(UserError, match="took no time"):
        elsewhere.estimate("n", [Imported("n", "trtexec", "device", (0.0, 0.0, 1.0), 0.3, 0.0)])


def test_what_does_not_fit_is_one_line(exported, measured, tmp_path):
    listed = exported[1]
    first, second = (measured / f"{line.stem}.json" for line in listed.lines[:2])

    def refused(*paths):
        with pytest.raises(UserError) as caught:
            import_table(listed, paths, ORIGIN, None)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "19 networks are too few" in refused(*(measured / f"{line.stem}.json" for line in listed.lines[:19]))
    assert "0 networks are too few" in refused(measured / f"{listed.lines[-1].stem}.json")
    assert "does not exist" in refused(measured / "gone")
    (measured / "empty").mkdir()
    assert "no measurement was found" in refused(measured / "empty")
    (measured / "other.json").write_text(first.read_text())
    assert "named after no model" in refused(measured / "other.json")
    second.write_text(json.dumps([{"count": 3}, {"name": "x", "averageMs": 1.0}]))
    assert "--exportTimes" in refused(measured)
    second.write_text("Inference time: 1.0 ms\nInference time: 1.0 ms")
    assert "one tool's measurements at a time" in refused(measured)


def test_files_that_were_mixed_up_are_noticed(exported, measured, capsys):
    listed = exported[1]
    stems = [line.stem for line in listed.lines]
    contents = [(measured / f"{stem}.json").read_text() for stem in stems]
    for stem, k in zip(stems, np.random.default_rng(1).permutation(len(stems)), strict=True):
        (measured / f"{stem}.json").write_text(contents[k])
    import_table(listed, [measured], ORIGIN, None)
    assert "are they of these models" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: ["{"], "line 1, is no JSON"),
        (lambda lines: [], "first line lacks the schema"),
        (lambda lines: [lines[1]], "first line lacks the schema"),
        (lambda lines: [lines[0].replace('"schema_version": 1', '"schema_version": 9')], "schema_version"),
        (lambda lines: [lines[0], '{"model": "a.onnx", "encoding": [1, 2]}'], "line 2"),
        (lambda lines: [lines[0], '{"model": "a.onnx"}'], "'encoding'"),
        (lambda lines: [lines[0], lines[1], lines[1]], "twice"),
        (lambda lines: [lines[0], lines[1], lines[1].replace("0000", "0001")], "twice"),
    ],
)
def test_a_damaged_list_is_one_line(exported, tmp_path, change, words):
    lines = (exported[0] / manifest.MANIFEST).read_text().splitlines()
    (tmp_path / manifest.MANIFEST).write_text("\n".join(change(lines)))
    with pytest.raises(UserError) as caught:
        manifest.read(tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_commands(exported, measured, tmp_path, table_file):
    out = tmp_path / "orin.lut.json"
    arguments = [exported[0], measured, "--name", "orin", "--chip", "Orin", "--precision", "fp16", "--out", out]
    found = CliRunner().invoke(cli, ["import", *map(str, arguments), "--prior", str(table_file)])
    assert found.exit_code == 0, found.output
    assert "by method hybrid, from 72 files of trtexec" in found.stdout
    assert load(out).table.device.precision == "fp16"
    assert CliRunner().invoke(cli, ["show", str(out)]).exit_code == 0
    small = tmp_path / "space.json"
    small.write_text(json.dumps(load(table_file).table.space))
    arguments = [tmp_path / "few", "--space", small, "--networks", 2, "--proof", 2]
    found = CliRunner().invoke(cli, ["export", *map(str, arguments)])
    assert found.exit_code == 0, found.output
    assert 'trtexec --onnx="$m"' in found.stdout
    assert len(list((tmp_path / "few").glob("*.onnx"))) == 4
