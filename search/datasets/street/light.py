"""The sky, and what air, light and the camera do to a finished picture: haze, shade, cast, blur and grain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import ImageFilter

from search.datasets.street.canvas import FAR_M, SKY, Canvas, Colour
from search.datasets.street.texture import grain_table, noise_patch, tint

_SKIES: tuple[tuple[Colour, Colour], ...] = (  # zenith, horizon
    ((112, 150, 200), (198, 212, 224)),
    ((168, 178, 190), (214, 216, 216)),
    ((226, 228, 230), (240, 240, 238)),  # overcast, burnt out
    ((128, 132, 138), (172, 172, 170)),
    ((90, 104, 128), (206, 184, 160)),  # low sun
)
_REFERENCE_WIDTH_PX = 384  # at which blur is given in pixels


@dataclass(frozen=True, slots=True)
class Weather:
    """Light and air of one scene; the factors multiply the brightness of what faces that way."""

    zenith: Colour
    horizon: Colour
    clouds: float
    side_light: tuple[float, float]  # of surfaces left and right of the street
    front_light: float
    visibility_m: float
    exposure: float


def weather(rng: Generator) -> Weather:
    """Draw the weather."""
    zenith, horizon = (tint(c, rng, 8) for c in _SKIES[int(rng.integers(len(_SKIES)))])
    bright, dark = rng.uniform(0.95, 1.2), rng.uniform(0.55, 0.9)
    return Weather(
        zenith=zenith,
        horizon=horizon,
        clouds=rng.uniform(0, 0.3),
        side_light=(bright, dark) if rng.random() < 0.5 else (dark, bright),
        front_light=rng.uniform(0.6, 1.1),
        visibility_m=rng.uniform(90, 350),
        exposure=rng.uniform(0.75, 1.3),
    )


def paint_sky(canvas: Canvas, own: Weather, rng: Generator) -> None:
    """A gradient with clouds over the whole picture; everything else is painted over it."""
    camera = canvas.camera
    share = np.clip(np.arange(camera.height_px, dtype=np.float32) / camera.horizon_px, 0, 1)[:, None, None]
    sky = (1 - share) * np.array(own.zenith, np.float32) + share * np.array(own.horizon, np.float32)
    cloud = noise_patch(rng, camera.height_px, camera.width_px, 3.0)[..., None]
    sky = sky + (cloud - np.float32(0.5)) * np.float32(220 * own.clouds)
    mask = np.ones((camera.height_px, camera.width_px), bool)
    canvas.paste(np.clip(sky, 0, 255).astype(np.uint8), mask, (0, 0), SKY, FAR_M)


def developed(canvas: Canvas, own: Weather, rng: Generator) -> NDArray[np.uint8]:
    """The picture as the camera gives it, (H, W, 3)."""
    camera = canvas.camera
    # Optics first: PIL blurs bytes quickly.
    blur_px = rng.uniform(0.35, 0.8) * camera.width_px / _REFERENCE_WIDTH_PX
    rgb = np.asarray(canvas.image.filter(ImageFilter.GaussianBlur(blur_px))).astype(np.float32)
    label = np.asarray(canvas.label)
    clear = np.exp(-canvas.distances() / np.float32(own.visibility_m))
    clear[label == SKY] = 1
    rgb *= clear[..., None]
    rgb += (1 - clear)[..., None] * np.array(own.horizon, np.float32)
    # Uneven light: broad shade of clouds and trees, darker towards the corners, a cast of colour.
    shade = noise_patch(rng, camera.height_px, camera.width_px, 5.0) * np.float32(rng.uniform(0.1, 0.3))
    across = np.linspace(-1, 1, camera.width_px, dtype=np.float32)
    down = np.linspace(-1, 1, camera.height_px, dtype=np.float32)[:, None]
    gain = np.float32(1.08) - shade + across * np.float32(rng.uniform(-0.15, 0.15))
    gain -= np.float32(rng.uniform(0.02, 0.12)) * (across * across + down * down)
    cast = np.clip(rng.normal(1, 0.04, 3), 0.88, 1.12) * own.exposure
    rgb *= gain[..., None] * cast.astype(np.float32)
    rgb += _grain(rng, rgb.shape) * np.float32(rng.uniform(2, 6))
    return np.clip(rgb, 0, 255, out=rgb).astype(np.uint8)


def _grain(rng: Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Sensor noise (H, W, 3) of deviation 1, cut from a table at a random place, repeated where it is too short."""
    table = grain_table().ravel()
    count = int(np.prod(shape))
    first = int(rng.integers(table.size))
    repeats = -(-(first + count) // table.size)
    source = np.tile(table, repeats) if repeats > 1 else table
    return source[first : first + count].reshape(shape)
