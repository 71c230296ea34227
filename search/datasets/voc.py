"""PASCAL VOC 2012 with the masks of SBD, 21 classes: `voc:PATH`.

Everingham et al., IJCV 2010; Hariharan et al., ICCV 2011. The 10,582 images of train_aug are those of VOC's train and
of SBD's train and val without VOC's val, which reports final numbers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mosegnet.common.console import warn
from search.datasets.base import Dataset, Split
from search.datasets.files import (
    ByteArray,
    CorruptImage,
    LayoutError,
    plain_table,
    read_ids,
    read_list,
    read_mat,
    require,
    root_folder,
)
from search.datasets.holdout import evenly
from search.datasets.lazy import FileSplit, Sample
from search.datasets.memory import PixelCache, cache_bytes
from search.datasets.recipes import IMAGENET_MEAN, IMAGENET_STD, VOC

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
TRAIN_AUG, VAL = 10582, 1449
TREE = """\
PATH/VOCdevkit/VOC2012/, or PATH itself, with
  JPEGImages/ID.jpg
  SegmentationClass/ID.png                       palette indices 0..20, 255 for void
  ImageSets/Segmentation/{train,val}.txt
and the masks of SBD, either
  SegmentationClassAug/ID.png                    and ImageSets/Segmentation/trainaug.txt if any
or as published, in PATH or beside VOC2012
  benchmark_RELEASE/dataset/{train,val}.txt
  benchmark_RELEASE/dataset/cls/ID.mat"""
_WHAT = "PASCAL VOC"
_SBD = ("benchmark_RELEASE/dataset", "VOCaug/dataset", "SBD/dataset", "dataset", "SBD", "sbd", ".")
_LISTS = ("trainaug.txt", "train_aug.txt", "../SegmentationAug/train_aug.txt")
_IDS = plain_table(len(CLASSES))


def load(path: str) -> Dataset:
    """The VOC folder at `path`; every file that a split needs is looked for now, decoding waits.

    Raises:
        UserError: names the first missing file and the expected tree.
    """
    given = root_folder(path, _WHAT, TREE)
    root = next((place for place in _places(given) if (place / "JPEGImages").is_dir()), given)
    lists = root / "ImageSets" / "Segmentation"
    require(root / "JPEGImages", _WHAT, TREE)
    train, val = (read_list(lists / f"{part}.txt", _WHAT, TREE) for part in ("train", "val"))
    augmented = _augmented(root, given, train, val)
    masks = {name: root / "SegmentationClass" / f"{name}.png" for name in (*train, *val)}
    masks = {name: masks.get(name, mask) for name, mask in augmented.items()} | {name: masks[name] for name in val}
    samples = {name: Sample(name, _image(root, name, mask), mask) for name, mask in masks.items()}
    for sample in samples.values():
        require(sample.image, _WHAT, TREE)
        require(sample.mask, _WHAT, TREE)
    if (len(augmented), len(val)) != (TRAIN_AUG, VAL):
        warn(f"{root}: {len(augmented)} images to train and {len(val)} to test, published {TRAIN_AUG} and {VAL}")
    supernet, search = evenly(sorted(augmented))
    ids = {"supernet": supernet, "search": search, "test": val}
    cache = PixelCache(cache_bytes())

    def load_split(name: str) -> Split:
        own = [samples[id_] for id_ in ids[name]]
        return FileSplit(name, own, read_mask, cache, vary=True, mean=IMAGENET_MEAN)

    return Dataset("voc", CLASSES, palette(len(CLASSES)), IMAGENET_MEAN, IMAGENET_STD, load_split, VOC)


def read_mask(file: Path) -> ByteArray:
    """(H, W) uint8 classes, void at VOC's borders; of a PNG file or of SBD's .mat file."""
    return _IDS.classes(file, _sbd_ids(file) if file.suffix == ".mat" else read_ids(file))


def palette(count: int) -> tuple[tuple[int, int, int], ...]:
    """VOC's colours: the bits of a class, lowest first, become the highest bits of red, green and blue in turn."""
    colours = []
    for class_ in range(count):
        channels = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                channels[channel] |= ((class_ >> (3 * bit + channel)) & 1) << (7 - bit)
        colours.append((channels[0], channels[1], channels[2]))
    return tuple(colours)


def _places(given: Path) -> list[Path]:
    return [given, given / "VOC2012", given / "VOCdevkit" / "VOC2012"]


def _image(root: Path, name: str, mask: Path) -> Path:
    """VOC's file; SBD's own copy, beside its masks, where VOC's folder lacks it."""
    own, copy = root / "JPEGImages" / f"{name}.jpg", mask.parent.parent / "img" / f"{name}.jpg"
    return copy if mask.suffix == ".mat" and not own.exists() and copy.exists() else own


def _augmented(root: Path, given: Path, train: list[str], val: list[str]) -> dict[str, Path]:
    """The mask of every image of train_aug, without VOC's val."""
    lists, aug, tested = root / "ImageSets" / "Segmentation", root / "SegmentationClassAug", set(val)
    if aug.is_dir():
        file = next((lists / name for name in _LISTS if (lists / name).exists()), None)
        known = read_list(file, _WHAT, TREE) if file else sorted(mask.name for mask in aug.glob("*.png"))
        known = list(dict.fromkeys(Path(entry).stem for entry in known))  # some lists have both paths in a line
        return {name: aug / f"{name}.png" for name in known if name not in tested}
    sbd = next((place for place in _sbd_places(root, given) if (place / "cls").is_dir()), None)
    if sbd is None:
        raise LayoutError(_WHAT, aug, TREE, "and so is SBD's folder cls")
    known = [name for part in ("train", "val") for name in read_list(sbd / f"{part}.txt", _WHAT, TREE)]
    return {name: sbd / "cls" / f"{name}.mat" for name in dict.fromkeys([*train, *known]) if name not in tested}


def _sbd_places(root: Path, given: Path) -> list[Path]:
    return [base / name for base in dict.fromkeys([given, root, root.parent, root.parent.parent]) for name in _SBD]


def _sbd_ids(file: Path) -> ByteArray:
    content = read_mat(file, ["GTcls"])
    try:
        return np.asarray(content["GTcls"][0, 0]["Segmentation"], np.uint8)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise CorruptImage(file, f"no field GTcls.Segmentation ({error})") from error
