"""COCO-Stuff 10K v1.1, 171 scored classes: `cocostuff:PATH`.

Caesar et al., CVPR 2018. 9,000 photographs train, 500 of them set apart to guide the search; 1,000 report final
numbers. Label 0 (unlabeled) and the eleven thing ids that COCO never annotated are void.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mosegnet.common.console import warn
from search.datasets.base import Dataset, Split
from search.datasets.cocostuff_classes import CLASSES, HIGHEST_ID, LABEL_IDS, NEVER_ANNOTATED, UNLABELED
from search.datasets.files import (
    ByteArray,
    CorruptImage,
    IdTable,
    SampleError,
    read_list,
    read_mat,
    require,
    root_folder,
)
from search.datasets.holdout import evenly
from search.datasets.lazy import FileSplit, Sample
from search.datasets.memory import PixelCache, cache_bytes
from search.datasets.recipes import COCOSTUFF, IMAGENET_MEAN, IMAGENET_STD
from search.datasets.voc import palette
from search.metrics import VOID

COUNTS = {"train": 9000, "test": 1000}
TREE = """\
PATH/imageLists/{train,test}.txt      9,000 and 1,000 ids such as COCO_train2014_000000000077
PATH/images/ID.jpg
PATH/annotations/ID.mat               field S: (height, width) of label ids 0..182, version 1.1"""
_WHAT = "COCO-Stuff 10K"
_NAMES_V10 = 172  # of version 1.0, whose S counts from 1 and knows 80 things
_IDS = IdTable(
    {
        **dict.fromkeys((UNLABELED, *NEVER_ANNOTATED), VOID),
        **{id_: class_ for class_, id_ in enumerate(LABEL_IDS)},
    },
    f"0..{HIGHEST_ID}",
)


def load(path: str) -> Dataset:
    """The COCO-Stuff 10K folder at `path`; every file that a split needs is looked for now, decoding waits.

    Raises:
        UserError: names the first missing file and the expected tree.
    """
    root = root_folder(path, _WHAT, TREE)
    lists = {part: read_list(root / "imageLists" / f"{part}.txt", _WHAT, TREE) for part in COUNTS}
    samples = {}
    for name in (*lists["train"], *lists["test"]):
        image = require(root / "images" / f"{name}.jpg", _WHAT, TREE)
        samples[name] = Sample(name, image, require(root / "annotations" / f"{name}.mat", _WHAT, TREE))
    for part, published in COUNTS.items():
        if len(lists[part]) != published:
            warn(f"{root} has {len(lists[part])} images in {part}, the published {_WHAT} {published}")
    supernet, search = evenly(lists["train"])
    ids = {"supernet": supernet, "search": search, "test": lists["test"]}
    cache = PixelCache(cache_bytes())

    def load_split(name: str) -> Split:
        own = [samples[id_] for id_ in ids[name]]
        return FileSplit(name, own, read_mask, cache, vary=True, mean=IMAGENET_MEAN)

    # Colours by label id: none is black, which is the unlabeled's.
    colours = tuple(palette(HIGHEST_ID + 1)[id_] for id_ in LABEL_IDS)
    return Dataset("cocostuff", CLASSES, colours, IMAGENET_MEAN, IMAGENET_STD, load_split, COCOSTUFF)


def read_mask(file: Path) -> ByteArray:
    """(H, W) uint8 of classes 0..170 and void.

    Raises:
        SampleError: the file is damaged, of version 1.0, or has unknown ids.
    """
    content = read_mat(file, ["S", "names"])
    ids = np.asarray(content.get("S", ()))
    if ids.ndim != 2 or ids.dtype.kind not in "uif" or ids.min(initial=0) < 0 or ids.max(initial=0) > 255:
        raise CorruptImage(file, f"S is no map of ids ({ids.dtype}, shape {ids.shape})")
    if np.size(content.get("names", ())) == _NAMES_V10 and ids.min(initial=1) > 0 and ids.max(initial=1) <= _NAMES_V10:
        raise SampleError(
            file, "version", f"{file} is of COCO-Stuff 10K v1.0 ({_NAMES_V10} names): take v1.1, whose ids are COCO's"
        )
    return _IDS.classes(file, ids.astype(np.uint8))
