"""`search evaluate` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mosegnet.common.errors import UserError
from search.chosen import inherited
from search.cli import cli
from search.network_file import NetworkMeta, save_network
from search.remeasure import Measured
from search.supernet import load as load_supernet


@pytest.fixture(autouse=True)
def _boxes(monkeypatch, micro_dataset) -> None:
    monkeypatch.setattr("search.datasets.load", lambda spec: micro_dataset)


def evaluate(*args: str) -> Result:
    return CliRunner().invoke(cli, ["evaluate", "--data", "boxes", *args])


def test_accuracy_and_both_latencies_in_one_answer(micro_supernet: Path, micro_table: Path, monkeypatch) -> None:
    monkeypatch.setattr("search.latency.measure", lambda models, device, threads: [Measured(3.5, 0.1, True)])
    done = evaluate(
        "--supernet", str(micro_supernet), "--smallest", "--lut", str(micro_table), "--device", "cpu", "--json"
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert 0 <= found["miou"] <= 1
    assert found["images"] == 12
    assert found["weights"] == "inherited"
    assert found["scales"] == [1.0]
    assert found["measured"] == {"latency_ms": 3.5, "ci95_ms": 0.1, "converged": True, "device": "cpu"}
    assert found["predicted"]["latency_ms"] > 0
    assert sum(one["labelled"] for one in found["pixels"].values()) == 12 * 63 * 128
    hit, labelled, predicted = (found["pixels"]["back"][name] for name in ("hit", "labelled", "predicted"))
    assert found["iou"]["back"] == pytest.approx(hit / (labelled + predicted - hit))


def test_scales_mirror_and_windows_are_counted_alike(micro_supernet: Path) -> None:
    one = json.loads(evaluate("--supernet", str(micro_supernet), "--smallest", "--json").stdout)
    args = ("--scales", "0.5,1,1.5", "--flip", "--window", "64x96")
    many = json.loads(evaluate("--supernet", str(micro_supernet), "--smallest", *args, "--json").stdout)
    assert (many["scales"], many["flip"], many["window_hw"]) == ([0.5, 1.0, 1.5], True, [64, 96])
    for name, pixels in one["pixels"].items():
        assert many["pixels"][name]["labelled"] == pixels["labelled"]
    assert many["pixels"] != one["pixels"]


def test_a_retrained_network_scores_as_it_is(micro_supernet: Path, micro_dataset, tmp_path: Path) -> None:
    trained = load_supernet(micro_supernet)
    chosen = inherited(trained, trained.space.smallest(), micro_dataset)
    save_network(tmp_path / "net.safetensors", chosen.network, NetworkMeta("mine", trained.data, trained.space))
    own = json.loads(evaluate("--network", str(tmp_path / "net.safetensors"), "--json").stdout)
    before = json.loads(evaluate("--supernet", str(micro_supernet), "--smallest", "--json").stdout)
    assert own["weights"] == "re-trained"
    assert own["pixels"] == before["pixels"]
    assert "mIoU" in evaluate("--network", str(tmp_path / "net.safetensors")).stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--network", "n", "--largest"], "name one network"),
        (["--supernet", "s", "--network", "n", "--largest"], "name one network"),
        (["--largest"], "name one network"),
        (["--network", "none"], "does not exist"),
        (["--network", "n", "--scales", "a,b"], "--scales takes numbers"),
        (["--network", "n", "--window", "64"], "--window takes height and width"),
        (["--network", "n", "--window", "60x64"], "multiples of 32"),
    ],
)
def test_mistakes_are_one_line(args: list[str], said: str) -> None:
    error = evaluate(*args).exception
    assert isinstance(error, UserError)
    assert said in str(error)
    assert "\n" not in str(error)
