"""What a network is trained on: its classes on every head, and the largest network's opinion.

Every loss is a sum over images or pixels divided by a count over the whole step, so that parts of a batch, on other
processes or one after the other, add up to the loss of the whole.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from search.metrics import VOID

AUXILIARY_WEIGHT = 0.4
HARD_PROBABILITY = 0.7  # pixels whose class is less probable are hard (Shrivastava et al., OHEM, 2016)
HARD_SHARE = 1 / 16  # at least so many of an image's pixels count
_ENET_CONSTANT = 1.02


def class_weights(pixels: Tensor) -> Tensor:
    """Weight of each class by how rare it is: 1 / ln(1.02 + share), scaled to mean 1 (Paszke et al., ENet, 2016).

    pixels (classes,) counts → (classes,) float32.
    """
    share = pixels.double() / pixels.sum().clamp(min=1)
    weights = 1.0 / torch.log(_ENET_CONSTANT + share)
    return (weights / weights.mean()).float()


class SegmentationLoss:
    """Cross-entropy of the main head plus 0.4 of each auxiliary one; void pixels do not count.

    The auxiliary heads see every second label of each side: they steer coarse features, at a quarter of the cost.
    With `hard_examples` only the hard pixels of each image count, each image alike.
    """

    def __init__(self, weights: Tensor, hard_examples: bool = False) -> None:
        self._weights, self._hard = weights, hard_examples

    def total(self, labels: Tensor) -> Tensor:
        """What the loss of `labels`, (B, H, W) int64, is divided by, (2,): of the main head, of an auxiliary one."""
        if self._hard:
            return torch.full((2,), float(len(labels)), device=labels.device)
        weights = torch.zeros(VOID + 1, device=labels.device)
        weights[: len(self._weights)] = self._weights
        return torch.stack([weights[labels].sum(), weights[_every_second(labels)].sum()])

    def __call__(self, heads: tuple[Tensor, ...], labels: Tensor, total: Tensor) -> Tensor:
        """The part of these images in the step's loss.

        heads: (B, classes, h, w) of any sizes, brought to the labels' by bilinear upsampling · labels (B, H, W) int64
        · `total` of the whole step's labels.
        """
        total = total.clamp(min=1e-12)  # nothing but void is no loss, not 0 / 0
        loss = self._summed(heads[0], labels) / total[0]
        for head in heads[1:]:
            loss = loss + AUXILIARY_WEIGHT * self._summed(head, _every_second(labels)) / total[1]
        return loss

    def _summed(self, head: Tensor, labels: Tensor) -> Tensor:
        logits = F.interpolate(head, size=labels.shape[1:], mode="bilinear", align_corners=False)
        if not self._hard:
            return F.cross_entropy(logits, labels, self._weights, ignore_index=VOID, reduction="sum")
        losses = F.cross_entropy(logits, labels, self._weights, ignore_index=VOID, reduction="none").flatten(1)
        return hard_means(losses, (labels != VOID).flatten(1)).sum()


class ClassificationLoss:
    """Cross-entropy with smoothed labels, for the encoder's pre-training."""

    def __init__(self, smoothing: float) -> None:
        self._smoothing = smoothing

    def total(self, labels: Tensor) -> Tensor:
        """The number of images, (1,)."""
        return torch.full((1,), float(len(labels)), device=labels.device)

    def __call__(self, heads: tuple[Tensor, ...], labels: Tensor, total: Tensor) -> Tensor:
        """heads: logits (B, classes) · labels (B,) int64."""
        summed = F.cross_entropy(heads[0], labels, reduction="sum", label_smoothing=self._smoothing)
        return summed / total[0]


def hard_means(losses: Tensor, valid: Tensor) -> Tensor:
    """Mean loss of each image's hard pixels, (B, N) → (B,): the improbable ones, at least a sixteenth, void never."""
    threshold = -math.log(HARD_PROBABILITY)
    least = torch.topk(losses.detach(), max(1, round(HARD_SHARE * losses.shape[1])), dim=1).values[:, -1:]  # (B, 1)
    kept = valid & (losses.detach() >= least.clamp(max=threshold))
    return (losses * kept).sum(1) / kept.sum(1).clamp(min=1)


def distillation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Kullback-Leibler divergence from the teacher's classes, a mean over pixels, at the teacher's size.

    student (B, classes, h, w), teacher (B, classes, h', w') without gradient; or both (B, classes).
    """
    if student.ndim == 4:
        student = F.interpolate(student, size=teacher.shape[2:], mode="bilinear", align_corners=False)
    student, teacher = student.float(), teacher.float()
    log_student, log_teacher = F.log_softmax(student, dim=1), F.log_softmax(teacher, dim=1)
    places = teacher.numel() // teacher.shape[1]
    return F.kl_div(log_student, log_teacher, reduction="sum", log_target=True) / places


def _every_second(labels: Tensor) -> Tensor:
    return labels[:, 1::2, 1::2]
