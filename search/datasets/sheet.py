"""A picture of a data set: images, their masks and both together, with the colours' names."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from search.datasets.base import SPLITS, Dataset, spread
from search.datasets.files import SampleError
from search.metrics import VOID

_TILE, _GAP, _LINE = 300, 8, 18  # pixels; a tile's longer side, between tiles, of a line of text
_MASKED, _CLASSIFIED = 2, 6  # images of every split: in rows of their own with masks, or side by side
_LEGEND_WIDTH, _MOST_NAMED = 210, 60
_GROUND, _INK, _VOID_COLOUR = (255, 255, 255), (30, 30, 30), (224, 224, 192)
_OPACITY = 0.5  # of the mask over the image


@dataclass(frozen=True, slots=True)
class _Row:
    """Pictures side by side, each under its title; `classes` are those that they show."""

    titles: list[str]
    tiles: list[Image.Image]
    classes: set[int]

    @property
    def height(self) -> int:
        return max(tile.height for tile in self.tiles) + _LINE + _GAP


def sheet(dataset: Dataset) -> bytes:
    """A PNG: some images of every split, each with its mask and the mask laid over it, and a legend of the classes.

    Images that cannot be used are left out. Of a data set for classification: images under their class's name.
    """
    with_masks = dataset.task == "segmentation"
    rows = [row for split in SPLITS for row in (_masked if with_masks else _classified)(dataset, split)]
    classes = sorted(set().union(*(row.classes for row in rows)))[:_MOST_NAMED] if with_masks else []
    legend_height = (len(classes) + 1) * (_LINE + 2) + 2 * _GAP if with_masks else 0
    columns = max((len(row.tiles) for row in rows), default=1)
    width = columns * (_TILE + _GAP) + _GAP + (_LEGEND_WIDTH if with_masks else 0)
    height = max(sum(row.height for row in rows) + _GAP, legend_height)
    picture = Image.new("RGB", (width, height), _GROUND)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    y = _GAP
    for row in rows:
        for k, (title, tile) in enumerate(zip(row.titles, row.tiles, strict=True)):
            x = _GAP + k * (_TILE + _GAP)
            draw.text((x, y), _fitting(draw, font, title), _INK, font)
            picture.paste(tile, (x, y + _LINE))
        y += row.height
    if with_masks:
        _legend(draw, font, dataset, classes, width - _LEGEND_WIDTH)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def coloured(mask: Tensor, palette: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """(H, W) uint8 classes and void to (H, W, 3) uint8."""
    table = np.full((VOID + 1, 3), _VOID_COLOUR, np.uint8)
    table[: len(palette)] = palette
    return table[mask.numpy()]


def _masked(dataset: Dataset, split: str) -> Iterator[_Row]:
    for name, image, target in _usable(dataset, split, _MASKED):
        pixels, mask = image.permute(1, 2, 0).numpy(), coloured(target, dataset.palette)
        known = (target != VOID).numpy()[..., None]
        over = np.where(known, (1 - _OPACITY) * pixels + _OPACITY * mask, pixels).astype(np.uint8)
        tiles = [_tile(pixels), _tile(mask, Image.Resampling.NEAREST), _tile(over)]
        yield _Row([f"{split}: {name}", "mask", "both"], tiles, set(target.unique().tolist()) - {VOID})


def _classified(dataset: Dataset, split: str) -> Iterator[_Row]:
    found = list(_usable(dataset, split, _CLASSIFIED))
    if found:
        titles = [f"{split}: {dataset.classes[int(target)]}" for _, _, target in found]
        yield _Row(titles, [_tile(image.permute(1, 2, 0).numpy()) for _, image, _ in found], set())


def _usable(dataset: Dataset, split_name: str, count: int) -> Iterator[tuple[str, Tensor, Tensor]]:
    split = dataset.files(split_name)
    for row in spread(len(split), count):
        try:
            image, target = split.read(row)
        except SampleError:
            continue
        yield split.ids[row], image, target


def _tile(pixels: np.ndarray, resampling: Image.Resampling = Image.Resampling.BILINEAR) -> Image.Image:
    zoom = _TILE / max(pixels.shape[:2])
    height, width = (max(1, round(side * zoom)) for side in pixels.shape[:2])
    return Image.fromarray(pixels).resize((width, height), resampling)


def _fitting(draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str) -> str:
    """The text, shortened in the middle until it is no wider than a tile."""
    kept = len(text)
    short = text
    while draw.textlength(short, font) > _TILE and kept > 2:
        kept -= 1
        short = f"{text[: kept // 2]}…{text[len(text) - (kept - kept // 2) :]}"
    return short


def _legend(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    dataset: Dataset,
    classes: list[int],
    x: int,
) -> None:
    entries = [(f"{class_} {dataset.classes[class_]}", dataset.palette[class_]) for class_ in classes]
    for k, (text, colour) in enumerate([*entries, (f"{VOID} void", _VOID_COLOUR)]):
        y = _GAP + k * (_LINE + 2)
        draw.rectangle((x, y + 2, x + 14, y + 16), fill=colour, outline=_INK)
        draw.text((x + 20, y + 1), text, _INK, font)
