"""A picture of a data set: images, their masks and both together, with the colours' names."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from search.datasets.base import SPLITS, Dataset
from search.datasets.files import SampleError
from search.datasets.sampling import spread
from search.metrics import VOID

_TILE_WIDTH, _GAP, _TEXT_HEIGHT = 300, 8, 18
_EACH = 2  # images of every split
_MOST_NAMED = 40  # classes in the legend
_GROUND, _INK, _VOID_COLOUR = (255, 255, 255), (30, 30, 30), (0, 0, 0)
_OPACITY = 0.5  # of the mask over the image


def sheet(dataset: Dataset) -> bytes:
    """A PNG: some images of every split in rows, each with its mask and the mask laid over it, and a legend.

    Images that cannot be used are left out. Of a data set for classification: the images with the names of their class.
    """
    rows = [_row(dataset, split, row) for split in SPLITS for row in spread(len(dataset.files(split)), _EACH)]
    shown = [(title, tiles, classes) for title, tiles, classes in rows if tiles]
    named = sorted({class_ for _, _, classes in shown for class_ in classes})[:_MOST_NAMED]
    legend_width = 200 if dataset.task == "segmentation" else 0
    columns = max((len(tiles) for _, tiles, _ in shown), default=1)
    width = columns * (_TILE_WIDTH + _GAP) + _GAP + legend_width
    heights = [tiles[0].height + _TEXT_HEIGHT + _GAP for _, tiles, _ in shown]
    height = max(sum(heights) + _GAP, (len(named) + 2) * (_TEXT_HEIGHT + 2) + 2 * _GAP if legend_width else 0, 60)
    picture = Image.new("RGB", (width, height), _GROUND)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    y = _GAP
    for (title, tiles, _), own_height in zip(shown, heights, strict=True):
        draw.text((_GAP, y), title, _INK, font)
        for k, tile in enumerate(tiles):
            picture.paste(tile, (_GAP + k * (_TILE_WIDTH + _GAP), y + _TEXT_HEIGHT))
        y += own_height
    if legend_width:
        _legend(draw, font, dataset, named, width - legend_width)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def coloured(mask: Tensor, palette: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """(H, W) uint8 classes and void to (H, W, 3) uint8."""
    table = np.full((VOID + 1, 3), _VOID_COLOUR, np.uint8)
    table[: len(palette)] = palette
    table[VOID] = _VOID_COLOUR
    return table[mask.numpy()]


def _row(dataset: Dataset, split_name: str, row: int) -> tuple[str, list[Image.Image], list[int]]:
    split = dataset.files(split_name)
    title = f"{split_name}: {split.ids[row]}"
    try:
        image, target = split.read(row)
    except SampleError:
        return title, [], []
    pixels = image.permute(1, 2, 0).numpy()
    if not target.ndim:
        return f"{title}: {dataset.classes[int(target)]}", [_tile(pixels)], [int(target)]
    mask = coloured(target, dataset.palette)
    known = (target != VOID).numpy()[..., None]
    over = np.where(known, (1 - _OPACITY) * pixels + _OPACITY * mask, pixels).astype(np.uint8)
    classes = [int(value) for value in target.unique() if value != VOID]
    return title, [_tile(pixels), _tile(mask, Image.Resampling.NEAREST), _tile(over)], classes


def _tile(pixels: np.ndarray, resampling: Image.Resampling = Image.Resampling.BILINEAR) -> Image.Image:
    height = max(1, round(pixels.shape[0] * _TILE_WIDTH / pixels.shape[1]))
    return Image.fromarray(pixels).resize((_TILE_WIDTH, height), resampling)


def _legend(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    dataset: Dataset,
    named: list[int],
    x: int,
) -> None:
    entries = [(f"{class_} {dataset.classes[class_]}", dataset.palette[class_]) for class_ in named]
    y = _GAP
    for text, colour in [*entries, (f"{VOID} void", _VOID_COLOUR)]:
        draw.rectangle((x, y + 2, x + 14, y + 16), fill=colour, outline=_INK)
        draw.text((x + 20, y + 1), text, _INK, font)
        y += _TEXT_HEIGHT + 2
