"""Other colours for a whole batch, on whatever device it is: brightness, contrast, saturation."""

from __future__ import annotations

import torch
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def jittered(images: Tensor, filled: Tensor, factors: Tensor) -> Tensor:
    """Every image of a batch with colours changed by its own factors; a factor of 1 changes nothing.

    Args:
        images: (B, 3, H, W) uint8, 0 outside `filled`.
        filled: (B, 1, H, W) bool, where there is an image; the mean luma is taken there.
        factors: (B, 3) float32, of brightness, contrast, saturation.

    Returns:
        (B, 3, H, W) float32 in 0..255; outside `filled` anything.
    """
    brightness, contrast, saturation = (factors[:, k, None, None, None] for k in range(3))
    image = images.float() * brightness
    weights = torch.tensor(_LUMA, device=image.device)[None, :, None, None]
    luma = (image * weights).sum(1, keepdim=True)
    mean = luma.sum((1, 2, 3), keepdim=True) / filled.sum((1, 2, 3), keepdim=True)
    # Contrast about the mean luma, saturation about each pixel's luma, in one pass over the pixels.
    grey = luma * (contrast * (1 - saturation)) + mean * (1 - contrast)
    return torch.addcmul(grey, image, contrast * saturation).clamp_(0, 255)
