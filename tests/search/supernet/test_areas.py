"""Called and labelled areas brought together after a training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mosegnet.modules import extract
from mosegnet.space import SCALE
from search.datasets.base import VOID
from search.supernet import areas, recipes
from search.supernet.batch_norm import reestimate
from search.supernet.train import Budget, Trainer


def noisy_logits(rng: np.random.Generator, shares: list[float], bias: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that know the class a little, and call some classes too often."""
    classes = torch.as_tensor(rng.choice(len(shares), 20_000, p=shares))
    logits = torch.as_tensor(rng.normal(0, 1.5, (len(classes), len(shares))), dtype=torch.float32)
    logits[torch.arange(len(classes)), classes] += 3
    return logits + torch.tensor(bias), classes


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), bias=st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_classes_are_called_as_often_as_they_are_there(seed: int, bias: list[float]) -> None:
    logits, classes = noisy_logits(np.random.default_rng(seed), [0.7, 0.28, 0.02], bias)
    called = torch.bincount((logits + areas.offsets(logits, classes)).argmax(1), minlength=3)
    there = torch.bincount(classes, minlength=3)
    assert torch.allclose(called.float(), there.float(), rtol=0.05), (called, there)


def test_void_does_not_count_and_an_absent_class_is_not_called() -> None:
    logits, classes = noisy_logits(np.random.default_rng(0), [0.6, 0.4, 0.0], [0.0, 0.0, 2.0])
    offsets = areas.offsets(logits, classes)
    assert int(((logits + offsets).argmax(1) == 2).sum()) <= 2
    with_void = torch.cat([classes, torch.full((5000,), VOID)])
    more = torch.cat([logits, torch.full((5000, 3), 9.0)])
    assert torch.allclose(areas.offsets(more, with_void), offsets, atol=1e-5)


@pytest.fixture(scope="module")
def trainer(micro_space, micro_dataset) -> Trainer:
    trainer = Trainer(micro_space, micro_dataset, recipes.get("tiny", batch=4), Budget(steps=30), 0)
    while trainer.progress < 1:
        trainer.step()
    return trainer


def off(network, space, dataset, x) -> float:
    """The share of the area that is called as too much of some class, on training images."""
    sample, architecture = dataset.files("supernet").sample(16), space.decode(x)
    own, images = extract(network, architecture), dataset.to_input(sample.images, architecture.input_hw)
    reestimate(own, [images])
    with torch.no_grad():
        called = torch.nn.functional.interpolate(
            own.forward_eighth(images)[0], sample.labels.shape[1:], mode="bilinear"
        )
    known = sample.labels != VOID
    shares = [
        torch.bincount(classes[known].long(), minlength=space.classes) / known.sum()
        for classes in (called.argmax(1), sample.labels)
    ]
    return float((shares[0] - shares[1]).clamp(min=0).sum())


def test_a_trained_supernet_calls_what_is_there(trainer, micro_space, micro_dataset) -> None:
    before, after = trainer.task.network, trainer.network()
    x = micro_space.largest()
    x[SCALE] = 1
    for encoding in (x, micro_space.largest()):
        assert off(after, micro_space, micro_dataset, encoding) < 0.5 * off(
            before, micro_space, micro_dataset, encoding
        )


def test_only_the_last_bias_differs_and_training_goes_on_without_it(trainer) -> None:
    before = {name: tensor.clone() for name, tensor in trainer.task.network.state_dict().items()}
    after = trainer.network().state_dict()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == ["decoder.head.1.conv.bias"]
    for name, tensor in trainer.task.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
