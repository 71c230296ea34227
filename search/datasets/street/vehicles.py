"""Cars, vans and buses as boxes in perspective, in the same paint as houses and signs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from numpy.random import Generator

from search.datasets.street.canvas import CAR, Canvas, Colour, Point
from search.datasets.street.texture import material, shade, tint

_GLASS: Colour = (52, 60, 68)
_TYRE: Colour = (26, 26, 28)


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A box (length, width, height) on wheels, with a cabin set back from its ends."""

    size_m: tuple[float, float, float]
    waist_m: float  # height of the body below the cabin
    inset_m: tuple[float, float]  # of the cabin's roof from front and rear
    paint: Colour
    advert: bool


def vehicle(rng: Generator) -> Vehicle:
    """A car, a van or a bus."""
    draw = rng.random()
    paint = material(rng) if rng.random() < 0.7 else tint((186, 188, 190), rng, 20)
    if draw < 0.74:
        length, height = rng.uniform(3.6, 4.8), rng.uniform(1.38, 1.7)
        return Vehicle(
            (length, 1.75, height), 0.56 * height, (rng.uniform(1.0, 1.6), rng.uniform(0.2, 0.8)), paint, False
        )
    if draw < 0.92:
        return Vehicle((rng.uniform(4.6, 6), 1.95, rng.uniform(1.9, 2.5)), 1.1, (0.9, 0.05), paint, rng.random() < 0.4)
    return Vehicle((rng.uniform(8, 11), 2.5, rng.uniform(2.9, 4.2)), 1.3, (0.1, 0.05), paint, True)


def paint_vehicle(canvas: Canvas, own: Vehicle, x: float, z: float, rng: Generator, light: float) -> None:
    """A vehicle along the street, its near end's middle at (x, z)."""
    length, width, _ = own.size_m
    far = z + length
    left, right = x - width / 2, x + width / 2
    _shadow(canvas, (left, right), (z, far))
    side_x = left if left > 0 else right if right < 0 else None  # the flank that the camera sees
    if side_x is not None:
        _flank(canvas, own, side_x, z, far, rng, light * 0.82)
    _end(canvas, own, left, right, z, rng, light)


def paint_crossing_vehicle(canvas: Canvas, own: Vehicle, x: float, z: float, rng: Generator, light: float) -> None:
    """A vehicle that crosses the street, seen from its side, its left end at x."""
    length, _, height = own.size_m
    front, rear = own.inset_m if rng.random() < 0.5 else own.inset_m[::-1]
    _shadow(canvas, (x, x + length), (z, z + 1.7))

    def at(along: float, y: float) -> Point:
        return canvas.camera.project(x + along, y, z)

    canvas.polygon([at(0, 0.28), at(length, 0.28), at(length, own.waist_m), at(0, own.waist_m)],
                   shade(own.paint, light * 0.9), CAR, z)  # fmt: skip
    roof = [
        at(front * 0.4, own.waist_m),
        at(front, height),
        at(length - rear, height),
        at(length - rear * 0.3, own.waist_m),
    ]
    canvas.polygon(roof, shade(own.paint, light * 0.95), CAR, z)
    _panes_across(canvas, own, at, front, rear, light, z)
    for place in (0.2, 0.8):
        _wheel(canvas, x + place * length, z)


def _panes_across(
    canvas: Canvas, own: Vehicle, at: Callable[[float, float], Point], front: float, rear: float, light: float, z: float
) -> None:
    """Two dark panes between the pillars of a side."""
    length, _, height = own.size_m
    low, high = own.waist_m + 0.04, height - 0.14
    middle = (front + length - rear) / 2
    for start, end in ((front * 0.8, middle - 0.06), (middle + 0.06, length - rear * 0.7)):
        canvas.polygon([at(start, low), at(start + 0.15, high), at(end - 0.1, high), at(end, low)],
                       shade(_GLASS, light), CAR, z)  # fmt: skip


