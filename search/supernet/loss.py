"""What a network is trained on: weighted cross-entropy on every head, and the largest network's opinion."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from search.metrics import VOID

AUXILIARY_WEIGHT = 0.4
_ENET_CONSTANT = 1.02


def class_weights(pixels: Tensor) -> Tensor:
    """Weight of each class by how rare it is: 1 / ln(1.02 + share), scaled to mean 1 (Paszke et al., ENet, 2016).

    pixels (classes,) counts → (classes,) float32.
    """
    share = pixels.double() / pixels.sum().clamp(min=1)
    weights = 1.0 / torch.log(_ENET_CONSTANT + share)
    return (weights / weights.mean()).float()


def segmentation_loss(heads: tuple[Tensor, ...], labels: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of the main head plus 0.4 of each auxiliary one; void pixels do not count.

    heads: (B, classes, h, w) of any sizes, brought to the labels' by bilinear upsampling · labels (B, H, W) int64.
    The auxiliary heads see every second label of each side: they steer coarse features, at a quarter of the cost.
    """
    loss = _cross_entropy(heads[0], labels, weights)
    for head in heads[1:]:
        loss = loss + AUXILIARY_WEIGHT * _cross_entropy(head, labels[:, 1::2, 1::2], weights)
    return loss


def distillation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Kullback-Leibler divergence from the teacher's classes, per pixel, at the teacher's size.

    student (B, classes, h, w), teacher (B, classes, h', w') without gradient.
    """
    student = F.interpolate(student, size=teacher.shape[2:], mode="bilinear", align_corners=False)
    log_student, log_teacher = F.log_softmax(student, dim=1), F.log_softmax(teacher, dim=1)
    pixels = teacher.shape[0] * teacher.shape[2] * teacher.shape[3]
    return F.kl_div(log_student, log_teacher, reduction="sum", log_target=True) / pixels


def _cross_entropy(head: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    logits = F.interpolate(head, size=labels.shape[1:], mode="bilinear", align_corners=False)
    return F.cross_entropy(logits, labels, weights, ignore_index=VOID)
