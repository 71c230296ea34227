"""A plain folder of images and masks: `folder:PATH`.

The classes file is `classes.txt`, one name a line, the first is class 0, and 255 is void; or `classes.json`: a list of
names, or an object with `classes` and, where wanted, `palette` (a colour [r, g, b] a class), `void` (a list of mask ids
that count nowhere, [255] by default), `mean` and `std` (three numbers each in 0..1, ImageNet's by default).
Masks are 8-bit pictures, grey or with a palette, that hold the class of each pixel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mosegnet.common.console import note
from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors, read_json
from search.datasets.base import Dataset, Split
from search.datasets.files import ByteArray, IdTable, LayoutError, read_ids, root_folder
from search.datasets.holdout import in_blocks
from search.datasets.lazy import FileSplit, Sample
from search.datasets.memory import PixelCache, cache_bytes
from search.datasets.recipes import IMAGENET_MEAN, IMAGENET_STD, TINY
from search.datasets.voc import palette
from search.metrics import VOID

TREE = """\
PATH/classes.txt or PATH/classes.json
PATH/images/{train,val,test}/ID.png or .jpg      or PATH/{train,val,test}/images/
PATH/masks/{train,val,test}/ID.png               or PATH/{train,val,test}/masks/
one of val and test may be absent"""
_WHAT = "folder"
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_MOST_CLASSES = 254

_Byte = Annotated[int, Field(ge=0, le=255)]
_Triple = tuple[float, float, float]


class _Classes(BaseModel):
    """What a classes file says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: Annotated[list[str], Field(min_length=2, max_length=_MOST_CLASSES)]
    palette: list[tuple[_Byte, _Byte, _Byte]] | None = None
    void: list[_Byte] = [VOID]
    mean: _Triple = IMAGENET_MEAN
    std: _Triple = IMAGENET_STD

    @model_validator(mode="after")
    def _consistent(self) -> _Classes:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is named twice")
        if self.palette is not None and len(self.palette) != len(self.classes):
            raise ValueError(f"{len(self.palette)} colours for {len(self.classes)} classes")
        if min(self.std) <= 0:
            raise ValueError("std must be positive")
        if set(self.void) & set(range(len(self.classes))):
            raise ValueError("an id is both a class and void")
        return self


def load(path: str) -> Dataset:
    """The folder at `path`; every image needs its mask and every mask its image.

    `train` trains; `val` guides the search, or a part of `train` where only one of `val` and `test` is there; `test`
    reports final numbers.

    Raises:
        UserError: names the first missing file and the expected tree, or what is wrong with the classes file.
    """
    root = root_folder(path, _WHAT, TREE)
    classes = _read_classes(root)
    parts = {part: _samples(root, part) for part in ("train", "val", "test")}
    if not parts["train"] or not (parts["val"] or parts["test"]):
        missing = "train" if not parts["train"] else "test"
        raise LayoutError(_WHAT, root / "images" / missing, TREE, "or has no images")
    if parts["val"] and parts["test"]:
        splits = {"supernet": parts["train"], "search": parts["val"], "test": parts["test"]}
    else:
        supernet, search = in_blocks(sorted(parts["train"]), group_of=lambda name: "")
        note(f"{root}: a block of {len(search)} of {len(parts['train'])} training images guides the search")
        own = parts["train"]
        splits = {
            "supernet": {name: own[name] for name in supernet},
            "search": {name: own[name] for name in search},
            "test": parts["test"] or parts["val"],
        }
    count = len(classes.classes)
    known = f"0..{count - 1} and {', '.join(map(str, classes.void)) or 'nothing'} for void"
    table = IdTable({**{k: k for k in range(count)}, **dict.fromkeys(classes.void, VOID)}, known)
    cache = PixelCache(cache_bytes())

    def read_mask(file: Path) -> ByteArray:
        return table.classes(file, read_ids(file))

    def load_split(name: str) -> Split:
        return FileSplit(name, list(splits[name].values()), read_mask, cache, vary=True, mean=classes.mean)

    colours = tuple(classes.palette) if classes.palette else palette(count + 1)[1:]
    return Dataset(root.resolve().name, tuple(classes.classes), colours, classes.mean, classes.std, load_split, TINY)


def _read_classes(root: Path) -> _Classes:
    as_json, as_text = root / "classes.json", root / "classes.txt"
    value: Any
    if as_json.exists():
        file, value = as_json, read_json(as_json, "classes file")
        value = {"classes": value} if isinstance(value, list) else value
    elif as_text.exists():
        file = as_text
        with explain_os_errors(file, "read"):
            value = {"classes": [line.strip() for line in file.read_text().splitlines() if line.strip()]}
    else:
        raise LayoutError(_WHAT, as_text, TREE)
    try:
        return _Classes.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UserError(f"classes file {file}: {place + ': ' if place else ''}{first['msg']}") from error


def _samples(root: Path, part: str) -> dict[str, Sample]:
    """By id; empty where the part is absent."""
    images, masks = root / "images" / part, root / "masks" / part
    if not images.is_dir() and (root / part / "images").is_dir():
        images, masks = root / part / "images", root / part / "masks"
    found = {kind: _pictures(place) for kind, place in (("image", images), ("mask", masks))}
    for kind, place, other in (("image", images, "mask"), ("mask", masks, "image")):
        missing = sorted(set(found[other]) - set(found[kind]))
        if missing:
            suffix = next((file.suffix for file in found[kind].values()), ".png")
            raise LayoutError(_WHAT, place / f"{missing[0]}{suffix}", TREE, f"beside its {other}")
    return {name: Sample(name, file, found["mask"][name]) for name, file in found["image"].items()}


def _pictures(place: Path) -> dict[str, Path]:
    if not place.is_dir():
        return {}
    files = sorted(file for file in place.iterdir() if file.suffix.lower() in _SUFFIXES)
    return {file.stem: file for file in files}
