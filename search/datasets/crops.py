"""One training crop out of one image: where it lies, and image and mask cut out together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from search.datasets.base import reduced_labels, resized
from search.datasets.recipes import Recipe
from search.metrics import VOID

_FLIP_SHARE = 0.5
_ASPECTS = (3 / 4, 4 / 3)
_AREA_TRIALS = 10
_CENTRE_SHARE = 0.875  # of the shorter side, where a classification image is not varied: 224 of 256

_Place = tuple[slice, slice]  # along one axis: pixels taken, pixels filled


@dataclass(frozen=True, slots=True)
class Crop:
    """image (3, h, w) uint8, 0 where there is none · target (h, w) uint8 with void there, or a class index () int64.

    filled: the rows and columns that the image fills · colours: factors of brightness, contrast, saturation.
    """

    image: Tensor
    target: Tensor
    filled: tuple[slice, slice]
    colours: tuple[float, float, float]


def crop(image: Tensor, target: Tensor, size_hw: tuple[int, int], recipe: Recipe, rng: np.random.Generator) -> Crop:
    """Cut, resize, mirror.

    Args:
        image: (3, H, W) uint8.
        target: its mask (H, W) uint8, or its class index () int64.
        size_hw: the crop's size (h, w).
        recipe: what is drawn.
        rng: the source of the draws; as many are taken whatever the recipe.
    """
    scale_draw, y_draw, x_draw, aspect_draw, flip_draw, *colour_draws = rng.random(8).tolist()
    if recipe.scale_of == "area":
        rows, columns = _area_places(image, size_hw, recipe, (scale_draw, aspect_draw, y_draw, x_draw), rng)
    else:
        rows, columns = _scaled_places(image, size_hw, recipe, (scale_draw, y_draw, x_draw))
    (taken_y, put_y), (taken_x, put_x) = rows, columns
    put_hw = (put_y.stop - put_y.start, put_x.stop - put_x.start)
    flipped = recipe.flip and flip_draw < _FLIP_SHARE
    part = resized(image[None, :, taken_y, taken_x], put_hw)[0]
    out = image.new_zeros((3, *size_hw))
    out[:, put_y, put_x] = part.flip(-1) if flipped else part
    if target.ndim:
        labels = reduced_labels(target[None, taken_y, taken_x], put_hw)[0]
        target = target.new_full(size_hw, VOID)
        target[put_y, put_x] = labels.flip(-1) if flipped else labels
    brightness, contrast, saturation = (1 + recipe.colour * (2 * draw - 1) for draw in colour_draws)
    return Crop(out, target, (put_y, put_x), (brightness, contrast, saturation))


def window(source: int, target: int, scale: float, draw: float) -> tuple[slice, slice]:
    """Along one axis: which pixels are taken, and where their resized copy is put.

    At scale 1 or more a part of the source fills the target; below 1 the whole source fills a part of the target.
    `draw` in [0, 1) chooses the place.
    """
    if scale >= 1:
        taken = max(1, round(source / scale))
        first = math.floor(draw * (source - taken + 1))
        return slice(first, first + taken), slice(0, target)
    put = max(1, round(target * scale))
    first = math.floor(draw * (target - put + 1))
    return slice(0, source), slice(first, first + put)


def _scaled_places(
    image: Tensor, size_hw: tuple[int, int], recipe: Recipe, draws: tuple[float, float, float]
) -> tuple[_Place, _Place]:
    scale_draw, *place_draws = draws
    least, most = recipe.scales[0], recipe.scales[-1]
    if recipe.scale_of == "image":
        scale = least * (most / least) ** scale_draw
        relative = [scale, scale]
    else:
        scale = recipe.scales[int(scale_draw * len(recipe.scales))]
        relative = [scale * source / target for source, target in zip(image.shape[-2:], size_hw, strict=True)]
    first, second = (
        window(source, target, factor, draw)
        for source, target, factor, draw in zip(image.shape[-2:], size_hw, relative, place_draws, strict=True)
    )
    return first, second


def _area_places(
    image: Tensor, size_hw: tuple[int, int], recipe: Recipe, draws: tuple[float, ...], rng: np.random.Generator
) -> tuple[_Place, _Place]:
    """A random part of the image's area and aspect, as Szegedy et al. train; the centre where none fits in ten."""
    height, width = image.shape[-2:]
    for _ in range(_AREA_TRIALS):
        area = height * width * (recipe.scales[0] + (recipe.scales[-1] - recipe.scales[0]) * draws[0])
        aspect = math.exp(math.log(_ASPECTS[0]) + math.log(_ASPECTS[1] / _ASPECTS[0]) * draws[1])
        part_h, part_w = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 0 < part_h <= height and 0 < part_w <= width:
            return (
                (_part(height, part_h, draws[2]), slice(0, size_hw[0])),
                (_part(width, part_w, draws[3]), slice(0, size_hw[1])),
            )
        draws = tuple(rng.random(4).tolist())
    return centre_places(image, size_hw, share=1.0)


def centre_places(image: Tensor, size_hw: tuple[int, int], share: float = _CENTRE_SHARE) -> tuple[_Place, _Place]:
    """The middle of the image, of the target's aspect, `share` of the largest such part."""
    height, width = image.shape[-2:]
    zoom = min(height / size_hw[0], width / size_hw[1]) * share
    part_h, part_w = max(1, round(size_hw[0] * zoom)), max(1, round(size_hw[1] * zoom))
    return (
        (_part(height, part_h, 0.5), slice(0, size_hw[0])),
        (_part(width, part_w, 0.5), slice(0, size_hw[1])),
    )


def centre_crop(image: Tensor, target: Tensor, size_hw: tuple[int, int]) -> Crop:
    """The image as a classifier is tested on it."""
    (taken_y, put_y), (taken_x, put_x) = centre_places(image, size_hw)
    part = resized(image[None, :, taken_y, taken_x], size_hw)[0]
    return Crop(part, target, (put_y, put_x), (1.0, 1.0, 1.0))


def stacked(crops: list[Crop]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Crops of one size as a batch: images and targets as they are, filled (B, 1, h, w) bool, colours (B, 3)."""
    images = torch.stack([crop.image for crop in crops])
    filled = torch.zeros((len(crops), 1, *images.shape[-2:]), dtype=torch.bool)
    for k, one in enumerate(crops):
        filled[k, 0, one.filled[0], one.filled[1]] = True
    colours = torch.tensor([one.colours for one in crops], dtype=torch.float32)
    return images, torch.stack([one.target for one in crops]), filled, colours


def _part(whole: int, part: int, draw: float) -> slice:
    first = math.floor(draw * (whole - part + 1))
    return slice(first, first + part)
