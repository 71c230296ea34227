"""Poles, lamps, traffic lights, signs, bollards, hoardings and posters."""

from __future__ import annotations

import math

from numpy.random import Generator

from search.datasets.street.canvas import BUILDING, POLE, SIGN, VOID, Canvas, Colour, Point
from search.datasets.street.people import paint_pedestrian
from search.datasets.street.texture import material, shade, tint

_METALS: tuple[Colour, ...] = ((120, 124, 126), (70, 74, 78), (44, 48, 46), (156, 158, 156), (92, 84, 72))


def paint_lamp(canvas: Canvas, x: float, z: float, rng: Generator, light: float) -> None:
    """A lamp post with an arm over the road, or a bare mast."""
    camera = canvas.camera
    tall = rng.uniform(5, 9)
    colour = _metal(rng, light)
    u, foot = camera.project(x, 0, z)
    _, top = camera.project(x, tall, z)
    thick = camera.pixels(rng.uniform(0.14, 0.32), z)
    canvas.line([(u, foot), (u, top)], thick, colour, POLE, z)
    if rng.random() < 0.75:
        reach = camera.pixels(rng.uniform(0.8, 1.8), z) * (-1 if x > 0 else 1)
        canvas.line([(u, top), (u + reach, top - 0.1 * abs(reach))], thick * 0.7, colour, POLE, z)
        canvas.line([(u + 0.7 * reach, top - 0.07 * abs(reach)), (u + reach, top - 0.1 * abs(reach))], thick * 1.5,
                    colour, POLE, z)  # fmt: skip


def paint_sign(canvas: Canvas, x: float, z: float, rng: Generator, light: float) -> None:
    """A traffic sign, one or two plates, on its pole."""
    camera = canvas.camera
    tall = rng.uniform(2.1, 3.2)
    u, foot = camera.project(x, 0, z)
    _, top = camera.project(x, tall, z)
    canvas.line([(u, foot), (u, top)], camera.pixels(rng.uniform(0.1, 0.16), z), _metal(rng, light), POLE, z)
    height = tall
    for _ in range(1 + int(rng.random() < 0.3)):
        half = rng.uniform(0.28, 0.5)
        _plate(canvas, (x, height - half, z), half, rng, light, SIGN)
        height -= 2 * half + 0.05


def paint_traffic_light(canvas: Canvas, x: float, z: float, rng: Generator, light: float) -> None:
    """Three lamps in a dark box on a pole."""
    camera = canvas.camera
    u, foot = camera.project(x, 0, z)
    _, top = camera.project(x, rng.uniform(2.6, 3.6), z)
    canvas.line([(u, foot), (u, top)], camera.pixels(0.13, z), _metal(rng, light), POLE, z)
    half, up = camera.pixels(0.2, z), camera.pixels(0.95, z)
    canvas.polygon(_box(u - half, top, u + half, top + up), (28, 30, 30), SIGN, z)
    lit = int(rng.integers(3))
    for k, lamp in enumerate(((220, 50, 40), (226, 160, 50), (70, 210, 120))):
        radius = camera.pixels(0.12, z)
        v = top + up * (k + 0.5) / 3
        canvas.ellipse((u - radius, v - radius, u + radius, v + radius), lamp if k == lit else (50, 46, 44), SIGN, z)


def paint_billboard(canvas: Canvas, x: float, z: float, rng: Generator, light: float) -> None:
    """A large board on legs: an advertisement or a direction sign."""
    camera = canvas.camera
    wide, low, high = rng.uniform(0.7, 1.8), rng.uniform(0.6, 1.6), rng.uniform(2.2, 3.4)
    for leg in (-0.6, 0.6):
        u, foot = camera.project(x + leg * wide, 0, z)
        _, top = camera.project(x, low, z)
        canvas.line([(u, foot), (u, top)], camera.pixels(0.1, z), _metal(rng, light), POLE, z)
    corners = (*camera.project(x - wide, high, z), *camera.project(x + wide, low, z))
    canvas.polygon(_box(*corners), shade(material(rng), light), SIGN, z)
    _print(canvas, corners, rng, light, SIGN, z)


def paint_bollard(canvas: Canvas, x: float, z: float, rng: Generator, light: float) -> None:
    """A post of a child's height and a person's colours; a pole all the same."""
    camera = canvas.camera
    tall, half_m = rng.uniform(0.8, 1.3), rng.uniform(0.07, 0.16)
    u, foot = camera.project(x, 0, z)
    half, up = camera.pixels(half_m, z), camera.pixels(tall, z)
    colour = _metal(rng, light) if rng.random() < 0.5 else shade(material(rng), light)
    canvas.polygon(_box(u - half, foot - up, u + max(half, 0.5), foot), colour, POLE, z)
    if rng.random() < 0.6:
        canvas.ellipse((u - half, foot - up - half, u + half, foot - up + half), shade(colour, 1.25), POLE, z)