def _end(canvas: Canvas, own: Vehicle, left: float, right: float, z: float, rng: Generator, light: float) -> None:
    """The front or rear that faces the camera."""
    camera = canvas.camera
    height = own.size_m[2]
    for wheel in (left + 0.16, right - 0.16):
        u, v = camera.project(wheel, 0, z)
        half, up = camera.pixels(0.12, z), camera.pixels(0.4, z)
        canvas.polygon([(u - half, v), (u + half, v), (u + half, v - up), (u - half, v - up)], _TYRE, CAR, z)

    def quad(x0: float, y0: float, x1: float, y1: float, colour: Colour, slant: float = 0.0) -> None:
        points = [camera.project(x0, y0, z), camera.project(x1, y0, z), camera.project(x1 - slant, y1, z),
                  camera.project(x0 + slant, y1, z)]  # fmt: skip
        canvas.polygon(points, colour, CAR, z)

    quad(left, 0.26, right, own.waist_m, shade(own.paint, light))
    slant = 0.2 if height < 1.8 else 0.04
    quad(left + 0.03, own.waist_m, right - 0.03, height, shade(own.paint, light * 1.05), slant)
    quad(left + 0.14, own.waist_m + 0.03, right - 0.14, height - 0.12, shade(_GLASS, light), slant)
    lamp = (200, 40, 36) if rng.random() < 0.55 else (226, 222, 200)
    y0, y1 = own.waist_m - 0.28, own.waist_m - 0.1
    quad(left + 0.06, y0, left + 0.34, y1, lamp)
    quad(right - 0.34, y0, right - 0.06, y1, lamp)
    middle = (left + right) / 2
    quad(middle - 0.26, 0.42, middle + 0.26, 0.54, (214, 204, 120))
    quad(left + 0.02, 0.26, right - 0.02, 0.36, shade(own.paint, light * 0.55))


def _flank(canvas: Canvas, own: Vehicle, x: float, near: float, far: float, rng: Generator, light: float) -> None:
    """The long side, seen at a slant."""
    camera = canvas.camera
    _, _, height = own.size_m
    front, rear = own.inset_m

    def at(z: float, y: float) -> Point:
        return camera.project(x, y, z)

    body = [at(near, 0.28), at(far, 0.28), at(far, own.waist_m), at(near, own.waist_m)]
    canvas.polygon(body, shade(own.paint, light), CAR, near)
    inner = x * 0.97  # the cabin leans inwards
    roof = [camera.project(inner, height, near + rear), camera.project(inner, height, max(far - front, near + rear))]
    canvas.polygon([at(near + 0.1, own.waist_m), roof[0], roof[1], at(far - 0.3, own.waist_m)],
                   shade(own.paint, light * 1.05), CAR, near)  # fmt: skip
    low, high = own.waist_m + 0.05, height - 0.15
    panes = [
        at(near + rear + 0.1, low),
        at(near + rear + 0.2, high),
        at(far - front - 0.1, high),
        at(far - front * 0.6, low),
    ]
    canvas.polygon(panes, shade(_GLASS, light), CAR, near)
    if own.advert:
        start, end = near + 0.6, far - 1.2
        board = [at(start, 0.6), at(end, 0.6), at(end, own.waist_m), at(start, own.waist_m)]
        canvas.polygon(board, shade(material(rng), light), CAR, near)
    for place in (0.2, 0.8):
        _wheel(canvas, x, near + place * (far - near))


def _wheel(canvas: Canvas, x: float, z: float) -> None:
    u, v = canvas.camera.project(x, 0, z)
    half, up = canvas.camera.pixels(0.26, z), canvas.camera.pixels(0.62, z)
    canvas.ellipse((u - half, v - up, u + half, v), _TYRE, CAR, z)


def _shadow(canvas: Canvas, x_m: tuple[float, float], z_m: tuple[float, float]) -> None:
    """The dark ground below a vehicle, which stays road."""
    camera = canvas.camera
    corners = [(x_m[0], z_m[0]), (x_m[1], z_m[0]), (x_m[1], z_m[1]), (x_m[0], z_m[1])]
    canvas.polygon([camera.project(x, 0, z) for x, z in corners], (44, 44, 48), None, z_m[0])
