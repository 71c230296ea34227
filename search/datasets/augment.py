"""Training images never seen twice: flip, scale, crop and colour, jointly on image and labels.

BiSeNet's recipe (Yu et al., ECCV 2018) has scales from 0.75 to 2, random crops, horizontal flips. Scale 1 shows the
whole image at the input size; above it a part is cut out, below it the image lies somewhere on an empty ground.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from search.datasets.base import Triple, normalised, reduced_labels, resized
from search.metrics import VOID

FLIP_SHARE = 0.5
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class Augmentation:
    """Turns uint8 images and labels from memory into one training batch; mean and std as in `Dataset`.

    `scales` are the least and the greatest, drawn evenly on a logarithmic axis. `colour` is the strength of the
    changes in brightness, contrast and saturation: factors are drawn from 1 - colour … 1 + colour.
    """

    def __init__(
        self, mean: Triple, std: Triple, scales: tuple[float, float] = (0.75, 2.0), colour: float = 0.3
    ) -> None:
        self._mean, self._std, self._scales, self._colour = mean, std, scales, colour

    def __call__(
        self, images: Tensor, labels: Tensor, size_hw: tuple[int, int], generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Args:
            images: (B, 3, H, W) uint8.
            labels: (B, H, W) uint8.
            size_hw: the wanted size (h, w).
            generator: the only source of randomness, on the CPU.

        Returns:
            Images (B, 3, h, w) float32, normalised, 0 (the mean) where there is no image; labels (B, h, w) uint8,
            void there.
        """
        count = len(images)
        out = images.new_zeros((count, 3, *size_hw), dtype=torch.float32)
        truth = labels.new_full((count, *size_hw), VOID)
        draws = torch.rand((count, 7), generator=generator, dtype=torch.float64).tolist()
        least, most = self._scales
        for k, (scale_draw, y_draw, x_draw, flip_draw, *colour_draws) in enumerate(draws):
            scale = least * (most / least) ** scale_draw
            taken_y, put_y = window(images.shape[-2], size_hw[0], scale, y_draw)
            taken_x, put_x = window(images.shape[-1], size_hw[1], scale, x_draw)
            put_hw = (put_y.stop - put_y.start, put_x.stop - put_x.start)
            image = resized(images[k : k + 1, :, taken_y, taken_x], put_hw)[0]
            label = reduced_labels(labels[k : k + 1, taken_y, taken_x], put_hw)[0]
            if flip_draw < FLIP_SHARE:
                image, label = image.flip(-1), label.flip(-1)
            factors = [1 + self._colour * (2 * draw - 1) for draw in colour_draws]
            out[k, :, put_y, put_x] = normalised(jittered(image, *factors), self._mean, self._std)
            truth[k, put_y, put_x] = label
        return out, truth


def window(source: int, target: int, scale: float, draw: float) -> tuple[slice, slice]:
    """Along one axis: which pixels are taken, and where their resized copy is put.

    At scale 1 or more a part of the source fills the target; below 1 the whole source fills a part of the target.
    `draw` in [0, 1) chooses the place.
    """
    if scale >= 1:
        taken = max(1, round(source / scale))
        first = math.floor(draw * (source - taken + 1))
        return slice(first, first + taken), slice(0, target)
    put = max(1, round(target * scale))
    first = math.floor(draw * (target - put + 1))
    return slice(0, source), slice(first, first + put)


def jittered(image: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
    """(3, H, W) of 0..255 with other colours, float32 in 0..255; a factor of 1 changes nothing."""
    image = image.float() * brightness
    luma = torch.tensor(_LUMA, device=image.device) @ image.flatten(1)  # (H W)
    luma = luma.view(1, *image.shape[1:])
    # Contrast about the mean luma, saturation about each pixel's luma, in one pass over the pixels.
    grey = luma * (contrast * (1 - saturation)) + luma.mean() * (1 - contrast)
    return torch.add(grey, image, alpha=contrast * saturation).clamp_(0, 255)


def jittered_batch(images: Tensor, filled: Tensor, colours: Tensor) -> Tensor:
    """As `jittered` for a whole batch, each image by its own factors.

    Args:
        images: (B, 3, H, W) uint8, 0 outside `filled`.
        filled: (B, 1, H, W) bool, where there is an image; the mean luma is taken there.
        colours: (B, 3) float32, factors of brightness, contrast, saturation.

    Returns:
        (B, 3, H, W) float32 in 0..255; outside `filled` anything.
    """
    brightness, contrast, saturation = (colours[:, k, None, None, None] for k in range(3))
    image = images.float() * brightness
    weights = torch.tensor(_LUMA, device=image.device)[None, :, None, None]
    luma = (image * weights).sum(1, keepdim=True)
    mean = luma.sum((1, 2, 3), keepdim=True) / filled.sum((1, 2, 3), keepdim=True)
    grey = luma * (contrast * (1 - saturation)) + mean * (1 - contrast)
    return torch.addcmul(grey, image, contrast * saturation).clamp_(0, 255)
