"""Energy as a column of a table: fitted to whole networks of a device whose energies are known."""

import gzip
import json

import numpy as np
import pytest
from click.testing import CliRunner
from profiler_fixtures import COMMAND
from scripted_agent import model_mj

from mosegnet.common.errors import UserError
from mosegnet.onnx_graph import network_model
from profiler import energy, link
from profiler.build import Method, build, samples_path, tells_energy
from profiler.cli import cli
from profiler.devices import Device
from profiler.initialisers import with_initialisers
from profiler.lut import Lut, load, save
from profiler.words import describe

DEVICE = Device(name="scripted")


@pytest.fixture(scope="module")
def with_energy(tmp_path_factory, space):
    """A table of the scripted device with a meter."""
    out = tmp_path_factory.mktemp("energy") / "scripted.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link, "AGENT_COMMAND", COMMAND)
        patch.setenv("ENERGY", "yes")
        build(DEVICE, space, out, seed=0, resume=False)
    return out


def test_energy_of_networks_never_seen(with_energy, space):
    lut = load(with_energy)
    X = space.sample(40, np.random.default_rng(9))
    true_mj = np.array([model_mj(network_model(space.decode(x))) for x in X])
    found_mj, half_mj = lut.predict_energy_interval(X)
    assert found_mj.shape == (40,)
    assert np.abs(found_mj / true_mj - 1).mean() < 0.015
    assert np.mean(np.abs(found_mj - true_mj) <= half_mj) > 0.9
    assert lut.predict_energy(X).tolist() == found_mj.tolist()


def test_the_proof_stands_beside_one_power(with_energy):
    table = load(with_energy).table
    proof = table.energy.validation
    assert proof.networks == 24
    assert proof.mape_percent < proof.one_power.mape_percent
    assert 0.3 < proof.label_noise_percent < 1.2
    assert 5 < table.energy.power_w < 20
    assert len(table.energy.networks) == 10 * 2
    assert table.energy.source == "counter"
    held_out = {tuple(network.encoding) for network in proof.measured}
    assert not held_out & {tuple(network.encoding) for network in table.energy.networks}


def test_latencies_are_those_of_a_build_without_energy(with_energy, table_file, space):
    X = space.sample(20, np.random.default_rng(3))
    assert load(with_energy).predict(X) == pytest.approx(load(table_file).predict(X), rel=1e-9)
    assert load(with_energy).table.method.visits == load(table_file).table.method.visits


def test_it_lives_through_a_file_and_a_million_lookups_a_second(with_energy, tmp_path, space):
    lut = load(with_energy)
    save(tmp_path / "copy.json", lut.table)
    again = load(tmp_path / "copy.json")
    assert again.table == lut.table
    X = space.sample(5000, np.random.default_rng(1))
    one_by_one = np.concatenate([again.predict_energy(x[None]) for x in X[:50]])
    assert again.predict_energy(X)[:50] == pytest.approx(one_by_one, rel=1e-12)


def test_a_table_without_energy_says_what_to_do(table_file, space):
    lut = load(table_file)
    assert not lut.has_energy
    with pytest.raises(UserError, match=r"scripted\.json has no energy: build one on a device that tells it"):
        lut.predict_energy(space.smallest()[None])
    assert any(line.startswith("energy    none") for line in describe(lut))


def test_predict_prints_it(with_energy, table_file, space):
    line = json.dumps(space.smallest().tolist())
    for path, names in ((table_file, set()), (with_energy, {"energy_mj", "energy_ci95_mj"})):
        found = CliRunner().invoke(cli, ["predict", "--lut", str(path), "--json"], input=line)
        assert set(json.loads(found.stdout)) == {"latency_ms", "ci95_ms"} | names
    assert " mJ ± " in CliRunner().invoke(cli, ["predict", "--lut", str(with_energy)], input=line).stdout


def test_show_says_it(with_energy):
    words = "\n".join(describe(load(with_energy)))
    assert "fitted to 20 whole networks" in words
    assert "latency times one power: tau" in words


@pytest.mark.usefixtures("scripted")
def test_a_meter_that_stands_still_leaves_the_table_without(tmp_path, space, monkeypatch, capsys):
    monkeypatch.setenv("ENERGY", "still")
    lut = build(DEVICE, space, tmp_path / "t.json", seed=0, resume=False, method=Method("hybrid", 4))
    assert not lut.has_energy
    assert lut.complete
    assert "the table has no energy: the card's counter did not move" in capsys.readouterr().err


