"""Upright surfaces: what a wall, a house front, a hoarding or a row of railings looks like at each point of it.

Houses and fences are made of the same materials on purpose. What makes a house is its height and its windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from search.datasets.street.canvas import Camera, Canvas, Floats
from search.datasets.street.texture import material, noise_table, shade, tint, tints, wall_material

_TABLE = 32  # side of the table that gives every brick and window its own look
# Rows of the palette.
_BASE, _JOINT, _FRAME, _FASCIA, _DOOR, _ROOF, _PIPE = range(7)
_PANES = 7  # first of the window panes
_PANE_KINDS = 9
_WARES = _PANES + _PANE_KINDS  # first of what lies in shop windows

STRUCTURES = ("brick", "blocks", "boards", "plaster", "corrugated", "ivy")
_HOUSE_SHARES = np.cumsum([0.3, 0.14, 0.14, 0.26, 0.06, 0.1])
_WALL_SHARES = np.cumsum([0.36, 0.12, 0.24, 0.1, 0.12, 0.06])


@dataclass(frozen=True, slots=True)
class Facade:
    """The look of one surface: its structure, and windows and a ground floor where it is a house."""

    structure: str
    palette: NDArray[np.uint8]  # (25, 3)
    table: NDArray[np.uint8]  # (32, 32), one number for each brick or window
    window_m: tuple[float, float] | None  # distance between windows, along and up
    window_share: tuple[float, float]  # of that distance
    ground_floor_m: float
    shop: bool
    pipe_every_m: float
    eaves_m: float  # roof above it
    grime: float


def house(rng: Generator, height_m: float) -> Facade:
    """A house front with windows."""
    shop = bool(rng.random() < 0.5)
    glass = rng.random() < 0.12
    share = (0.92, 0.86) if glass else (rng.uniform(0.3, 0.6), rng.uniform(0.4, 0.65))
    pitch = (rng.uniform(1.6, 3.6), rng.uniform(2.6, 3.6))
    return Facade(
        structure=_pick(rng, _HOUSE_SHARES),
        palette=_palette(rng),
        table=rng.integers(0, 256, (_TABLE, _TABLE), dtype=np.uint8),
        window_m=pitch,
        window_share=share,
        ground_floor_m=rng.uniform(2.8, 4.0),
        shop=shop,
        pipe_every_m=rng.uniform(5, 12),
        eaves_m=height_m - rng.uniform(0.2, 2.0),
        grime=rng.uniform(0.1, 0.45),
    )


def wall(rng: Generator, structure: str | None = None) -> Facade:
    """A surface of the same materials without windows: fences, hoardings, blind walls."""
    return Facade(
        structure=structure or _pick(rng, _WALL_SHARES),
        palette=_palette(rng),
        table=rng.integers(0, 256, (_TABLE, _TABLE), dtype=np.uint8),
        window_m=None,
        window_share=(0.0, 0.0),
        ground_floor_m=0.0,
        shop=False,
        pipe_every_m=0.0,
        eaves_m=1e3,
        grime=rng.uniform(0.1, 0.45),
    )


def _pick(rng: Generator, shares: NDArray[np.float64]) -> str:
    return STRUCTURES[int(np.searchsorted(shares[:-1], rng.random()))]


def paint_along(
    canvas: Canvas, facade: Facade, x_m: float, z_m: tuple[float, float], y_m: tuple[float, float], label: int,
    light: float, bars: bool = False,
) -> None:  # fmt: skip
    """Paint a surface that runs along the street at x_m, from z_m[0] to z_m[1], from y_m[0] up to y_m[1].

    With bars only the uprights and rails are painted, while the label covers the whole surface.
    """
    camera = canvas.camera
    ends = sorted(camera.centre_px + camera.focal_px * x_m / z for z in (max(z_m[0], 1.0), z_m[1]))
    left, right = max(0, int(np.ceil(ends[0]))), min(camera.width_px, int(np.floor(ends[1])) + 1)
    if right <= left:
        return
    columns = np.arange(left, right, dtype=np.float32) + np.float32(0.5) - np.float32(camera.centre_px)
    columns = np.where(np.abs(columns) < 0.5, np.float32(0.5), columns)
    z = np.clip(np.float32(camera.focal_px * x_m) / columns, z_m[0], z_m[1]).astype(np.float32)
    # A wall seen at a slant: one pixel covers more of its length than of its height.
    _paint(canvas, facade, left, z, z, np.abs(z * z / np.float32(camera.focal_px * x_m)), y_m, label, light, bars)


def paint_across(
    canvas: Canvas, facade: Facade, x_m: tuple[float, float], z_m: float, y_m: tuple[float, float], label: int,
    light: float, bars: bool = False,
) -> None:  # fmt: skip
    """Paint a surface that faces the camera at distance z_m, from x_m[0] to x_m[1]."""
    camera = canvas.camera
    ends = [camera.centre_px + camera.focal_px * x / z_m for x in sorted(x_m)]
    left, right = max(0, int(np.ceil(ends[0]))), min(camera.width_px, int(np.floor(ends[1])) + 1)
    if right <= left:
        return
    columns = np.arange(left, right, dtype=np.float32) + np.float32(0.5 - camera.centre_px)
    metre = np.float32(z_m / camera.focal_px)
    z = np.full(columns.shape, z_m, np.float32)
    _paint(
        canvas, facade, left, z, columns * metre - np.float32(x_m[0]), np.full_like(z, metre), y_m, label, light, bars
    )


def _paint(
    canvas: Canvas, facade: Facade, left: int, z: Floats, along: Floats, metre_along: Floats,
    y_m: tuple[float, float], label: int, light: float, bars: bool,
) -> None:  # fmt: skip
    """Paint the columns from `left` on: their distance z, place along the surface and metres a pixel, each (w,)."""
    camera: Camera = canvas.camera
    scale = np.float32(camera.focal_px) / z  # (w,) pixels a metre
    tops = np.float32(camera.horizon_px) + np.float32(camera.height_m - y_m[1]) * scale
    bottoms = np.float32(camera.horizon_px) + np.float32(camera.height_m - y_m[0]) * scale
    top = max(0, int(np.floor(tops.min())))
    bottom = min(camera.height_px, int(np.ceil(bottoms.max())) + 1)
    if bottom <= top:
        return
    rows = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5)
    mask = (rows >= tops) & (rows <= bottoms)
    height = (np.float32(camera.horizon_px) - rows) / scale + np.float32(camera.height_m)  # (h, w) metres
    colours = _colours(facade, along, height, metre_along, np.float32(1) / scale, light)
    painted = mask & _bars(along, height, y_m, metre_along) if bars else None
    canvas.paste(colours, mask, (left, top), label, z, painted)


def _bars(along: Floats, height: Floats, y_m: tuple[float, float], metre: Floats) -> NDArray[np.bool_]:
    """Uprights every 0.3 m, and two rails; where a pixel covers several uprights it shows one now and then."""
    pitch = np.maximum(np.float32(0.3), 2.5 * metre)
    upright = (along / pitch) % 1 < 0.36
    share = (height - np.float32(y_m[0])) / np.float32(y_m[1] - y_m[0])
    return upright | (np.abs(share - 0.93) < 0.05) | (np.abs(share - 0.12) < 0.05)


def _colours(
    facade: Facade, along: Floats, height: Floats, metre_along: Floats, metre_up: Floats, light: float
) -> NDArray[np.uint8]:
    """The colour of each point: along (w,) and height (h, w) in metres to (h, w, 3)."""
    index, tone = _structure(facade, along, height, metre_along, metre_up)
    if facade.window_m is not None:
        _windows(facade, along, height, index, tone)
    noise = noise_table()
    grime = noise[(height * 24).astype(np.int32) & 511, (along * 24).astype(np.int32) & 511]
    tone = tone + (grime.astype(np.float32) * np.float32(1 / 255) - np.float32(0.5)) * np.float32(facade.grime)
    rgb = facade.palette.astype(np.float32)[index] * (tone * np.float32(light))[..., None]
    return np.clip(rgb, 0, 255, out=rgb).astype(np.uint8)


def _structure(
    facade: Facade, along: Floats, height: Floats, metre_along: Floats, metre_up: Floats
) -> tuple[NDArray[np.uint8], Floats]:
    """Palette rows (h, w) and brightness (h, w) of the bare surface; detail finer than two pixels fades away."""
    index = np.zeros(height.shape, np.uint8)
    tone = np.ones(height.shape, np.float32)
    kind = facade.structure
    if kind in ("brick", "blocks"):
        up_m, along_m = (0.26, 0.56) if kind == "brick" else (0.6, 1.1)
        row = height / np.float32(up_m)
        row_number = row.astype(np.int32)
        column = along / np.float32(along_m) + (row_number & 1) * np.float32(0.5)
        column_number = column.astype(np.int32)
        own = facade.table[row_number & 31, column_number & 31].astype(np.float32)
        fade = _fade(metre_along, along_m) * _fade(metre_up, up_m)
        tone += (own * np.float32(1 / 255) - np.float32(0.5)) * np.float32(0.34) * fade
        joint = ((row - row_number) < 0.2) | ((column - column_number) < 0.1)
        index[joint & (fade > 0.3)] = _JOINT
    elif kind == "boards":
        place = along / np.float32(0.34)
        fade = _fade(metre_along, 0.34)
        own = facade.table[5, place.astype(np.int32) & 31].astype(np.float32)
        tone += (own * np.float32(1 / 255) - np.float32(0.5)) * np.float32(0.3) * fade
        tone -= ((place % 1) < 0.16) * np.float32(0.45) * fade
    elif kind == "corrugated":
        tone += np.sin(along * np.float32(2 * np.pi / 0.5)) * np.float32(0.22) * _fade(metre_along, 0.5)
    elif kind == "ivy":
        leaf = noise_table()[(height * 60).astype(np.int32) & 511, (along * 60).astype(np.int32) & 511]
        index[leaf > 70] = _PIPE
        tone += (leaf.astype(np.float32) - 128) * np.float32(0.0035)
    return index, tone


def _windows(facade: Facade, along: Floats, height: Floats, index: NDArray[np.uint8], tone: Floats) -> None:
    """Put windows, a ground floor, drain pipes and the roof over the bare surface, in place."""
    assert facade.window_m is not None
    pitch_along, pitch_up = (np.float32(m) for m in facade.window_m)
    upper = height > facade.ground_floor_m
    column = along / pitch_along
    row = (height - np.float32(facade.ground_floor_m)) / pitch_up
    column_number, row_number = column.astype(np.int32), np.maximum(row, 0).astype(np.int32)
    half_along, half_up = (np.float32(s / 2) for s in facade.window_share)
    beside = np.abs(column - column_number - np.float32(0.5))  # (w,)
    above = np.abs(row - row_number - np.float32(0.5))
    outer = (beside < half_along + 0.05) & (above < half_up + 0.04) & upper
    inner = (beside < half_along) & (above < half_up) & upper
    index[outer] = _FRAME
    pane = facade.table[row_number & 31, column_number & 31] % np.uint8(_PANE_KINDS) + np.uint8(_PANES)
    index[inner] = pane[inner]
    ground = ~upper
    if facade.shop:
        front = (
            ground & (height > 0.5) & (height < facade.ground_floor_m - 0.9) & ((along / np.float32(2.4)) % 1 > 0.12)
        )
        wares = facade.table[(height * 3).astype(np.int32) & 31, (along * 2.5).astype(np.int32) & 31]
        index[front] = (wares % np.uint8(_PANE_KINDS) + np.uint8(_WARES))[front]
        index[ground & (height > facade.ground_floor_m - 0.8)] = _FASCIA
    else:
        low = ground & (height > 1.0) & (height < facade.ground_floor_m - 0.6) & (beside < half_along)
        index[low] = pane[low]
    door = ground & (height < 2.2) & ((along / np.float32(6.5)) % 1 < 0.16)
    index[door] = _DOOR
    index[np.broadcast_to((along / np.float32(facade.pipe_every_m)) % 1 < 0.018, height.shape) & (index == _BASE)] = (
        _PIPE
    )
    roof = height > facade.eaves_m
    index[roof] = _ROOF
    tone[roof] = 0.9


def _fade(metre: Floats, period_m: float) -> Floats:
    """How much of a pattern is left when a pixel is `metre` wide: all, down to nothing at half its period."""
    return np.clip(np.float32(1.6) - metre * np.float32(2.4 / period_m), 0, 1).astype(np.float32)


def _palette(rng: Generator) -> NDArray[np.uint8]:
    base, trim = wall_material(rng), wall_material(rng)
    leaf = tint((66, 84, 44), rng, 14)
    joint = shade(base, rng.uniform(0.6, 1.3))
    roof = tint((86, 72, 70), rng, 20)
    rows = (base, joint, shade(trim, 1.2), material(rng), material(rng), roof, leaf)
    panes = tints(_PANES_OF[int(rng.integers(len(_PANES_OF)))], rng, 16)
    return np.concatenate([np.array(rows, np.uint8), panes, tints(_WARES_OF_ALL, rng, 16)])


# Nine panes to draw from: dark with some curtains, or the mirrored sky; and nine wares.
_PANES_OF = tuple(
    np.array(panes, np.uint8)
    for panes in (
        (*((34, 38, 44),) * 5, (120, 132, 144), (190, 184, 160), (70, 74, 80), (52, 58, 66)),
        (*((150, 164, 178),) * 4, (196, 206, 214), (60, 66, 74), (110, 120, 132), (168, 178, 188), (92, 100, 110)),
    )
)
_WARES_OF_ALL = np.array(
    (
        *((44, 46, 50),) * 3,
        (160, 60, 54),
        (200, 190, 160),
        (60, 90, 140),
        (90, 130, 90),
        (220, 214, 200),
        (180, 140, 70),
    ),
    np.uint8,
)
