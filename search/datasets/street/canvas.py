"""A pinhole camera over flat ground, and a canvas that paints colour, label and depth together, far things first.

World coordinates in metres: x to the right of the camera, y above the ground, z ahead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)  # CamVid's order
VOID = 255

NEAR_M = 1.2  # nothing is painted nearer than this
FAR_M = 250.0
_DEPTH_LEVELS = 254
_LOG_RANGE = math.log(FAR_M / NEAR_M)

Colour = tuple[int, int, int]
Point = tuple[float, float]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Camera:
    """Where the picture is taken from; the horizon and the centre are where the street's parallels meet."""

    height_px: int
    width_px: int
    focal_px: float
    horizon_px: float
    centre_px: float
    height_m: float

    def project(self, x: float, y: float, z: float) -> Point:
        """The pixel (u, v) of a point in the world; points behind the near plane are moved onto it."""
        scale = self.focal_px / max(z, NEAR_M)
        return self.centre_px + x * scale, self.horizon_px + (self.height_m - y) * scale

    def pixels(self, metres: float, z: float) -> float:
        """How many pixels a length across the line of sight takes at distance z."""
        return metres * self.focal_px / max(z, NEAR_M)


class Canvas:
    """Colour (RGB), label and depth of one picture; whatever is painted later lies in front."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        size = (camera.width_px, camera.height_px)
        self.image = Image.new("RGB", size)
        self.label = Image.new("L", size, SKY)
        self.depth = Image.new("L", size, _DEPTH_LEVELS)
        self._image_draw, self._label_draw, self._depth_draw = self._pens()

    def polygon(self, points: Sequence[Point], colour: Colour, label: int | None, z: float) -> None:
        """Fill a polygon; without a label only its colour changes (paint on what is there)."""
        self._image_draw.polygon(points, fill=colour)
        if label is not None:
            self._label_draw.polygon(points, fill=label)
            self._depth_draw.polygon(points, fill=depth_code(z))

    def ellipse(self, box: tuple[float, float, float, float], colour: Colour, label: int | None, z: float) -> None:
        """Fill the ellipse inside (left, top, right, bottom)."""
        left, top, right, bottom = box
        whole = (left, top, max(left, right), max(top, bottom))
        self._image_draw.ellipse(whole, fill=colour)
        if label is not None:
            self._label_draw.ellipse(whole, fill=label)
            self._depth_draw.ellipse(whole, fill=depth_code(z))

    def cover(self, box: tuple[float, float, float, float], label: int, z: float) -> None:
        """Label the ellipse inside (left, top, right, bottom) and leave its colours: what is seen through it."""
        left, top, right, bottom = box
        whole = (left, top, max(left, right), max(top, bottom))
        self._label_draw.ellipse(whole, fill=label)
        self._depth_draw.ellipse(whole, fill=depth_code(z))

    def line(self, points: Sequence[Point], width_px: float, colour: Colour, label: int | None, z: float) -> None:
        """Draw a line of at least one pixel's width."""
        width = max(1, round(width_px))
        self._image_draw.line(points, fill=colour, width=width)
        if label is not None:
            self._label_draw.line(points, fill=label, width=width)
            self._depth_draw.line(points, fill=depth_code(z), width=width)

    def paste(
        self,
        colours: NDArray[np.uint8],
        mask: NDArray[np.bool_],
        corner: tuple[int, int],
        label: int | None,
        z: float | Floats,
        painted: NDArray[np.bool_] | None = None,
    ) -> None:
        """Put a patch of pixels (h, w, 3) at corner (left, top) where mask (h, w) is set.

        z is one distance, or one for each column (w,). Where `painted` is given, colour changes only there.
        """
        stencil = _stencil(mask)
        self.image.paste(Image.fromarray(colours), corner, stencil if painted is None else _stencil(painted))
        if label is None:
            return
        box = (corner[0], corner[1], corner[0] + mask.shape[1], corner[1] + mask.shape[0])
        self.label.paste(label, box, stencil)
        if isinstance(z, np.ndarray):
            codes = np.broadcast_to(depth_codes(z), mask.shape)
            self.depth.paste(Image.fromarray(np.ascontiguousarray(codes)), corner, stencil)
        else:
            self.depth.paste(depth_code(z), box, stencil)

    def distances(self) -> Floats:
        """The distance in metres of every pixel, (H, W)."""
        levels = np.arange(256, dtype=np.float32)
        table = NEAR_M * np.exp(levels / _DEPTH_LEVELS * _LOG_RANGE)
        return table.astype(np.float32)[np.asarray(self.depth)]

    def _pens(self) -> tuple[ImageDraw.ImageDraw, ImageDraw.ImageDraw, ImageDraw.ImageDraw]:
        return ImageDraw.Draw(self.image), ImageDraw.Draw(self.label), ImageDraw.Draw(self.depth)


def depth_code(z: float) -> int:
    """A distance as one byte, on a logarithmic scale from the near to the far plane."""
    return round(_DEPTH_LEVELS * math.log(min(max(z, NEAR_M), FAR_M) / NEAR_M) / _LOG_RANGE)


def depth_codes(z: Floats) -> NDArray[np.uint8]:
    """`depth_code` of many distances."""
    logs = np.log(np.clip(z, NEAR_M, FAR_M) / NEAR_M)
    return np.round(logs * (_DEPTH_LEVELS / _LOG_RANGE)).astype(np.uint8)


def _stencil(mask: NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(mask.view(np.uint8) * np.uint8(255))
