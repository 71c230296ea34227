"""Trees in leaf, bare trees, bushes and hedges."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from search.datasets.street.canvas import TREE, Canvas, Colour, Point
from search.datasets.street.texture import noise_patch, shade, tint

_LEAVES: tuple[Colour, ...] = ((60, 80, 40), (84, 96, 50), (48, 62, 40), (104, 100, 52), (118, 88, 48), (74, 66, 52))
_BARK: Colour = (70, 58, 48)


def paint_tree(canvas: Canvas, x: float, z: float, height_m: float, rng: Generator, light: float) -> None:
    """A tree with its foot at (x, z): a thin trunk under a crown of leaves, or bare branches."""
    camera = canvas.camera
    u, foot = camera.project(x, 0, z)
    bark = shade(tint(_BARK, rng, 12), light)
    width_px = camera.pixels(rng.uniform(0.15, 0.4), z)
    if rng.random() < 0.25:
        length_px = camera.pixels(height_m * 0.4, z)
        canvas.line([(u, foot), (u, foot - length_px)], width_px, bark, TREE, z)
        _branches(canvas, (u, foot - length_px), -math.pi / 2, length_px * 0.75, width_px * 0.7, 4, bark, z, rng)
        return
    clear_m = height_m * rng.uniform(0.2, 0.45)
    _, fork = camera.project(x, clear_m + 0.3, z)
    canvas.line([(u, foot), (u, fork)], width_px, bark, TREE, z)
    half_m = height_m * rng.uniform(0.22, 0.42)
    paint_foliage(canvas, (x - half_m, x + half_m), (clear_m, height_m), z, rng, light)


def paint_bush(canvas: Canvas, x: float, z: float, rng: Generator, light: float) -> None:
    """A bush or a plant in a tub, up to a person's height."""
    half_m, top_m = rng.uniform(0.3, 1.4), rng.uniform(0.5, 1.9)
    paint_foliage(canvas, (x - half_m, x + half_m), (0.0, top_m), z, rng, light)


def paint_foliage(
    canvas: Canvas, x_m: tuple[float, float], y_m: tuple[float, float], z: float, rng: Generator, light: float
) -> None:
    """A ragged mass of leaves that fills an ellipse between x_m and y_m at distance z."""
    camera = canvas.camera
    left, top = (math.floor(p) for p in camera.project(x_m[0], y_m[1], z))
    right, bottom = (math.ceil(p) for p in camera.project(x_m[1], y_m[0], z))
    width, height = right - left, bottom - top
    if width < 2 or height < 2 or right <= 0 or left >= camera.width_px or bottom <= 0 or top >= camera.height_px:
        return
    own = tint(_LEAVES[int(rng.integers(len(_LEAVES)))], rng, 12)
    across = (np.arange(width, dtype=np.float32) + 0.5) * np.float32(2 / width) - 1
    down = ((np.arange(height, dtype=np.float32) + 0.5) * np.float32(2 / height) - 1)[:, None]
    zoom = max(0.2, height / 220)  # as many leaves on a far tree as on a near one
    noise = noise_patch(rng, height, width, zoom)
    mask = across * across + down * down < np.float32(0.35) + noise * np.float32(0.9)
    tone = (np.float32(0.45) + noise_patch(rng, height, width, zoom) * np.float32(0.95)) * np.float32(light)
    tone -= down * np.float32(0.22)  # lit from above
    colours = np.clip(np.array(own, np.float32) * tone[..., None], 0, 255).astype(np.uint8)
    x0, y0 = max(0, -left), max(0, -top)
    x1, y1 = min(width, camera.width_px - left), min(height, camera.height_px - top)
    cut = (slice(y0, y1), slice(x0, x1))
    canvas.paste(
        np.ascontiguousarray(colours[cut]), np.ascontiguousarray(mask[cut]), (left + x0, top + y0), TREE, z
    )  # fmt: skip


def _branches(
    canvas: Canvas, start: Point, angle: float, length: float, width: float, depth: int, colour: Colour, z: float,
    rng: Generator,
) -> None:  # fmt: skip
    """Split into two or three thinner branches until they are a pixel wide."""
    if depth == 0 or length < 2:
        return
    for _ in range(int(rng.integers(2, 4))):
        own = angle + rng.uniform(-0.7, 0.7)
        reach = length * rng.uniform(0.6, 1.0)
        end = (start[0] + reach * math.cos(own), start[1] + reach * math.sin(own))
        canvas.line([start, end], width, colour, TREE, z)
        _branches(canvas, end, own, length * 0.68, width * 0.6, depth - 1, colour, z, rng)