def paint_bin(canvas: Canvas, x: float, z: float, rng: Generator, light: float) -> None:
    """A bin or a box that belongs to no class."""
    camera = canvas.camera
    u, foot = camera.project(x, 0, z)
    half, up = camera.pixels(rng.uniform(0.22, 0.35), z), camera.pixels(rng.uniform(0.8, 1.2), z)
    canvas.polygon(_box(u - half, foot - up, u + half, foot), shade(material(rng), light), VOID, z)


def paint_poster(canvas: Canvas, x: float, z: float, rng: Generator, light: float) -> None:
    """What looks like a sign or a person but is printed on a wall along the street, and so a part of the house."""
    camera = canvas.camera
    low, length = rng.uniform(0.5, 2.6), rng.uniform(0.6, 1.8)
    high = low + rng.uniform(0.7, 1.9)
    corners = [camera.project(x, low, z), camera.project(x, low, z + length), camera.project(x, high, z + length),
               camera.project(x, high, z)]  # fmt: skip
    canvas.polygon(corners, shade(material(rng), light), BUILDING, z)
    if rng.random() < 0.5:
        paint_pedestrian(canvas, x, z + length / 2, rng, light, BUILDING, low + 0.05, (high - low) * 0.9)
    else:
        half = min(length, high - low) * 0.22
        _plate(canvas, (x, (low + high) / 2, z + length / 2), half, rng, light, BUILDING)


def paint_shop_sign(canvas: Canvas, x: float, z: float, rng: Generator, light: float) -> None:
    """A plate on a bracket that sticks out of a house front, over the pavement."""
    camera = canvas.camera
    out_m, low = rng.uniform(0.5, 1.0) * (-1 if x > 0 else 1), rng.uniform(2.4, 3.4)
    high = low + rng.uniform(0.5, 1.2)
    first, second = camera.project(x, high, z), camera.project(x + out_m, low, z)
    box = (min(first[0], second[0]), first[1], max(first[0], second[0]), second[1])
    canvas.polygon(_box(*box), shade(material(rng), light), SIGN, z)
    _print(canvas, box, rng, light, SIGN, z)


def _plate(
    canvas: Canvas, at: tuple[float, float, float], half_m: float, rng: Generator, light: float, label: int
) -> None:
    """A round, triangular or square plate with a border and a mark, its middle at `at`."""
    x, y, z = at
    u, v = canvas.camera.project(x, y, z)
    half = max(canvas.camera.pixels(half_m, z), 0.8)
    red, white, blue = (tint(c, rng, 14) for c in ((186, 40, 38), (226, 226, 220), (40, 76, 150)))
    red, white, blue = (shade(c, light) for c in (red, white, blue))
    kind = int(rng.integers(4))
    if kind == 0:
        canvas.ellipse((u - half, v - half, u + half, v + half), red, label, z)
        canvas.ellipse((u - half * 0.68, v - half * 0.68, u + half * 0.68, v + half * 0.68), white, None, z)
    elif kind == 1:
        canvas.polygon([(u, v - half), (u + half, v + half * 0.8), (u - half, v + half * 0.8)], red, label, z)
        canvas.polygon([(u, v - half * 0.5), (u + half * 0.6, v + half * 0.6), (u - half * 0.6, v + half * 0.6)],
                       white, None, z)  # fmt: skip
    elif kind == 2:
        canvas.polygon(_box(u - half, v - half, u + half, v + half), blue, label, z)
        canvas.polygon(_box(u - half * 0.2, v - half * 0.7, u + half * 0.2, v + half * 0.7), white, None, z)
    else:
        colour = shade(material(rng), light)
        canvas.polygon(_box(u - half * 1.5, v - half * 0.6, u + half * 1.5, v + half * 0.6), colour, label, z)
        canvas.line([(u - half * 1.2, v), (u + half * 1.2, v)], half * 0.3, white, None, z)


def _print(
    canvas: Canvas, box: tuple[float, float, float, float], rng: Generator, light: float, label: int, z: float
) -> None:
    """Lines of writing and a picture on a board."""
    left, top, right, bottom = box
    colour = shade(material(rng), light)
    rows = int(rng.integers(2, 5))
    for k in range(rows):
        v = top + (bottom - top) * (k + 0.5) / rows
        end = left + (right - left) * rng.uniform(0.5, 0.9)
        canvas.line([(left + (right - left) * 0.1, v), (end, v)], (bottom - top) * 0.3 / rows, colour, label, z)


def _metal(rng: Generator, light: float) -> Colour:
    return shade(tint(_METALS[int(rng.integers(len(_METALS)))], rng, 10), light)


def _box(left: float, top: float, right: float, bottom: float) -> list[Point]:
    return [(left, top), (math.ceil(right), top), (math.ceil(right), bottom), (left, bottom)]
