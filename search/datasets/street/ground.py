"""The ground: road, kerb, pavement, verge and side streets, of surfaces that look alike on purpose.

Road and pavement take their colours from one range; the kerb, the slabs and the paint between them tell them apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image

from search.datasets.street.canvas import FAR_M, PAVEMENT, ROAD, TREE, Canvas, Colour, Floats, depth_codes
from search.datasets.street.texture import noise_table, tint


@dataclass(frozen=True, slots=True)
class Street:
    """The plan of a street that runs straight ahead; x in metres from the camera, right positive."""

    road_m: tuple[float, float]  # left and right kerb
    walk_m: tuple[float, float]  # far edges of the pavements
    crossing_m: tuple[float, float]  # a side street from z to z, empty when both are equal
    end_m: float  # where the street ends at a building or trees
    grass: tuple[bool, bool]  # whether the ground behind each pavement is grass
    shadow_m: tuple[float, float]  # ground from x to x in the shade of houses, empty when both are equal
    shadow_light: float

    def on_crossing(self, z: float) -> bool:
        """Whether z lies on the side street."""
        return self.crossing_m[0] < z < self.crossing_m[1]


@dataclass(frozen=True, slots=True)
class Surface:
    """How the ground is made: colours, joints and marks."""

    road: Colour
    walk: Colour
    kerb: Colour
    grass: Colour
    slab_m: float  # 0 for a pavement of asphalt
    cobbles: bool
    dash_m: tuple[float, float]  # length and period of the centre line
    side_line: int  # 0 none, 1 one, 2 a double one
    zebra_m: float  # where a zebra crossing begins, 0 for none
    patches: bool


def surface(rng: Generator) -> Surface:
    """Draw a surface; road and pavement differ by less than either varies from scene to scene."""
    grey = int(rng.uniform(78, 150))
    road = tint((grey, grey, grey + 2), rng, 5)
    walk = tint((grey + 6, grey + 3, grey), rng, 15)
    return Surface(
        road=road,
        walk=walk,
        kerb=tint((grey + 34, grey + 33, grey + 30), rng, 10),
        grass=tint((92, 104, 58), rng, 14),
        slab_m=float(rng.choice([0.0, 0.6, 0.9], p=[0.35, 0.35, 0.3])),
        cobbles=bool(rng.random() < 0.12),
        dash_m=(rng.uniform(1.5, 3), rng.uniform(4, 8)),
        side_line=int(rng.integers(3)),
        zebra_m=float(rng.uniform(7, 25)) if rng.random() < 0.3 else 0.0,
        patches=bool(rng.random() < 0.6),
    )


def paint_ground(canvas: Canvas, street: Street, own: Surface, rng: Generator) -> None:
    """Paint everything below the horizon."""
    camera = canvas.camera
    top = int(np.ceil(camera.horizon_px + 1))
    rows = np.arange(top, camera.height_px, dtype=np.float32)[:, None] + np.float32(0.5 - camera.horizon_px)
    columns = np.arange(camera.width_px, dtype=np.float32) + np.float32(0.5 - camera.centre_px)
    z = np.float32(camera.focal_px * camera.height_m) / rows  # (h, 1)
    metre = z / np.float32(camera.focal_px)  # width of a pixel
    x = columns * metre  # (h, w)
    side_street = (z > street.crossing_m[0]) & (z < street.crossing_m[1])
    road = ((x > street.road_m[0]) & (x < street.road_m[1])) | side_street
    walk = ~road & (x > street.walk_m[0]) & (x < street.walk_m[1])
    label = np.where(road, ROAD, PAVEMENT).astype(np.uint8)
    rgb = np.empty((*x.shape, 3), np.float32)
    rgb[:] = own.walk
    rgb[road] = own.road
    tone = _grain(x, z, metre, rng)
    tone[road] *= 0.75
    if own.slab_m:
        _joints(tone, ~road, x, z, metre, own.slab_m, 0.1)
    if own.cobbles:
        _joints(tone, road, x, z, metre, 0.45, 0.16)
    for side in range(2):
        if street.grass[side]:
            behind = ~road & ((x < street.walk_m[0]) if side == 0 else (x > street.walk_m[1]))
            rgb[behind] = own.grass
            label[behind] = TREE
    if own.patches:
        _patches(tone, road | walk, x, z, rng)
    _kerbs(rgb, tone, x, z, metre, street, own)
    _marks(rgb, x, z, metre, street, own)
    if street.shadow_m[1] > street.shadow_m[0]:
        ragged = np.sin(z * np.float32(0.9)) * np.float32(0.5)
        tone[(x > street.shadow_m[0] + ragged) & (x < street.shadow_m[1] + ragged)] *= street.shadow_light
    rgb *= tone[..., None]
    mask = np.ones(x.shape, bool)
    canvas.paste(np.clip(rgb, 0, 255).astype(np.uint8), mask, (0, top), None, 0.0)
    _set_labels(canvas, label, np.minimum(z, np.float32(FAR_M)), top)


def _set_labels(canvas: Canvas, label: np.ndarray, z: Floats, top: int) -> None:
    canvas.label.paste(Image.fromarray(label), (0, top))
    codes = np.broadcast_to(depth_codes(z), label.shape)
    canvas.depth.paste(Image.fromarray(np.ascontiguousarray(codes)), (0, top))


def _grain(x: Floats, z: Floats, metre: Floats, rng: Generator) -> Floats:
    """Brightness (h, w) of worn ground: coarse stains and fine grain that fades with distance."""
    noise = noise_table()
    shift = int(rng.integers(512))
    coarse = noise[(z * 14 + shift).astype(np.int32) & 511, (x * 14 + shift).astype(np.int32) & 511]
    fine = noise[(z * 130).astype(np.int32) & 511, (x * 130).astype(np.int32) & 511]
    fade = np.clip(np.float32(0.12) - metre * np.float32(1.2), 0, 0.12).astype(np.float32)
    tone = (coarse.astype(np.float32) - 128) * np.float32(0.0011)
    tone += (fine.astype(np.float32) - 128) * np.float32(1 / 128) * fade
    return tone + np.float32(1)


def _joints(tone: Floats, where: np.ndarray, x: Floats, z: Floats, metre: Floats, pitch_m: float, depth: float) -> None:
    """Darken the joints of slabs or cobbles, in place."""
    fade = np.clip(np.float32(1.6) - metre * np.float32(2.4 / pitch_m), 0, 1).astype(np.float32)
    row = z / np.float32(pitch_m)
    column = x / np.float32(pitch_m) + (row.astype(np.int32) & 1) * np.float32(0.5)
    joint = ((column % 1) < 0.1) | ((row % 1) < 0.12)
    tone -= (joint & where) * (np.float32(2 * depth) * fade)
    slab = noise_table()[(row.astype(np.int32) * 37) & 511, (column.astype(np.int32) * 53) & 511]
    tone += where * ((slab.astype(np.float32) - 128) * np.float32(depth / 128) * fade)


def _patches(tone: Floats, where: np.ndarray, x: Floats, z: Floats, rng: Generator) -> None:
    """Repairs: darker or lighter rectangles on road and pavement alike, in place."""
    for _ in range(int(rng.integers(1, 5))):
        x_m, z_m = rng.uniform(-6, 6), rng.uniform(4, 25)
        half_x, half_z = rng.uniform(0.3, 1.6), rng.uniform(0.4, 3)
        inside = (np.abs(x - np.float32(x_m)) < half_x) & (np.abs(z - np.float32(z_m)) < half_z) & where
        tone[inside] *= rng.uniform(0.78, 1.16)


def _kerbs(rgb: Floats, tone: Floats, x: Floats, z: Floats, metre: Floats, street: Street, own: Surface) -> None:
    """A thin light stone along the edge of the pavement with a dark gutter on the road's side, in place."""
    off = (z < street.crossing_m[0]) | (z > street.crossing_m[1])
    for side, kerb_m in ((-1, street.road_m[0]), (1, street.road_m[1])):
        beyond = (x - np.float32(kerb_m)) * side  # positive on the pavement
        stone = (beyond >= 0) & (beyond < np.maximum(np.float32(0.16), metre)) & off
        gutter = (beyond < 0) & (beyond > -np.maximum(np.float32(0.12), metre)) & off
        rgb[stone] = own.kerb
        tone[gutter] *= 0.8


def _marks(rgb: Floats, x: Floats, z: Floats, metre: Floats, street: Street, own: Surface) -> None:
    """Centre dashes, lines along the kerb and a zebra crossing, in place; all of it is road."""
    left, right = street.road_m
    off = (z < street.crossing_m[0]) | (z > street.crossing_m[1])
    half = np.maximum(np.float32(0.07), metre * np.float32(0.5))
    paint = np.float32(205)
    length, period = own.dash_m
    rgb[(np.abs(x - np.float32((left + right) / 2)) < half) & ((z % np.float32(period)) < length) & off] = paint
    for n in range(own.side_line):
        away = np.float32(0.35 + 0.28 * n)
        for line in (left + away, right - away):
            rgb[(np.abs(x - line) < half * np.float32(0.8)) & off] = (198, 168, 80)
    if own.zebra_m:
        there = (z > own.zebra_m) & (z < own.zebra_m + 2.6) & (x > left + 0.3) & (x < right - 0.3)
        rgb[there & ((x % np.float32(1.0)) < 0.5)] = paint
