"""Logits of images at label resolution: whole or in sliding windows, at one scale or several, mirrored as well.

The paper's way is the default: the whole image reduced to the network's input, once. The input scale is a digit of the
network and its latency is that of one such pass; the decoder pools over the whole image too. Windows are for what is
larger than anything that the network was trained on, and several scales for tables that compare with others'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mosegnet.common.errors import UserError
from mosegnet.modules import Network

Size = tuple[int, int]
Resize = Callable[[Size], Tensor]  # the images, normalised, at a size: (B, 3, h, w) float32

STEP = 32  # sizes are multiples of it: the network reduces so far
OVERLAP = 1 / 3  # of neighbouring windows, at least
_SCALES = (0.1, 4.0)  # beyond them nothing is left to see, or no memory


@dataclass(frozen=True, slots=True)
class Method:
    """How a network is asked.

    scales: of the network's input size, or with windows of the image; the logits are averaged. flip: each also
    mirrored. window_hw: sliding windows of this size over the image in its own resolution.

    Raises:
        UserError: a scale or a window that cannot be one.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    window_hw: Size | None = None

    def __post_init__(self) -> None:
        low, high = _SCALES
        if not self.scales or not all(low <= scale <= high for scale in self.scales):
            raise UserError(f"scales are between {low:g} and {high:g}, such as 0.5,0.75,1,1.25,1.5,1.75")
        if self.window_hw is not None and any(side < STEP or side % STEP for side in self.window_hw):
            height, width = self.window_hw
            raise UserError(f"a window of {height}x{width} does not go: its sides must be multiples of {STEP}")

    @property
    def passes(self) -> int:
        """How often an image, or each of its windows, goes through the network."""
        return len(self.scales) * (2 if self.flip else 1)

    @property
    def plain(self) -> bool:
        """Whether each image is seen whole and once, at the size that latencies are of."""
        return self == Method()


PLAIN = Method()


def label_logits(network: Network, resize: Resize, image_hw: Size, label_hw: Size, method: Method = PLAIN) -> Tensor:
    """(B, classes, H, W) at `label_hw`, averaged over scales and mirror images; the caller turns gradients off.

    image_hw: the images' own size, which windows go by.
    """
    total: Tensor | None = None
    base = network.architecture.input_hw if method.window_hw is None else image_hw
    for scale in method.scales:
        images = resize(_scaled(base, scale, method))
        for mirrored in (False, True) if method.flip else (False,):
            logits = _logits(network, images.flip(3) if mirrored else images, label_hw, method.window_hw)
            logits = logits.flip(3) if mirrored else logits
            total = logits if total is None else total.add_(logits)
    assert total is not None
    return total.div_(method.passes) if method.passes > 1 else total


def _scaled(base: Size, scale: float, method: Method) -> Size:
    """Without windows the network takes the size as it is, so it must be a multiple of 32; its own already is."""
    if method.window_hw is not None:
        height, width = (max(1, round(side * scale)) for side in base)
    else:
        height, width = (max(STEP, STEP * round(side * scale / STEP)) for side in base)
    return height, width


def _logits(network: Network, images: Tensor, label_hw: Size, window_hw: Size | None) -> Tensor:
    # Straight to label resolution: the network's own x8 and a resize to the labels would blur twice.
    logits = network.forward_eighth(images)[0] if window_hw is None else _in_windows(network, images, window_hw)
    return F.interpolate(logits, size=label_hw, mode="bilinear", align_corners=False)


def _in_windows(network: Network, images: Tensor, window_hw: Size) -> Tensor:
    """(B, 3, H, W) → (B, classes, H, W): the mean of the windows that see a pixel; beyond the image lies the mean."""
    _, _, height, width = images.shape
    below, right = (max(0, least - side) for least, side in zip(window_hw, (height, width), strict=True))
    images = F.pad(images, (0, right, 0, below))  # normalised: 0 is the mean colour
    _, _, tall, wide = images.shape
    shape = (images.shape[0], network.architecture.classes, tall, wide)
    total, seen = images.new_zeros(shape), images.new_zeros(1, 1, tall, wide)
    for top in starts(tall, window_hw[0]):
        for left in starts(wide, window_hw[1]):
            place = (..., slice(top, top + window_hw[0]), slice(left, left + window_hw[1]))
            logits = network(images[place].contiguous())
            assert isinstance(logits, Tensor)
            total[place] += logits
            seen[place] += 1
    return (total / seen)[..., :height, :width]


def starts(length: int, window: int) -> list[int]:
    """Where windows begin: evenly spread over `length` with both ends, neighbours overlapping by OVERLAP or more."""
    if length <= window:
        return [0]
    stride = max(1, int(window * (1 - OVERLAP)))
    gaps = -(-(length - window) // stride)
    return torch.linspace(0, length - window, gaps + 1).round().int().tolist()
