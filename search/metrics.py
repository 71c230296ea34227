"""Mean intersection over union from one integer confusion matrix, void left out.

A matrix is (classes, classes + 1) int64: rows are labels, columns predictions, and the last column holds the misses,
valid pixels for which the network predicted void or any other id that is no class. They count in the label's row, so
in its union, and in no class's column; cityscapesscripts does the same. Matrices add up: images, batches, splits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from search.compiled import compiled

VOID = 255


def confusion_matrices(labels: Tensor, predictions: Tensor, classes: int) -> Tensor:
    """Count every image of a batch by itself.

    Args:
        labels: (B, H, W) any integer type, 0..classes-1 or 255 for void.
        predictions: (B, H, W) any integer type; ids outside 0..classes-1 are misses.
        classes: how many there are, at most 255.

    Returns:
        (B, classes, classes + 1) int64; sum over the first axis for the data set.

    Raises:
        ValueError: shapes differ, or a label is neither a class nor void.
    """
    if labels.shape != predictions.shape or labels.ndim != 3:
        raise ValueError(f"labels {tuple(labels.shape)} and predictions {tuple(predictions.shape)} must be (B, H, W)")
    counts, strange = (_counted if labels.device.type == "cpu" else _counted_anywhere)(labels, predictions, classes)
    if strange:
        raise ValueError(f"a label is neither a class below {classes} nor void ({VOID})")
    return counts


def _counted(labels: Tensor, predictions: Tensor, classes: int) -> tuple[Tensor, bool]:
    """The counts, and whether a label is neither class nor void: one pass over the pixels, twelve times as fast."""
    counts = np.zeros((len(labels), classes, classes + 1), dtype=np.int64)
    strange = False
    for image, truth, found in zip(counts, labels.numpy(), predictions.numpy(), strict=True):
        strange |= _count(truth, found, image)
    return torch.from_numpy(counts), strange


@compiled
def _count(truth: Any, found: Any, counts: Any) -> bool:
    """Add one image, two (H, W) of integers, to counts (classes, classes + 1); whether a label is strange."""
    classes, strange = len(counts), False
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            row, column = int(truth[y, x]), int(found[y, x])
            if 0 <= row < classes:
                counts[row, column if 0 <= column < classes else classes] += 1
            elif row != VOID:
                strange = True
    return strange


def _counted_anywhere(labels: Tensor, predictions: Tensor, classes: int) -> tuple[Tensor, bool]:
    """As `_counted`, of tensors on any device."""
    is_class = (labels >= 0) & (labels < classes)
    strange = not bool((is_class | (labels == VOID)).all())
    side = classes + 1  # one more row for void, dropped below; one more column for misses, kept
    row = torch.where(is_class, labels, classes).to(torch.int32)
    column = torch.where((predictions >= 0) & (predictions < classes), predictions, classes).to(torch.int32)
    image = torch.arange(len(labels), dtype=torch.int32, device=labels.device)[:, None, None]
    cell = (image * side + row) * side + column  # (B, H, W)
    counts = torch.bincount(cell.flatten(), minlength=len(labels) * side * side)
    return counts.view(len(labels), side, side)[:, :classes], strange


def confusion_matrix(labels: Tensor, predictions: Tensor, classes: int) -> Tensor:
    """Count a whole batch as one: (classes, classes + 1) int64, as `confusion_matrices` summed over the images."""
    return confusion_matrices(labels, predictions, classes).sum(0)


def iou(matrix: Tensor) -> Tensor:
    """Intersection over union of each class: (..., classes, classes + 1) to (..., classes) float64.

    NaN for a class that occurs in no valid label and in no prediction on a valid pixel; 0 for one that is only
    predicted or only missed.
    """
    square = matrix[..., :-1]
    hits = square.diagonal(dim1=-2, dim2=-1).double()
    labelled = matrix.sum(-1).double()  # with the misses
    predicted = square.sum(-2).double()
    return hits / (labelled + predicted - hits)  # 0 / 0 is NaN: absent


def miou(matrix: Tensor) -> Tensor:
    """Mean of `iou` over the classes that occur: (..., classes, classes + 1) to (...) float64 in 0..1.

    Absent classes are left out of the mean, as torchmetrics' macro average and cityscapesscripts do. A class that is
    only predicted, never labelled, counts as 0, as in both. NaN when not one pixel is valid.
    """
    return iou(matrix).nanmean(-1)
