"""Images and masks read from files, every fault named with its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from mosegnet.common.errors import UserError
from search.metrics import VOID

_UNKNOWN = 254  # marks ids that stand for nothing; so at most 254 classes
_MOST_NAMED = 8

ByteArray = np.ndarray


class LayoutError(UserError):
    """A folder is not laid out as its data set is published: the first missing file, and the tree below it."""

    has_lines = True

    def __init__(self, what: str, missing: Path, tree: str, hint: str = "") -> None:
        super().__init__(f"{what}: {missing} is missing{', ' + hint if hint else ''}; expected\n{tree}")
        self.missing = missing


class SampleError(UserError):
    """One image or mask that cannot be used: `file`, what is wrong with it in `kind`, and the unknown `ids` if any."""

    def __init__(self, file: Path, kind: str, message: str, ids: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.file, self.kind, self.ids = file, kind, tuple(ids)


class CorruptImage(SampleError):
    """A file that cannot be decoded; the only fault that `--on-corrupt skip` passes over."""

    def __init__(self, file: Path, reason: object) -> None:
        super().__init__(file, "corrupt", f"{file} is damaged or no image: {reason}")


@contextmanager
def opened(file: Path) -> Iterator[Image.Image]:
    """A decoded PIL image.

    Raises:
        CorruptImage: it cannot be opened or decoded to its end.
    """
    try:
        image = Image.open(file)
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise CorruptImage(file, error) from error
    with image:
        yield image


def size_hw(file: Path) -> tuple[int, int]:
    """The size in the file's header; pixels are not decoded."""
    try:
        with Image.open(file) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise CorruptImage(file, error) from error


def read_rgb(file: Path) -> ByteArray:
    """(H, W, 3) uint8, whatever the file's mode."""
    with opened(file) as image:
        return np.array(image.convert("RGB"))


def read_ids(file: Path) -> ByteArray:
    """(H, W) uint8, the values or palette indices as they are stored.

    Raises:
        SampleError: the picture has colours instead of one byte of class id a pixel.
    """
    with opened(file) as image:
        if image.mode not in ("L", "P"):
            raise SampleError(file, "mode", f"{file} has mode {image.mode}, not one byte of class id a pixel")
        return np.array(image)


def read_mat(file: Path, fields: Sequence[str]) -> dict[str, ByteArray]:
    """The wanted arrays of a MATLAB file, as far as it has them.

    Raises:
        CorruptImage: it cannot be read.
    """
    from scipy.io import loadmat  # slow to import, and few data sets need it

    try:
        return dict(loadmat(str(file), variable_names=list(fields)))
    except MemoryError:
        raise
    except Exception as error:  # a damaged file meets many kinds in there: zlib's, struct's, SciPy's own
        raise CorruptImage(file, f"no MATLAB file ({error})") from error


class IdTable:
    """From the ids that a data set's masks hold to classes 0.. and void.

    `hints` are ways out for ids that are a known mistake, added to the message.
    """

    def __init__(self, class_of: Mapping[int, int], known: str, hints: Mapping[int, str] | None = None) -> None:
        self._table = np.full(256, _UNKNOWN, np.uint8)
        for id_, class_ in class_of.items():
            self._table[id_] = class_
        self._known, self._hints = known, dict(hints or {})

    def classes(self, file: Path, ids: ByteArray) -> ByteArray:
        """(H, W) uint8 classes and void.

        Raises:
            SampleError: names the file and the first unknown ids.
        """
        found = self._table[ids]
        wrong = found == _UNKNOWN
        if wrong.any():
            unknown = np.unique(ids[wrong]).tolist()
            more = ", …" if len(unknown) > _MOST_NAMED else ""
            named = ", ".join(str(id_) for id_ in unknown[:_MOST_NAMED]) + more
            words = f"the unknown class id {named}" if len(unknown) == 1 else f"the unknown class ids {named}"
            hint = next((f"; {self._hints[id_]}" for id_ in unknown if id_ in self._hints), "")
            raise SampleError(file, "unknown ids", f"{file} has {words}: known are {self._known}{hint}", unknown)
        return found


def plain_table(classes: int, hints: Mapping[int, str] | None = None) -> IdTable:
    """Masks that hold the class itself, and 255 for void."""
    known = f"0..{classes - 1} and {VOID} for void"
    return IdTable({**{k: k for k in range(classes)}, VOID: VOID}, known, hints)


def root_folder(path: str, what: str, tree: str) -> Path:
    """The data set's folder; `~` is the user's home.

    Raises:
        UserError: it does not exist or is no folder; shows the expected tree.
    """
    root = Path(path).expanduser()
    if root.exists() and not root.is_dir():
        raise UserError(f"{what}: {root} is no folder")
    return require(root, what, tree)


def require(file: Path, what: str, tree: str) -> Path:
    """`file`, which must exist.

    Raises:
        UserError: it does not; names it and shows the expected tree.
    """
    if not file.exists():
        raise LayoutError(what, file, tree)
    return file


def read_list(file: Path, what: str, tree: str) -> list[str]:
    """The ids of a list file, one a line.

    Raises:
        UserError: it is missing or empty.
    """
    ids = require(file, what, tree).read_text().split()
    if not ids:
        raise UserError(f"{what}: the list {file} is empty, it needs one image id a line")
    return ids
