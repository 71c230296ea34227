"""Which training images guide the search: set apart for good, the same for everybody who has the same files.

The paper sets 500 images of every training set apart. It does not say which, so they are chosen here once: streets in
contiguous blocks, since neighbouring frames resemble each other; photographs, which have no neighbours, evenly spread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from mosegnet.common.errors import UserError

SEARCH_IMAGES = 500
_LARGEST_SHARE = 5  # at most one image in five; 500 of Cityscapes' 2,975 are one in six


def search_count(images: int) -> int:
    """500, or a fifth of a smaller set.

    Raises:
        UserError: there are fewer than two images.
    """
    if images < 2:
        raise UserError(f"{images} training image is too few to set some apart for the search")
    return max(1, min(SEARCH_IMAGES, round(images / _LARGEST_SHARE)))


def in_blocks(ids: Sequence[str], group_of: Callable[[str], str]) -> tuple[list[str], list[str]]:
    """Ids for the supernet and for the search: the middle block of every group, in proportion to the groups' sizes.

    Sizes are rounded by largest remainders, so that together they are exactly `search_count`.
    """
    groups = [list(group) for _, group in groupby(sorted(ids), key=group_of)]
    total = search_count(len(ids))
    exact = [total * len(group) / len(ids) for group in groups]
    sizes = [int(size) for size in exact]
    by_remainder = sorted(range(len(groups)), key=lambda k: (sizes[k] - exact[k], k))
    for k in by_remainder[: total - sum(sizes)]:
        sizes[k] += 1
    supernet, search = [], []
    for group, size in zip(groups, sizes, strict=True):
        first = (len(group) - size) // 2
        search += group[first : first + size]
        supernet += group[:first] + group[first + size :]
    return supernet, search


def evenly(ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Ids for the supernet and for the search: every so-manieth of the sorted ids."""
    ordered = sorted(ids)
    total = search_count(len(ordered))
    chosen = {int((k + 0.5) * len(ordered) / total) for k in range(total)}
    supernet = [name for k, name in enumerate(ordered) if k not in chosen]
    return supernet, [ordered[k] for k in sorted(chosen)]