@pytest.mark.usefixtures("scripted")
def test_energy_can_be_left_out(tmp_path, space, monkeypatch):
    monkeypatch.setenv("ENERGY", "yes")
    lut = build(DEVICE, space, tmp_path / "t.json", seed=0, resume=False, method=Method("hybrid", 4, energy=False))
    assert not lut.has_energy


@pytest.mark.usefixtures("scripted")
def test_a_build_goes_on_amid_its_energies(with_energy, tmp_path, space, monkeypatch):
    """What was measured before the interruption is not measured again."""
    monkeypatch.setenv("ENERGY", "yes")
    lines = gzip.decompress(samples_path(with_energy).read_bytes()).splitlines(keepends=True)
    first = next(k for k, line in enumerate(lines) if json.loads(line)["what"] == "energy")
    out = tmp_path / "again.json"
    out.with_suffix(".journal.jsonl").write_bytes(b"".join(lines[: first + 20]))
    lut = build(DEVICE, space, out, seed=0, resume=True)
    records = [json.loads(line) for line in gzip.decompress(samples_path(out).read_bytes()).splitlines()]
    measured = [(record["key"], record["visit"]) for record in records if record["what"] == "energy"]
    assert len(measured) == len(set(measured)) == 2 * (20 + 24 + 1)
    assert lut.table.entries.keys() == load(with_energy).table.entries.keys()
    assert lut.has_energy


@pytest.mark.usefixtures("scripted")
def test_a_build_that_fails_over_its_energies_goes_on_without(with_energy, tmp_path, space, monkeypatch):
    monkeypatch.setenv("ENERGY", "yes")
    lines = gzip.decompress(samples_path(with_energy).read_bytes()).splitlines(keepends=True)
    first = next(k for k, line in enumerate(lines) if json.loads(line)["what"] == "energy")
    out = tmp_path / "again.json"
    out.with_suffix(".journal.jsonl").write_bytes(b"".join(lines[:first]))
    lut = build(DEVICE, space, out, seed=0, resume=True, method=Method(energy=False))
    assert not lut.has_energy
    assert lut.table.validation is not None


def test_an_energy_that_lacks_units_is_refused(with_energy):
    lut = load(with_energy)
    bare = {key: entry.model_copy(update={"energy_mj": None}) for key, entry in lut.table.entries.items()}
    with pytest.raises(UserError, match="its energy does not cover every unit"):
        Lut(lut.table.model_copy(update={"entries": bare}))


def test_visits_say_the_noise():
    found = [energy.Measured(100.0, (99.0, 101.0), ()), energy.Measured(50.0, (50.5, 49.5), ())]
    assert energy.visit_spread(found) == pytest.approx(0.01414, rel=1e-3)
    assert energy.visit_spread([energy.Measured(1.0, (1.0,), ())]) == 0.0


@pytest.mark.parametrize("version", ["10", "11"])
def test_the_stand_ins_card_tells_it(tmp_path, space, monkeypatch, version):
    monkeypatch.setenv("HOME", str(tmp_path))  # where engines are kept
    monkeypatch.setenv("MOSEGNAS_GPU_STANDIN", version)
    model = with_initialisers(network_model(space.decode(space.smallest())))
    with link.Link(Device(name="gpu", runtime="tensorrt")) as gpu:
        assert tells_energy(gpu)
        found, timing = gpu.energy(model, 0.03, "net"), gpu.time(model, link.Rule(), "net")
    assert found.source == "counter"
    power_w = found.energy_mj / np.median(timing.samples_ms["device"])
    assert 30 < power_w < 300  # 150 W busy, 30 W idle meanwhile


def test_a_processor_tells_none(scripted):
    with link.Link(DEVICE) as cpu:
        assert not tells_energy(cpu)


@pytest.mark.usefixtures("scripted")
def test_few_networks_give_energies_with_wide_intervals(with_energy, table_file, tmp_path, space, monkeypatch):
    monkeypatch.setenv("ENERGY", "yes")
    method = Method("hybrid", 4, load(table_file))
    few = build(DEVICE, space, tmp_path / "t.json", seed=0, resume=False, method=method).table.energy
    many = load(with_energy).table.energy
    assert len(few.networks) == 4
    assert min(few.interval_percent) > max(many.interval_percent)
    assert few.validation.mape_percent < few.validation.one_power.mape_percent
