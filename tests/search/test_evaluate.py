"""Scoring: batch norms of the sub-network's own, exact and repeatable, and the supernet left as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from mosegnet.modules import Network, extract
from search import metrics
from search.evaluate import Evaluator
from search.export import export_onnx, random_images, random_network
from search.landscape import describe, survey
from search.supernet import Supernet
from search.supernet.batch_norm import reestimate
from search.supernet.store import DataSummary


@pytest.fixture
def supernet(micro_space) -> Supernet:
    torch.manual_seed(0)
    network = Network(micro_space.decode(micro_space.largest())).eval()
    return Supernet(micro_space, network, DataSummary("boxes", ("a", "b", "c"), (0.5,) * 3, (0.5,) * 3))


def test_reestimated_statistics_are_those_of_all_images(supernet: Supernet) -> None:
    """With equal batches the cumulative average of the first norm is the mean over everything it saw."""
    network = extract(supernet.network, supernet.space.decode(supernet.space.smallest()))
    torch.manual_seed(1)
    batches = [torch.randn(4, 3, 32, 64) * scale for scale in (1.0, 2.0, 3.0)]
    before = [p.clone() for p in network.parameters()]
    reestimate(network, batches)
    seen = torch.cat([network.stem.conv1.conv(batch) for batch in batches])
    norm = network.stem.conv1.bn
    assert isinstance(norm, nn.BatchNorm2d)
    torch.testing.assert_close(norm.running_mean, seen.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_scores_repeat_and_leave_the_supernet_alone(supernet: Supernet, micro_dataset) -> None:
    evaluator, before = Evaluator(supernet, micro_dataset), supernet.fingerprint()
    X = supernet.space.sample(3, np.random.default_rng(0))
    first = [evaluator.miou(x) for x in X]
    assert [evaluator.miou(x) for x in X[::-1]][::-1] == first
    assert supernet.fingerprint() == before
    assert len(set(first)) == 3


def test_many_networks_side_by_side_score_as_alone_and_in_order(supernet: Supernet, micro_dataset) -> None:
    evaluator = Evaluator(supernet, micro_dataset)
    X = supernet.space.sample(5, np.random.default_rng(1))
    threads = torch.get_num_threads()
    together = list(evaluator.confusions_of_all(X))
    assert torch.get_num_threads() == threads
    torch.set_num_threads(1)
    try:
        assert all(torch.equal(found, evaluator.confusions(x)) for x, found in zip(X, together, strict=True))
    finally:
        torch.set_num_threads(threads)


def test_confusions_are_counted_at_label_resolution(supernet: Supernet, micro_dataset) -> None:
    found = Evaluator(supernet, micro_dataset).confusions(supernet.space.smallest(), "test")
    labels = micro_dataset.split("test").labels
    assert found.shape == (12, 3, 4)
    assert found.sum() == (labels != 255).sum()
    network = Evaluator(supernet, micro_dataset).prepare(supernet.space.smallest())
    images = micro_dataset.to_input(micro_dataset.split("test").images, (32, 64))
    with torch.no_grad():
        eighth = network.forward_eighth(images)[0]
    predicted = nn.functional.interpolate(eighth, size=(64, 128), mode="bilinear").argmax(1)
    expected = metrics.confusion_matrices(labels, predicted, 3)
    assert (found - expected).abs().sum() <= 4  # a tie at a border may fall either way between batch sizes


def test_other_classes_are_refused(micro_dataset) -> None:
    tiny = spaces.load("tiny")
    network = Network(tiny.decode(tiny.largest()))
    other = Supernet(tiny, network, DataSummary("x", (), (0.5,) * 3, (0.5,) * 3))
    with pytest.raises(UserError, match="has 3 classes"):
        Evaluator(other, micro_dataset)


def test_exported_networks_are_compared_before_they_are_written(supernet: Supernet, micro_dataset, tmp_path) -> None:
    network = Evaluator(supernet, micro_dataset).prepare(supernet.space.largest())
    images = micro_dataset.to_input(micro_dataset.split("search").images[:2], (64, 128))
    exported = export_onnx(network, tmp_path / "net.onnx", images)
    assert exported.path.stat().st_size > 100_000
    assert exported.largest_difference <= 1e-4
    assert exported.same_class_share > 0.999


def test_a_wrong_export_is_refused(micro_space, tmp_path, monkeypatch) -> None:
    network = random_network(micro_space, micro_space.smallest())
    monkeypatch.setattr(
        "search.export.network_model", lambda a, w, *how: real_model(a, w | {"stem.conv2.bn.bias": bias}, *how)
    )
    from mosegnet.onnx_graph import network_model as real_model

    bias = network.state_dict()["stem.conv2.bn.bias"].numpy() + 0.1
    with pytest.raises(UserError, match="was not written"):
        export_onnx(network, tmp_path / "net.onnx", random_images(network))
    assert not (tmp_path / "net.onnx").exists()


def test_a_landscape_of_pure_signal_and_one_of_pure_noise(micro_space) -> None:
    """Scores made up: hits follow one digit exactly, or nothing at all."""
    rng = np.random.default_rng(0)
    X = micro_space.sample(60, rng)

    def confusions(hits: np.ndarray) -> torch.Tensor:
        matrix = torch.zeros(len(hits), 3, 4, dtype=torch.int64)
        matrix[:, 0, 0], matrix[:, 0, 1] = torch.as_tensor(hits), torch.as_tensor(1000 - hits)
        matrix[:, 1, 1] = matrix[:, 2, 2] = 500
        return matrix

    signal = describe(micro_space, X, [confusions(np.full(10, 300 + 200 * x[0] + 7 * x[2])) for x in X])
    assert signal.tau_halves == pytest.approx(1)
    assert signal.strongest_digit == 0
    assert signal.strongest_digit_share > 0.9
    assert signal.miou_max - signal.miou_min > 0.1
    noise = describe(micro_space, X, [confusions(rng.integers(300, 700, size=10)) for _ in X])
    assert noise.tau_halves is not None
    assert abs(noise.tau_halves) < 0.3


def test_survey_holds_the_scale_within(supernet: Supernet, micro_dataset) -> None:
    evaluator = Evaluator(supernet, micro_dataset)
    report, X = survey(supernet.space, evaluator.confusions_of_all, networks=5, seed=3)
    assert report["networks"] == report["within_scale"]["networks"] == 5
    assert (X[5:, 0] == 1).all()
    assert report["within_scale"]["scale"] == [64, 96]
    assert report["miou_min"] <= report["miou_median"] <= report["miou_max"]
    assert report["tau_test"] is None


def test_a_survey_of_both_splits_says_how_alike_they_rank(micro_space) -> None:
    def confusions_of_all(X: np.ndarray, split: str) -> list[torch.Tensor]:
        """The split `test` ranks by the stem's width as `search` does, and upside down within a scale."""
        hits = [100 + 10 * int(x[2]) * (-1 if split == "test" and len(set(X[:, 0])) == 1 else 1) for x in X]
        return [torch.tensor([[[hit, 500 - hit, 0], [0, 500, 0]]] * 4) for hit in hits]

    report, _ = survey(micro_space, confusions_of_all, networks=12, seed=0, test=True)
    assert report["tau_test"] == pytest.approx(1)
    assert report["within_scale"]["tau_test"] == pytest.approx(-1)
