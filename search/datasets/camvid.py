"""CamVid, the 11-class release at 360x480: `camvid:PATH`.

Brostow et al., ECCV 2008 and PRL 2009; class set of Badrinarayanan et al., SegNet, PAMI 2017. The official validation
clip lies between training frames, so networks are ranked on blocks of time cut from the training drives instead.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from mosegnet.common.console import note
from mosegnet.common.errors import UserError
from mosegnet.common.files import explain_os_errors
from search.datasets.base import SPLITS, Dataset, Split
from search.datasets.files import ByteArray, IdTable, plain_table, read_ids
from search.datasets.lazy import FileSplit, Sample
from search.datasets.memory import PixelCache, cache_bytes
from search.metrics import VOID

CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "signsymbol",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
PALETTE = (
    (128, 128, 128),
    (128, 0, 0),
    (192, 192, 128),
    (128, 64, 128),
    (60, 40, 222),
    (128, 128, 0),
    (192, 128, 128),
    (64, 64, 128),
    (64, 0, 128),
    (64, 64, 0),
    (0, 128, 192),
)
# Per channel over the 367 training images.
MEAN = (0.4119, 0.4251, 0.4327)
STD = (0.3071, 0.3116, 0.3072)

_TREE = (
    "PATH/{supernet,search,test}.txt with one id a line, or train.txt and test.txt; "
    "PATH/images/{train,test}/ID.jpg or .png; PATH/labels/{train,test}/ID.png with ids 0..10 and 255; "
    "or, as SegNet's release has them, PATH/{train,test}/ID.png and PATH/{trainannot,testannot}/ID.png with ids 0..11"
)
_IDS = plain_table(len(CLASSES), {11: "in SegNet's own files 11 is void, write 255 for it"})
_SEGNET_IDS = IdTable({**{k: k for k in range(len(CLASSES))}, len(CLASSES): VOID, VOID: VOID}, "0..10 and 11 for void")
_FOLDER_OF = {"supernet": "train", "search": "train", "test": "test"}
# Where the search images lie in each drive when the folder has no lists of its own: two tenths, apart from its ends.
_SEARCH_BLOCKS = ((0.25, 0.35), (0.75, 0.85))


def load(path: str) -> Dataset:
    """The CamVid folder at `path`; every file that a split needs is looked for now, decoding waits.

    Raises:
        UserError: names the first missing file and the expected tree.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise UserError(f"CamVid folder {root} does not exist or is no folder; expected {_TREE}")
    ids = _split_ids(root)
    samples = {split: [_sample(root, _FOLDER_OF[split], name) for name in names] for split, names in ids.items()}
    cache, table = PixelCache(cache_bytes()), _SEGNET_IDS if _is_segnet_s(root) else _IDS

    def read_mask(file: Path) -> ByteArray:
        return table.classes(file, read_ids(file))

    def load_split(name: str) -> Split:
        return FileSplit(name, samples[name], read_mask, cache)

    return Dataset("camvid", CLASSES, PALETTE, MEAN, STD, load_split)


def _split_ids(root: Path) -> dict[str, list[str]]:
    lists = {split: root / f"{split}.txt" for split in SPLITS}
    if not lists["supernet"].exists() and not lists["search"].exists() and (root / "train.txt").exists():
        supernet, search = cut_by_time(_read_list(root / "train.txt"))
        if not search:
            raise UserError(f"{root / 'train.txt'} has too few images to set some apart for the search")
        note(f"{root} has no supernet.txt and search.txt: train.txt is cut by time, {len(supernet)} + {len(search)}")
        return {"supernet": supernet, "search": search, "test": _read_list(lists["test"])}
    return {split: _read_list(file) for split, file in lists.items()}


def cut_by_time(train: list[str]) -> tuple[list[str], list[str]]:
    """Ids of the supernet's and of the search's images: two blocks of a tenth of every drive go to the search.

    A drive is what precedes the last underscore of an id. One frame beside each block belongs to neither, since it
    nearly repeats the block's first or last frame.
    """
    supernet, search = [], []
    for _, group in groupby(sorted(train), key=lambda name: name.rsplit("_", 1)[0]):
        drive = list(group)
        blocks = [(int(first * len(drive)), int(last * len(drive))) for first, last in _SEARCH_BLOCKS]
        for place, name in enumerate(drive):
            if any(first <= place < last for first, last in blocks):
                search.append(name)
            elif not any(first < last and first - 1 <= place <= last for first, last in blocks):
                supernet.append(name)
    return supernet, search


def _read_list(file: Path) -> list[str]:
    if not file.exists():
        raise UserError(f"CamVid file {file} is missing; expected {_TREE}")
    with explain_os_errors(file, "read"):
        # SegNet's lists name both files of an image in a line; an id once is enough.
        ids = list(dict.fromkeys(Path(entry).stem for entry in file.read_text().split()))
    if not ids:
        raise UserError(f"CamVid list {file} is empty: it needs one image id a line")
    return ids


def _is_segnet_s(root: Path) -> bool:
    return (root / "trainannot").is_dir() and not (root / "labels").is_dir()


def _sample(root: Path, folder: str, name: str) -> Sample:
    image, label = root / "images" / folder / f"{name}.jpg", root / "labels" / folder / f"{name}.png"
    if _is_segnet_s(root):
        image, label = root / folder / f"{name}.png", root / f"{folder}annot" / f"{name}.png"
    if not image.exists() and image.with_suffix(".png").exists():
        image = image.with_suffix(".png")
    for file in (image, label):
        if not file.exists():
            raise UserError(f"CamVid file {file} is missing; expected {_TREE}")
    return Sample(name, image, label)
