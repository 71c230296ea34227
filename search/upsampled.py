"""The likeliest class at label resolution, of logits that are smaller: as fast as a CPU can have it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from search.compiled import compiled


def likeliest(logits: Tensor) -> Tensor:
    """The class of the greatest logit, the first of equals: (B, classes, H, W) → (B, H, W) uint8.

    One pass a class over contiguous planes; `argmax` over the strided axis takes ten times as long on a CPU.
    """
    best = logits[:, 0].clone()
    index = torch.zeros(best.shape, dtype=torch.uint8, device=logits.device)
    for k in range(1, logits.shape[1]):
        index.masked_fill_(logits[:, k] > best, k)
        torch.maximum(best, logits[:, k], out=best)
    return index


def likeliest_at(logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """`likeliest` of the logits resized bilinearly: (B, classes, h, w) → (B, H, W) uint8.

    On a CPU lines are made wide by a product of matrices, and then tall and compared at once, row by row: nothing of
    the size (classes, H, W) is ever in memory. Ten times as fast as resizing all and then comparing.
    """
    if logits.device.type != "cpu":
        return likeliest(F.interpolate(logits, size=size_hw, mode="bilinear", align_corners=False))
    (height, width), columns = size_hw, _columns(logits.shape[3], size_hw[1])
    wide = torch.matmul(logits.float().contiguous(), columns.T)  # (B, classes, h, W)
    above, below, share = _rows(logits.shape[2], height)
    found = np.empty((len(logits), height, width), dtype=np.uint8)
    for image, part in zip(found, wide.numpy(), strict=True):
        _compare_rows(part, above, below, share, image)
    return torch.from_numpy(found)


def _columns(small: int, large: int) -> Tensor:
    """(large, small): what each value of a resized line is made of."""
    return F.interpolate(torch.eye(small)[None, None], size=(large, small), mode="bilinear", align_corners=False)[0, 0]


def _rows(small: int, large: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Of each of `large` rows: the one above it among `small`, the one below, and that one's share, (large,) each."""
    place = np.maximum((np.arange(large) + 0.5) * small / large - 0.5, 0)
    above = np.floor(place).astype(np.int64)
    return above, np.minimum(above + 1, small - 1), (place - above).astype(np.float32)


@compiled
def _compare_rows(wide: Any, above: Any, below: Any, share: Any, found: Any) -> None:
    """Fill found (H, W) uint8 with the first class of the greatest value between rows of wide (classes, h, W)."""
    classes, _, width = wide.shape
    best = np.empty(width, dtype=np.float32)
    for y in range(len(found)):
        row = found[y]
        for k in range(classes):
            upper, lower, weight = wide[k, above[y]], wide[k, below[y]], share[y]
            for x in range(width):
                value = upper[x] + weight * (lower[x] - upper[x])
                better = k == 0 or value > best[x]
                best[x] = value if better else best[x]
                row[x] = k if better else row[x]
