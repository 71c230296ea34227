"""What stands in a street and where: vehicles, people, and the furniture of the pavements."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from search.datasets.street import facade, furniture, people, plants, vehicles
from search.datasets.street.canvas import FENCE, Canvas
from search.datasets.street.ground import Street

Paint = Callable[[Canvas, float, Generator, float], None]  # at distance z, in so much light
PaintAt = Callable[[Canvas, float, float, Generator, float], None]  # at (x, z)
Things = list[tuple[float, Paint]]  # by distance

_NEAREST_M, _FARTHEST_M = 5.5, 50.0  # of people and furniture


def things(street: Street, rng: Generator) -> Things:
    """Everything that stands on road and pavements, far things first."""
    found = _parked(street, rng) + _traffic(street, rng) + _walkers(street, rng) + _furniture(street, rng)
    return sorted(found, key=lambda thing: -thing[0])


def _parked(street: Street, rng: Generator) -> Things:
    """Rows of vehicles at the kerb."""
    found: Things = []
    for side in range(2):
        if rng.random() < 0.45:
            continue
        x = street.road_m[side] + (-1.05 if side else 1.05)
        z = rng.uniform(3, 20)
        while z < 60:
            own = vehicles.vehicle(rng)
            if abs(x) > 1.6 and not street.on_crossing(z) and not street.on_crossing(z + own.size_m[0]):
                found.append((z, _vehicle_at(own, x)))
            z += own.size_m[0] + rng.uniform(0.8, 9)
    return found


def _traffic(street: Street, rng: Generator) -> Things:
    """Vehicles that drive along and across, and cyclists among them."""
    found: Things = []
    middle = sum(street.road_m) / 2
    for _ in range(int(rng.integers(0, 4))):
        lane = middle + rng.choice([-1, 1]) * (street.road_m[1] - street.road_m[0]) * 0.22
        found.append((rng.uniform(8, 55), _vehicle_at(vehicles.vehicle(rng), lane)))
    if street.crossing_m[1] > street.crossing_m[0] and rng.random() < 0.6:
        own, x = vehicles.vehicle(rng), rng.uniform(-14, 10)
        z = street.crossing_m[0] + rng.uniform(1, 3)
        found.append((z, lambda c, z, r, light: vehicles.paint_crossing_vehicle(c, own, x, z, r, light)))
    for _ in range(int(rng.integers(1, 5))):
        on_road = rng.random() < 0.85
        low, high = street.road_m if on_road else street.walk_m
        found.append((_distance(rng), _at(people.paint_bicyclist, rng.uniform(low + 0.4, high - 0.4))))
    return found


def _walkers(street: Street, rng: Generator) -> Things:
    """People on the pavements, alone and in groups, and a few on the road."""
    found: Things = []
    for _ in range(int(rng.integers(3, 10))):
        z, x = _distance(rng), _on_walk(street, rng)
        if rng.random() < 0.15:
            x = rng.uniform(*street.road_m)
        for _ in range(int(rng.choice([1, 2, 3], p=[0.65, 0.25, 0.1]))):
            found.append((z + rng.uniform(0, 1), _at(people.paint_pedestrian, x + rng.normal(0, 0.5))))
    return found


def _furniture(street: Street, rng: Generator) -> Things:
    """Lamps, signs, bollards and street trees on the pavements, railings at the kerb."""
    found: Things = []
    spacing, z = rng.uniform(9, 24), rng.uniform(4, 12)
    while z < 80:
        for side in range(2):
            if rng.random() < 0.7 and not street.on_crossing(z):
                found.append((z, _at(furniture.paint_lamp, _kerb(street, side, 0.4))))
        z += spacing
    counts: tuple[tuple[PaintAt, int, int], ...] = (
        (furniture.paint_sign, 2, 6),
        (furniture.paint_billboard, 0, 2),
        (furniture.paint_bollard, 0, 5),
        (furniture.paint_bin, 0, 2),
        (plants.paint_bush, 0, 2),
    )
    for paint, low, high in counts:
        for _ in range(int(rng.integers(low, high + 1))):
            found.append((_distance(rng), _at(paint, _kerb(street, int(rng.integers(2)), rng.uniform(0.3, 1.2)))))
    if rng.random() < 0.35:
        for z in np.arange(rng.uniform(6, 12), 60, rng.uniform(7, 14)):
            found.append((float(z), _tree_at(_kerb(street, int(rng.integers(2)), 0.8), rng.uniform(4, 8))))
    if street.crossing_m[1] > street.crossing_m[0]:
        for side in range(2):
            if rng.random() < 0.6:
                found.append((street.crossing_m[0] - 1, _at(furniture.paint_traffic_light, _kerb(street, side, 0.4))))
    if rng.random() < 0.4:
        found.append(_guard_rail(street, rng))
    return found


def _guard_rail(street: Street, rng: Generator) -> tuple[float, Paint]:
    """Railings between road and pavement; sorted by their middle."""
    near = rng.uniform(5, 25)
    far = min(near + rng.uniform(6, 14), max(near + 2, street.crossing_m[0] if near < street.crossing_m[0] else 90))
    x = _kerb(street, int(rng.integers(2)), 0.25)
    own = facade.wall(rng, "plaster")

    def paint(canvas: Canvas, z: float, rng: Generator, light: float) -> None:
        facade.paint_along(canvas, own, x, (near, far), (0.0, 1.05), FENCE, light, bars=True)

    return (near + far) / 2, paint


def _distance(rng: Generator) -> float:
    """Nearer ones are more frequent, or most would be specks."""
    return float(_NEAREST_M + (_FARTHEST_M - _NEAREST_M) * rng.random() ** 2.0)


def _on_walk(street: Street, rng: Generator) -> float:
    side = int(rng.integers(2))
    low, high = sorted((street.road_m[side], street.walk_m[side]))
    return float(rng.uniform(low + 0.3, high - 0.3))


def _kerb(street: Street, side: int, behind_m: float) -> float:
    """x of a place on the pavement, so far behind the kerb."""
    return street.road_m[side] + (behind_m if side else -behind_m)


def _at(paint: PaintAt, x: float) -> Paint:
    return lambda canvas, z, rng, light: paint(canvas, x, z, rng, light)


def _vehicle_at(own: vehicles.Vehicle, x: float) -> Paint:
    return lambda canvas, z, rng, light: vehicles.paint_vehicle(canvas, own, x, z, rng, light)


def _tree_at(x: float, tall_m: float) -> Paint:
    return lambda canvas, z, rng, light: plants.paint_tree(canvas, x, z, tall_m, rng, light)
