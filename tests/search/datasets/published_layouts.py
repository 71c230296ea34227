"""Data sets as they are published, with tiny pictures: for the tests of their readers and of what reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CITIES = {"aachen": 7, "bochum": 3, "zurich": 2}
CITYSCAPES_HW = (16, 32)
VOC_IDS = {"train": ["2007_000032", "2007_000039"], "val": ["2007_000033"], "sbd": [f"2008_{k:06d}" for k in range(9)]}
COCO_HW = (20, 26)


def write(file: Path, pixels: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def picture(seed: int, size_hw: tuple[int, int]) -> np.ndarray:
    """Smooth colours, so that JPEG changes little."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    return np.stack([(rows * 5 + seed * 20) % 256, (columns * 4) % 256, np.full(size_hw, 90)], -1).astype(np.uint8)


def cityscapes(root: Path) -> Path:
    """12 training images of three cities, 2 validation images; the mask of image k is of label id k % 34."""
    place = 0
    for part, cities in (("train", CITIES), ("val", {"frankfurt": 2})):
        for city, count in cities.items():
            for k in range(count):
                name = f"{city}_{k:06d}_000019"
                write(root / "leftImg8bit" / part / city / f"{name}_leftImg8bit.png", picture(place, CITYSCAPES_HW))
                mask = np.full(CITYSCAPES_HW, place % 34, np.uint8)
                mask[:4] = (7, 0, 23, 33)[place % 4]
                write(root / "gtFine" / part / city / f"{name}_gtFine_labelIds.png", mask)
                write(root / "gtFine" / part / city / f"{name}_gtFine_color.png", picture(place, CITYSCAPES_HW))
                place += 1
    return root


def cocostuff(root: Path) -> Path:
    """13 training and 2 test images of two sizes; MATLAB writes S as doubles."""
    from scipy.io import savemat

    for part, count in (("train", 13), ("test", 2)):
        ids = [f"COCO_train2014_{k + 100 * (part == 'test'):012d}" for k in range(count)]
        (root / "imageLists").mkdir(parents=True, exist_ok=True)
        (root / "imageLists" / f"{part}.txt").write_text("\n".join(ids) + "\n")
        for k, name in enumerate(ids):
            size_hw = COCO_HW if k % 2 else COCO_HW[::-1]
            write(root / "images" / f"{name}.jpg", picture(k, size_hw))
            (root / "annotations").mkdir(exist_ok=True)
            stuff = np.full(size_hw, 182.0 - k)
            stuff[:3], stuff[3:5], stuff[5:7] = 0, 1 + k, 12
            names = np.array([[f"name {n}"] for n in range(182)], dtype=object)
            savemat(root / "annotations" / f"{name}.mat", {"S": stuff, "names": names, "captions": names[:5]})
    return root


def voc(root: Path, sbd: str) -> Path:
    """VOC 2012 under VOCdevkit, with SBD's masks as `aug` (SegmentationClassAug) or `mat` (as published)."""
    from scipy.io import savemat

    home = root / "VOCdevkit" / "VOC2012"
    lists = home / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for part in ("train", "val"):
        (lists / f"{part}.txt").write_text("\n".join(VOC_IDS[part]) + "\n")
    for k, name in enumerate([name for ids in VOC_IDS.values() for name in ids]):
        size_hw = (20 + k, 30)
        write(home / "JPEGImages" / f"{name}.jpg", picture(k, size_hw))
        mask = np.full(size_hw, k % 21, np.uint8)
        mask[:2] = 255
        if name not in VOC_IDS["sbd"]:
            indexed = Image.fromarray(mask)
            indexed.putpalette([value for k in range(256) for value in (k, 255 - k, 7)])
            (home / "SegmentationClass").mkdir(exist_ok=True)
            indexed.save(home / "SegmentationClass" / f"{name}.png")
        if sbd == "aug":
            write(
                home / "SegmentationClassAug" / f"{name}.png", np.where(mask == 255, 255, (k + 1) % 21).astype(np.uint8)
            )
        else:
            folder = root / "benchmark_RELEASE" / "dataset" / "cls"
            folder.mkdir(parents=True, exist_ok=True)
            savemat(
                folder / f"{name}.mat", {"GTcls": {"Segmentation": np.where(mask == 255, 0, k % 21).astype(np.uint8)}}
            )
    if sbd == "mat":
        ids = [*VOC_IDS["val"], *VOC_IDS["sbd"]]  # SBD has images of VOC's val, which must not train
        (root / "benchmark_RELEASE" / "dataset" / "train.txt").write_text("\n".join(ids[:6]))
        (root / "benchmark_RELEASE" / "dataset" / "val.txt").write_text("\n".join(ids[6:]))
    return root


def imagenet(root: Path) -> Path:
    """Three classes, four training and two validation photographs each, of many sizes."""
    for c, name in enumerate(("n01440764", "n01443537", "n02123045")):
        for k in range(4):
            write(root / "train" / name / f"{name}_{k}.JPEG", picture(10 * c + k, (30 + k, 40 - 3 * k)))
        for k in range(2):
            write(root / "val" / name / f"ILSVRC2012_val_{c}{k}.JPEG", picture(c, (33, 31 + k)))
    return root


def folder(root: Path, parts: tuple[str, ...] = ("train", "val", "test")) -> Path:
    """Two classes, sky above ground, and a classes.txt."""
    for part in parts:
        for k in range(8):
            size_hw = (12 + k, 20)
            write(root / "images" / part / f"{k:02d}.jpg", picture(k, size_hw))
            mask = np.zeros(size_hw, np.uint8)
            mask[6:] = 1
            mask[-1] = 255
            write(root / "masks" / part / f"{k:02d}.png", mask)
    (root / "classes.txt").write_text("sky\nground\n")
    return root
