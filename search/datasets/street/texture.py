"""Noise and colours that everything in the street shares, so that no class has a colour of its own."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from search.datasets.street.canvas import Colour, Floats

_BANK_SIDE = 512
_BANK_SEED = 7  # the bank is part of the generator, like its constants: the same for every scene

# Materials that buildings, fences, vehicles, signs and clothes are all made of; houses and walls are painted in the
# loud ones less often.
_MUTED = 11  # the first ones
_LOUD_WALLS = 0.2
_MATERIALS: tuple[Colour, ...] = (
    (142, 78, 62),  # brick
    (168, 104, 80),
    (120, 92, 78),
    (186, 168, 140),  # sandstone
    (206, 198, 182),  # plaster
    (224, 220, 214),
    (150, 146, 142),  # concrete
    (112, 110, 112),
    (84, 84, 90),  # slate
    (58, 62, 70),
    (40, 42, 46),  # asphalt, black paint
    (92, 108, 84),  # green paint
    (70, 96, 130),  # blue paint
    (44, 62, 108),
    (150, 44, 42),  # red paint
    (176, 62, 50),
    (196, 158, 74),  # yellow
    (122, 84, 54),  # wood
    (152, 118, 84),
)


def material(rng: Generator) -> Colour:
    """A colour of the street, a little different every time."""
    return tint(_MATERIALS[int(rng.integers(len(_MATERIALS)))], rng, 14)


def wall_material(rng: Generator) -> Colour:
    """A colour of houses and walls."""
    if rng.random() < _LOUD_WALLS:
        return material(rng)
    return tint(_MATERIALS[int(rng.integers(_MUTED))], rng, 14)


def tint(colour: Colour, rng: Generator, spread: float) -> Colour:
    """The colour made lighter or darker and shifted in hue."""
    level, red, green, blue = rng.standard_normal(4).tolist()
    return (
        min(max(int(colour[0] + spread * (level + red / 3)), 0), 255),
        min(max(int(colour[1] + spread * (level + green / 3)), 0), 255),
        min(max(int(colour[2] + spread * (level + blue / 3)), 0), 255),
    )


def tints(colours: NDArray[np.uint8], rng: Generator, spread: float) -> NDArray[np.uint8]:
    """`tint` of many colours (n, 3) at once."""
    shift = rng.standard_normal((len(colours), 4))
    return np.clip(colours + spread * (shift[:, :1] + shift[:, 1:] / 3), 0, 255).astype(np.uint8)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour in more or less light."""
    red, green, blue = colour
    return min(int(red * factor), 255), min(int(green * factor), 255), min(int(blue * factor), 255)


@lru_cache(maxsize=1)
def _bank() -> NDArray[np.uint8]:
    """Tileable fractal noise (side, side): octaves of random grids, each half as strong and twice as fine."""
    rng = np.random.default_rng(_BANK_SEED)
    total = np.zeros((_BANK_SIDE, _BANK_SIDE), np.float32)
    for octave in range(2, 9):
        grid = rng.random((2**octave, 2**octave), dtype=np.float32)
        tiled = np.tile(grid, (3, 3))
        wide = Image.fromarray(tiled).resize((3 * _BANK_SIDE, 3 * _BANK_SIDE), Image.Resampling.BICUBIC)
        middle = np.asarray(wide)[_BANK_SIDE : 2 * _BANK_SIDE, _BANK_SIDE : 2 * _BANK_SIDE]
        total += (middle - 0.5) * 0.68**octave
    ranks = total.ravel().argsort().argsort().reshape(total.shape)  # equalised: uniform in 0..255
    return (ranks * (256 / ranks.size)).astype(np.uint8)


def noise_table() -> NDArray[np.uint8]:
    """The noise as a table to be looked up modulo its side, (512, 512), uniform in 0..255."""
    return _bank()


def noise_patch(rng: Generator, height: int, width: int, zoom: float = 1.0) -> Floats:
    """A patch (height, width) of noise in 0..1; a zoom above 1 makes it coarser."""
    rows = min(_BANK_SIDE, max(1, int(height / zoom)))
    columns = min(_BANK_SIDE, max(1, int(width / zoom)))
    top, left = (int(rng.integers(_BANK_SIDE - n + 1)) for n in (rows, columns))
    patch = _bank()[top : top + rows, left : left + columns]
    if (rows, columns) != (height, width):
        patch = np.asarray(Image.fromarray(patch).resize((width, height), Image.Resampling.BILINEAR))
    return patch.astype(np.float32) * np.float32(1 / 255)


@lru_cache(maxsize=1)
def grain_table() -> NDArray[np.float32]:
    """White Gaussian noise of deviation 1, (1024, 1024), for sensor grain."""
    return np.random.default_rng(_BANK_SEED + 1).standard_normal((1024, 1024), dtype=np.float32)
