"""Data sets by name: `synthetic`, or `KIND:PATH`."""

from __future__ import annotations

from mosegnet.common.errors import UserError
from search.datasets import camvid, cityscapes, cocostuff, folder, imagenet, synthetic, voc
from search.datasets.base import Dataset, Split

__all__ = ["NAMES", "Dataset", "Split", "load"]

_FOLDERS = {
    "camvid": camvid.load,
    "cityscapes": cityscapes.load,
    "cocostuff": cocostuff.load,
    "voc": voc.load,
    "imagenet": imagenet.load,
    "folder": folder.load,
}
NAMES = ("synthetic", *_FOLDERS)


def load(spec: str) -> Dataset:
    """The data set `synthetic` or `KIND:PATH`, such as `camvid:data/camvid`; pixels are read or made when asked for.

    Raises:
        UserError: the kind is unknown, the path is missing, or the folder is not laid out as the kind needs.
    """
    kind, colon, path = spec.partition(":")
    if kind == "synthetic":
        if colon:
            raise UserError(
                f"data set {spec!r}: synthetic makes its own images and takes no path, write just synthetic"
            )
        return synthetic.load()
    if kind not in _FOLDERS:
        known = ", ".join(["synthetic", *(f"{name}:PATH" for name in _FOLDERS)])
        raise UserError(f"unknown data set {spec!r}: choose one of {known}")
    if not path:
        raise UserError(f"data set {spec!r} needs its folder: write {kind}:PATH")
    return _FOLDERS[kind](path)
