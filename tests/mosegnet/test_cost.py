"""Costs against torch, against published encoders, and in batch against one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mosegnet import space as spaces
from mosegnet.cost import costs, unit_costs
from mosegnet.graph import operators
from mosegnet.modules import Network

TINY = spaces.load("tiny")


def encoder_with_classifier(digits: dict[str, int], size: int) -> tuple[float, float]:
    """GMACs and million parameters of the encoder under a 1000-way classifier, as ResNet-50-D is counted."""
    space = spaces.load({"preset": "paper", "scales": [[size, size]]})
    x = np.zeros(29, dtype=np.int64)
    x[spaces.STEM_DEPTH] = digits["d0"]
    for places, name in ((spaces.DEPTH, "d"), (spaces.WIDTH, "m")):
        x[list(places)] = digits[name]
    x[spaces.STEM_WIDTH] = digits["m"]
    for s in range(4):
        x[spaces.EXPAND[s] : spaces.EXPAND[s] + spaces.SLOTS[s]] = digits["e"]
    units = space.decode(x).units[:-1]
    ops = [op for unit in units for op in operators(unit)]
    classifier = units[-1].output_shape[0] * 1000
    return (sum(op.macs for op in ops) + classifier) / 1e9, (sum(op.params for op in ops) + classifier + 1000) / 1e6


@pytest.mark.parametrize(
    ("digits", "size", "gmacs", "mparams"),
    [
        ({"d0": 1, "d": 2, "m": 2, "e": 2}, 224, 7.49, 48.1),
        ({"d0": 0, "d": 0, "m": 0, "e": 0}, 128, 0.315, 6.54),
    ],
)
def test_published_check_points(digits: dict[str, int], size: int, gmacs: float, mparams: float) -> None:
    found = encoder_with_classifier(digits, size)
    assert found == pytest.approx((gmacs, mparams), rel=2e-3)


def test_resnet_50_d() -> None:
    """(3, 4, 6, 3) layers, m = 1, e = 0.25, one stem block: 4.33 G, 25.6 M."""
    space = spaces.load({"preset": "paper", "scales": [[224, 224]]})
    x = np.zeros(29, dtype=np.int64)
    x[[spaces.STEM_DEPTH, spaces.STEM_WIDTH]] = 1, 2
    x[list(spaces.DEPTH)] = 1, 2, 2, 1
    x[list(spaces.WIDTH)] = 2
    for s in range(4):
        x[spaces.EXPAND[s] : spaces.EXPAND[s] + spaces.SLOTS[s]] = 1
    architecture = space.decode(x)
    assert architecture.depths == (3, 4, 6, 3)
    ops = [op for unit in architecture.units[:-1] for op in operators(unit)]
    assert (sum(op.macs for op in ops) + 2048e3) / 1e9 == pytest.approx(4.33, rel=2e-3)
    assert (sum(op.params for op in ops) + 2048e3 + 1000) / 1e6 == pytest.approx(25.6, rel=2e-3)


def test_encoder_flops_at_512x1024() -> None:
    """14.7 to 55.1 G multiply-adds over sampled networks, median 29.9, for the encoder alone."""
    space = spaces.load({"preset": "paper", "scales": [[512, 1024]]})
    X = space.sample(3000, np.random.default_rng(0))
    macs = unit_costs(space)[space.unit_indices(X)[:, :-1], 0].sum(axis=1) / 1e9  # the last column is the decoder
    assert np.median(macs) == pytest.approx(29.9, rel=0.03)
    assert macs.min() == pytest.approx(14.7, rel=0.1)
    assert macs.max() == pytest.approx(55.1, rel=0.1)


def test_batch_equals_one_by_one() -> None:
    X = TINY.sample(30, np.random.default_rng(1))
    batch = costs(TINY, X)
    for k, x in enumerate(X):
        ops = [op for unit in TINY.decode(x).units for op in operators(unit)]
        assert batch.flops[k] == sum(op.macs for op in ops)
        assert batch.params[k] == sum(op.params for op in ops)
        assert batch.activation_bytes[k] == 4 * sum(int(np.prod(op.shape)) for op in ops)


def test_params_equal_torch() -> None:
    """The auxiliary heads exist in training only and are not counted."""
    for x in TINY.sample(5, np.random.default_rng(2)):
        network = Network(TINY.decode(x))
        trained = sum(p.numel() for name, p in network.named_parameters() if "auxiliary" not in name)
        assert costs(TINY, x).params[0] == trained


def test_flops_equal_torch() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    for x in TINY.sample(3, np.random.default_rng(3)):
        architecture = TINY.decode(x)
        network = Network(architecture).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, 3, *architecture.input_hw))
        assert counter.get_total_flops() == 2 * costs(TINY, x).flops[0]
