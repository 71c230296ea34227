"""Cityscapes, fine annotations, 19 classes: `cityscapes:PATH`.

Cordts et al., CVPR 2016. The published validation images (three cities that no training image shows) report final
numbers; 500 of the 2,975 training images are set apart to guide the search.
"""

from __future__ import annotations

from pathlib import Path

from mosegnet.common.console import warn
from search.datasets.base import Dataset, Split
from search.datasets.files import ByteArray, IdTable, LayoutError, read_ids, root_folder
from search.datasets.holdout import in_blocks
from search.datasets.lazy import FileSplit, Sample
from search.datasets.memory import PixelCache, cache_bytes
from search.datasets.recipes import CITYSCAPES, IMAGENET_MEAN, IMAGENET_STD
from search.metrics import VOID

# Train id: name, label id, colour; the data set's own table (cityscapesscripts.helpers.labels).
_LABELS = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)
CLASSES = tuple(name for name, _, _ in _LABELS)
PALETTE = tuple(colour for _, _, colour in _LABELS)
LABEL_IDS = tuple(id_ for _, id_, _ in _LABELS)
_HIGHEST_ID = 33

COUNTS = {"train": 2975, "val": 500}
TREE = """\
PATH/leftImg8bit/{train,val}/CITY/CITY_SEQUENCE_FRAME_leftImg8bit.png
PATH/gtFine/{train,val}/CITY/CITY_SEQUENCE_FRAME_gtFine_labelIds.png"""
_WHAT = "Cityscapes"
_IMAGE, _MASK = "_leftImg8bit.png", "_gtFine_labelIds.png"
_IDS = IdTable(
    {**dict.fromkeys(range(_HIGHEST_ID + 1), VOID), **{id_: k for k, id_ in enumerate(LABEL_IDS)}},
    f"Cityscapes' label ids 0..{_HIGHEST_ID}",
    {255: "255 is void among train ids: these are labelTrainIds, take the published labelIds"},
)


def load(path: str) -> Dataset:
    """The Cityscapes folder at `path`; every file that a split needs is looked for now, decoding waits.

    Raises:
        UserError: names the first missing file and the expected tree.
    """
    root = root_folder(path, _WHAT, TREE)
    train, val = _samples(root, "train"), _samples(root, "val")
    supernet, search = in_blocks(sorted(train), group_of=lambda name: name.split("_")[0])
    ids = {"supernet": supernet, "search": search, "test": sorted(val)}
    cache = PixelCache(cache_bytes())

    def load_split(name: str) -> Split:
        return FileSplit(name, [(train | val)[own] for own in ids[name]], read_mask, cache)

    return Dataset("cityscapes", CLASSES, PALETTE, IMAGENET_MEAN, IMAGENET_STD, load_split, CITYSCAPES)


def read_mask(file: Path) -> ByteArray:
    """(H, W) uint8 train ids, void where Cityscapes does not score."""
    return _IDS.classes(file, read_ids(file))


def _samples(root: Path, part: str) -> dict[str, Sample]:
    images = {file.name.removesuffix(_IMAGE): file for file in (root / "leftImg8bit" / part).glob(f"*/*{_IMAGE}")}
    masks = {file.name.removesuffix(_MASK): file for file in (root / "gtFine" / part).glob(f"*/*{_MASK}")}
    for folder, suffix, found in (("leftImg8bit", _IMAGE, images), ("gtFine", _MASK, masks)):
        missing = sorted((set(images) | set(masks)) - set(found))
        if missing or not found:
            first = f"{missing[0].split('_')[0]}/{missing[0]}{suffix}" if missing else f"CITY/*{suffix}"
            raise LayoutError(_WHAT, root / folder / part / first, TREE)
    if len(images) != COUNTS[part]:
        warn(f"{root} has {len(images)} images in {part}, the published Cityscapes {COUNTS[part]}")
    return {name: Sample(name, images[name], masks[name]) for name in sorted(images)}
