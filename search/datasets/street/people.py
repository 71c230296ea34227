"""People on foot and on bicycles, from nearby to a few pixels tall."""

from __future__ import annotations

import math

from numpy.random import Generator

from search.datasets.street.canvas import BICYCLIST, PEDESTRIAN, Canvas, Colour, Point
from search.datasets.street.texture import material, shade, tint

_SKIN: tuple[Colour, ...] = ((214, 170, 140), (180, 130, 100), (120, 84, 64), (88, 60, 46))
_HAIR: tuple[Colour, ...] = ((40, 32, 28), (92, 66, 44), (160, 130, 84), (150, 148, 146))


def paint_pedestrian(
    canvas: Canvas, x: float, z: float, rng: Generator, light: float, label: int = PEDESTRIAN, foot_m: float = 0.0,
    height_m: float | None = None,
) -> None:  # fmt: skip
    """A person on foot; the same figure on a poster or in a shop window has that surface's label."""
    camera = canvas.camera
    tall = height_m or rng.uniform(1.15, 1.9)
    u, foot = camera.project(x, foot_m, z)
    unit = camera.pixels(tall, z)  # pixels from foot to crown
    coat, legs = (shade(material(rng), light) for _ in range(2))
    skin = shade(tint(_SKIN[int(rng.integers(4))], rng, 8), light)
    hair = shade(_HAIR[int(rng.integers(4))], light)
    stride = rng.uniform(0.0, 0.13) * unit
    lean = rng.normal(0, 0.012) * unit
    hip, neck = foot - 0.47 * unit, foot - 0.84 * unit
    leg_px = max(1.0, 0.075 * unit)
    canvas.line([(u - stride, foot), (u - 0.03 * unit, hip)], leg_px, legs, label, z)
    canvas.line([(u + stride, foot), (u + 0.03 * unit, hip)], leg_px, shade(legs, 0.85), label, z)
    half = rng.uniform(0.09, 0.14) * unit
    long_coat = hip + (rng.uniform(0, 0.25) * unit if rng.random() < 0.4 else 0.0)
    canvas.polygon([(u - half, neck), (u + half, neck), (u + half * 0.85, long_coat), (u - half * 0.85, long_coat)],
                   coat, label, z)  # fmt: skip
    swing = rng.uniform(0.0, 0.1) * unit
    for side in (-1, 1):
        canvas.line([(u + side * half, neck + 0.03 * unit), (u + side * (half + swing), hip)], 0.05 * unit,
                    shade(coat, 0.8), label, z)  # fmt: skip
    if rng.random() < 0.3:
        canvas.ellipse((u + half, hip - 0.1 * unit, u + half + 0.12 * unit, hip + 0.08 * unit), material(rng), label, z)
    _head(canvas, (u + lean, foot - 0.92 * unit), 0.075 * unit, skin, hair, label, z)


def paint_bicyclist(canvas: Canvas, x: float, z: float, rng: Generator, light: float) -> None:
    """A rider seen from the side, at a slant, or from front or rear."""
    camera = canvas.camera
    u, foot = camera.project(x, 0, z)
    metre = camera.pixels(1.0, z)
    turn = rng.choice([0.12, 0.35, 0.7, 1.0]) * rng.choice([-1, 1])  # 1: seen from the side
    coat, legs, frame = (shade(material(rng), light) for _ in range(3))
    skin = shade(tint(_SKIN[int(rng.integers(4))], rng, 8), light)
    hair = shade(material(rng) if rng.random() < 0.5 else _HAIR[int(rng.integers(4))], light)  # helmet or hair

    def at(along: float, up: float) -> Point:
        return u + along * turn * metre, foot - up * metre

    radius, half = 0.34, max(0.34 * abs(turn), 0.04)
    rim = max(1.0, 0.05 * metre)
    for hub in (-0.52, 0.52):
        centre = at(hub, radius)
        _ring(canvas, centre, half * metre, radius * metre, rim, z)
    thin = 0.05 * metre
    saddle, pedal, bar = at(-0.2, 0.92), at(0.0, 0.3), at(0.42, 0.98)
    for part in ([at(-0.52, radius), saddle], [saddle, pedal], [pedal, at(0.38, 0.85)], [bar, at(0.52, radius)],
                 [at(-0.52, radius), pedal]):  # fmt: skip
        canvas.line(part, thin, frame, BICYCLIST, z)
    for lift, side in ((0.18, -0.07), (0.42, 0.07)):
        foot_at = (at(0.02, lift)[0] + side * metre, at(0, lift)[1])
        knee = (at(0.22, 0.66)[0] + side * metre, at(0, 0.66)[1])
        canvas.line([saddle, knee, foot_at], 0.13 * metre, legs, BICYCLIST, z)
    shoulder = at(0.14, 1.44)
    wide = max(0.16, 0.2 * (1 - abs(turn))) * metre
    canvas.polygon([(saddle[0] - wide, saddle[1]), (saddle[0] + wide, saddle[1]), (shoulder[0] + wide, shoulder[1]),
                    (shoulder[0] - wide, shoulder[1])], coat, BICYCLIST, z)  # fmt: skip
    canvas.line([shoulder, bar], 0.09 * metre, shade(coat, 0.8), BICYCLIST, z)
    _head(canvas, at(0.2, 1.62), 0.13 * metre, skin, hair, BICYCLIST, z)


def _head(canvas: Canvas, centre: Point, radius: float, skin: Colour, hair: Colour, label: int, z: float) -> None:
    u, v = centre
    across = radius * 0.85
    canvas.ellipse((u - across, v - radius, u + across, v + radius), skin, label, z)
    canvas.ellipse((u - across, v - radius, u + across, v - 0.1 * radius), hair, label, z)


def _ring(canvas: Canvas, centre: Point, half: float, radius: float, width: float, z: float) -> None:
    """A wheel: a thin dark ring, whose inside shows what is behind but is labelled as the bicycle."""
    canvas.cover((centre[0] - half, centre[1] - radius, centre[0] + half, centre[1] + radius), BICYCLIST, z)
    steps = 14 if radius > 6 else 8
    points = [
        (centre[0] + half * math.cos(2 * math.pi * k / steps), centre[1] + radius * math.sin(2 * math.pi * k / steps))
        for k in range(steps + 1)
    ]
    canvas.line(points, width, (34, 34, 36), BICYCLIST, z)
