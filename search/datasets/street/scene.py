"""One street scene from one random generator: the plan, what stands where, and the painting from far to near."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from search.datasets.street import facade, furniture, plants
from search.datasets.street.canvas import BUILDING, FENCE, Camera, Canvas
from search.datasets.street.ground import Street, paint_ground, surface
from search.datasets.street.light import Weather, developed, paint_sky, weather
from search.datasets.street.placing import things

_HOUSE_DEPTH_M = 14.0


def render(rng: Generator, size_hw: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paint one scene: image (H, W, 3) RGB and label (H, W), 0..10 in CamVid's order, 255 where no class fits."""
    canvas = Canvas(_camera(rng, size_hw))
    sky, street = weather(rng), _street(rng)
    paint_sky(canvas, sky, rng)
    _backdrop(canvas, street, sky, rng)
    paint_ground(canvas, street, surface(rng), rng)
    _both_sides(canvas, street, sky, rng)
    for z, paint in things(street, rng):
        paint(canvas, z, rng, sky.front_light * rng.uniform(0.8, 1.1))
    return developed(canvas, sky, rng), np.array(canvas.label)


def _camera(rng: Generator, size_hw: tuple[int, int]) -> Camera:
    height, width = size_hw
    return Camera(
        height_px=height,
        width_px=width,
        focal_px=width * rng.uniform(0.75, 1.0),
        horizon_px=height * rng.uniform(0.4, 0.52),
        centre_px=width * rng.uniform(0.36, 0.64),
        height_m=rng.uniform(1.35, 2.1),
    )


def _street(rng: Generator) -> Street:
    left, right = -rng.uniform(2.2, 5.5), rng.uniform(2.2, 5.5)
    walks = rng.uniform(2.0, 5.0, 2)
    crossing = rng.uniform(10, 40)
    length = rng.uniform(6, 10) if rng.random() < 0.4 else 0.0
    shade = (0.0, 0.0)
    if rng.random() < 0.5:  # the houses of one side throw their shadow on the ground
        edge = rng.uniform(-2, 3)
        shade = (left - 5, edge) if rng.random() < 0.5 else (edge, right + 5)
    return Street(
        road_m=(left, right),
        walk_m=(left - walks[0], right + walks[1]),
        crossing_m=(crossing, crossing + length),
        end_m=rng.uniform(45, 130),
        grass=(bool(rng.random() < 0.35), bool(rng.random() < 0.35)),
        shadow_m=shade,
        shadow_light=rng.uniform(0.5, 0.75),
    )


def _backdrop(canvas: Canvas, street: Street, sky: Weather, rng: Generator) -> None:
    """What closes the view: houses and trees far away, across the street."""
    x = -90.0
    while x < 90:
        width = rng.uniform(6, 22)
        z = street.end_m * rng.uniform(1.0, 1.5)
        draw = rng.random()
        if draw < 0.45:
            tall = rng.uniform(6, 18)
            own = facade.house(rng, tall)
            facade.paint_across(canvas, own, (x, x + width), z, (0, tall), BUILDING, sky.front_light)
        elif draw < 0.85:
            plants.paint_foliage(canvas, (x - 2, x + width), (-1, rng.uniform(5, 14)), z, rng, sky.front_light)
        x += width * rng.uniform(0.7, 1.1)


@dataclass(frozen=True, slots=True)
class _Plot:
    """A piece of one side of the street, from z to z."""

    side: int  # 0 left, 1 right
    z_m: tuple[float, float]


def _plots(street: Street, rng: Generator) -> list[_Plot]:
    """The plots of both sides, far ones first; none on a side street."""
    found = []
    for side in range(2):
        z = 1.3
        while z < street.end_m:
            end = z + rng.uniform(5, 15) * (1 + z / 80)  # far ones are small anyway
            if z < street.crossing_m[0] < end:
                end = street.crossing_m[0]
            if street.on_crossing(z + 0.1):
                z = street.crossing_m[1]
                continue
            if end - z > 1.0:
                found.append(_Plot(side, (z, end)))
            z = end
    return sorted(found, key=lambda plot: -plot.z_m[0])


def _both_sides(canvas: Canvas, street: Street, sky: Weather, rng: Generator) -> None:
    """Houses at the pavement, houses behind a front garden, and parks, from far to near."""
    urban = rng.uniform(0.3, 0.85)
    for plot in _plots(street, rng):
        edge = street.walk_m[plot.side]
        light = sky.side_light[plot.side]
        draw = rng.random()
        if draw < urban * 0.7:
            _house(canvas, plot, edge, light, sky.front_light, rng)
            continue
        behind = 1 if plot.side else -1
        if draw < 0.75:
            _house(canvas, plot, edge + behind * rng.uniform(2, 6), light, sky.front_light, rng)
            trees = int(rng.integers(0, 2))
        else:
            trees = int(rng.integers(1, 5))
        _greenery(canvas, plot, edge, behind, trees, sky.front_light, rng)
        _boundary(canvas, plot, edge, light, rng)


def _house(canvas: Canvas, plot: _Plot, x: float, light: float, front_light: float, rng: Generator) -> None:
    tall = rng.uniform(5, 15)
    own = facade.house(rng, tall)
    near, far = plot.z_m
    outer = x + (_HOUSE_DEPTH_M if plot.side else -_HOUSE_DEPTH_M)
    if near > 1.5:  # the gable that faces the camera shows where the neighbour is lower or absent
        blind = facade.wall(rng) if rng.random() < 0.4 else own
        facade.paint_across(canvas, blind, (min(x, outer), max(x, outer)), near, (0, tall), BUILDING, front_light)
    facade.paint_along(canvas, own, x, (near, far), (0, tall), BUILDING, light)
    for _ in range(int(rng.integers(0, 3))):
        z = rng.uniform(max(near, 2.5), max(far - 2, near + 0.1, 2.6))
        if rng.random() < 0.7:
            furniture.paint_poster(canvas, x, z, rng, light)
        elif z > 5:
            furniture.paint_shop_sign(canvas, x, z, rng, front_light)


def _greenery(canvas: Canvas, plot: _Plot, edge: float, behind: int, trees: int, light: float, rng: Generator) -> None:
    places = sorted((rng.uniform(*plot.z_m) for _ in range(trees)), reverse=True)
    for z in places:
        if z > 3:
            plants.paint_tree(canvas, edge + behind * rng.uniform(1.5, 7), z, rng.uniform(4, 11), rng, light)
    if rng.random() < 0.5 and plot.z_m[0] > 3:
        plants.paint_bush(canvas, edge + behind * rng.uniform(0.8, 2), plot.z_m[0] + 0.5, rng, light)


def _boundary(canvas: Canvas, plot: _Plot, x: float, light: float, rng: Generator) -> None:
    """What stands at the pavement's edge where no house does: wall, boards, railings or a hedge."""
    draw, near, far = rng.random(), *plot.z_m
    if draw < 0.1:
        return
    if draw < 0.25:  # a hedge
        z = far
        while z > max(near, 3):
            plants.paint_foliage(canvas, (x - 0.9, x + 0.9), (-0.3, rng.uniform(1.0, 1.7)), z, rng, light)
            z -= 1.0
        return
    bars = draw > 0.72
    own = facade.wall(rng, "plaster" if bars else None)
    facade.paint_along(canvas, own, x, (near, far), (0, rng.uniform(0.9, 2.3)), FENCE, light, bars)
