"""Losses add up over parts of a batch, and only the hard pixels count where that is asked for."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from search.supernet.loss import ClassificationLoss, SegmentationLoss, distillation_loss, hard_means

WEIGHTS = torch.tensor([0.5, 1.0, 1.5])


def batch() -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    heads = tuple(torch.randn(4, 3, size, 2 * size, generator=generator) for size in (8, 8, 4))
    labels = torch.randint(0, 3, (4, 16, 32), generator=generator)
    labels[0, :8] = 255
    return heads, labels


@pytest.mark.parametrize("hard", [False, True])
def test_parts_add_up_to_the_whole(hard: bool) -> None:
    heads, labels = batch()
    loss = SegmentationLoss(WEIGHTS, hard)
    total = loss.total(labels)
    whole = loss(heads, labels, total)
    parts = [loss(tuple(head[k : k + 1] for head in heads), labels[k : k + 1], total) for k in range(4)]
    torch.testing.assert_close(sum(parts), whole)
    torch.testing.assert_close(sum(loss.total(labels[k : k + 1]) for k in range(4)), total)


def test_it_is_weighted_cross_entropy() -> None:
    heads, labels = batch()
    loss = SegmentationLoss(WEIGHTS)
    found = loss(heads[:1], labels, loss.total(labels))
    logits = F.interpolate(heads[0], size=(16, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, F.cross_entropy(logits, labels, WEIGHTS, ignore_index=255))


def test_nothing_but_void_is_no_loss() -> None:
    heads, labels = batch()
    void = torch.full_like(labels, 255)
    for hard in (False, True):
        loss = SegmentationLoss(WEIGHTS, hard)
        assert loss(heads, void, loss.total(void)) == 0.0


def test_hard_pixels() -> None:
    easy, hard = 0.1, 2.0  # probabilities .90 and .14
    losses = torch.full((2, 160), easy)
    losses[0, :40] = hard
    valid = torch.ones_like(losses, dtype=torch.bool)
    assert hard_means(losses, valid).tolist() == pytest.approx([hard, easy])  # all easy: the sixteenth, all alike
    valid[0, :20] = False
    assert hard_means(losses, valid)[0] == pytest.approx(hard)
    assert not hard_means(losses, torch.zeros_like(valid)).any()


def test_smoothed_classes() -> None:
    logits, labels = torch.zeros(4, 10), torch.arange(4)
    loss = ClassificationLoss(0.1)
    assert float(loss((logits,), labels, loss.total(labels))) == pytest.approx(math.log(10))


def test_following_oneself_costs_nothing() -> None:
    heads, _ = batch()
    assert float(distillation_loss(heads[0], heads[0])) == pytest.approx(0.0, abs=1e-6)
    assert float(distillation_loss(heads[0], heads[1])) > 0
