"""ImageNet, to train encoders for classification first: `imagenet:PATH`.

Russakovsky et al., IJCV 2015. A class is a folder; any set of photographs in folders serves, with its own classes. Here
a split's targets are class indices, not masks: its images come in batches (`Batches`) or one by one (`read`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors
from search.datasets.base import Dataset, Split
from search.datasets.files import LayoutError, read_rgb, root_folder
from search.datasets.lazy import FileSplit, Sample, Samples
from search.datasets.memory import PixelCache, cache_bytes
from search.datasets.recipes import IMAGENET, IMAGENET_MEAN, IMAGENET_STD
from search.datasets.voc import palette

TREE = """\
PATH/train/CLASS/*.JPEG     CLASS such as n01440764
PATH/val/CLASS/*.JPEG       the same classes"""
_WHAT = "ImageNet"
_FOLDER_OF = {"supernet": "train", "search": "val", "test": "val"}  # nothing is searched for on ImageNet
_SUFFIXES = (".jpeg", ".jpg", ".png")
_PUBLISHED = "ILSVRC/Data/CLS-LOC"  # where the folders are in the published archive


class ClassSplit(FileSplit):
    """A split whose targets are class indices; a sample's mask is the folder that its image lies in."""

    def __init__(self, name: str, samples: Sequence[Sample], classes: Sequence[str], cache: PixelCache) -> None:
        super().__init__(name, samples, read_rgb, cache, vary=True)
        object.__setattr__(self, "class_of", {folder: k for k, folder in enumerate(classes)})

    class_of: dict[str, int]

    def decode(self, index: int) -> tuple[Tensor, Tensor]:
        """One image (3, H, W) uint8 and its class index () int64."""
        sample = self.samples[index]
        image = torch.from_numpy(read_rgb(sample.image)).permute(2, 0, 1).contiguous()
        return image, torch.tensor(self.class_of[sample.mask.name])

    def take(self, indices: Sequence[int]) -> Split:
        """Never: photographs of many sizes without masks make no split in memory.

        Raises:
            UserError: always; says what to use instead.
        """
        raise UserError(
            "imagenet has classes of images and no masks: it trains the encoder (search train-supernet), "
            "everything else needs a data set for segmentation"
        )


def load(path: str) -> Dataset:
    """The ImageNet folder at `path`.

    Raises:
        UserError: names the first missing folder and the expected tree.
    """
    given = root_folder(path, _WHAT, TREE)
    root = given / _PUBLISHED if (given / _PUBLISHED).is_dir() else given
    classes = _class_folders(root / "train")
    unknown = sorted(set(_class_folders(root / "val")) - set(classes))
    if unknown:
        raise LayoutError(_WHAT, root / "train" / unknown[0], TREE, "val has that class")
    cache = PixelCache(cache_bytes())

    def load_split(name: str) -> Split:
        return ClassSplit(name, _samples(root / _FOLDER_OF[name]), classes, cache)

    colours = palette(len(classes)) if len(classes) < 256 else ((0, 0, 0),) * len(classes)
    return Dataset(
        "imagenet", tuple(classes), colours, IMAGENET_MEAN, IMAGENET_STD, load_split, IMAGENET, "classification"
    )


def _class_folders(part: Path) -> list[str]:
    if not part.is_dir():
        raise LayoutError(_WHAT, part, TREE)
    with explain_os_errors(part, "read"), os.scandir(part) as entries:
        folders = sorted(entry.name for entry in entries if entry.is_dir())
    if not folders:
        hint = ""
        if any(file.suffix.lower() in _SUFFIXES for file in part.iterdir()):
            hint = "the images lie side by side as in the archive: move each into the folder of its class"
        raise LayoutError(_WHAT, part / "CLASS", TREE, hint)
    return folders


def _samples(part: Path) -> Samples:
    ids: list[str] = []
    with explain_os_errors(part, "read"):
        for name in _class_folders(part):
            with os.scandir(part / name) as entries:
                files = sorted(entry.name for entry in entries if entry.name.lower().endswith(_SUFFIXES))
            if not files:
                raise LayoutError(_WHAT, part / name / "*.JPEG", TREE)
            ids += [f"{name}/{file}" for file in files]
    return Samples(ids, lambda own: Sample(own, part / own, (part / own).parent))
