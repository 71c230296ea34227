"""Which whole networks to measure: from small to large, held out, or so chosen that every unit occurs."""

from __future__ import annotations

import numpy as np

from mosegnet.common.errors import UserError
from mosegnet.digits import IntArray
from mosegnet.space import EXPAND, SCALE, STAGES, STEM_DEPTH, STEM_WIDTH, WIDTH, Space

_LEVELS = 3  # options of every digit but the scale


def spread(space: Space, n: int, rng: np.random.Generator) -> IntArray:
    """n distinct networks from the smallest to the largest of every scale, shape (n, digits).

    Uniform draws crowd around the middle of the space; here each digit follows its network's size, with some play.
    """
    most = np.array(space.cardinalities) - 1
    rows: dict[tuple[int, ...], None] = {}
    for k in range(n):
        scale, step = k % len(space.scales), k // len(space.scales)
        steps = (n - 1 - scale) // len(space.scales)  # of this scale, after the first
        size = step / steps if steps else 0.5
        for _ in range(100):
            x = np.clip(np.rint(size * most + rng.uniform(-0.8, 0.8, len(most))), 0, most).astype(np.int64)
            x[SCALE] = scale
            row = tuple(int(digit) for digit in space.canonical(x)[0])
            if row not in rows:
                break
        rows[row] = None
    return np.array(list(rows), dtype=np.int64)


def held_out(space: Space, n: int, rng: np.random.Generator, known: IntArray) -> IntArray:
    """n networks, none of them in `known`: half drawn uniformly (over all scales), half from small to large.

    Raises:
        UserError: n is under 2, or the space is too small for so many.
    """
    if n < 2:
        raise UserError(f"{n} networks cannot prove a table: ask for 2 or more, 20 for a figure to rely on")
    return mixed(space, n, rng, known)


def mixed(space: Space, n: int, rng: np.random.Generator, known: IntArray) -> IntArray:
    """n distinct networks, none of them in `known`: half from small to large, half drawn uniformly over all scales.

    Raises:
        UserError: the space is too small for so many.
    """
    taken = {tuple(row) for row in known.tolist()}
    rows: list[tuple[int, ...]] = []
    for _ in range(50):
        uniform = space.sample(n - n // 2, rng)
        uniform[:, SCALE] = np.arange(len(uniform)) % len(space.scales)
        for row in map(tuple, np.concatenate([spread(space, n // 2, rng), uniform]).tolist()):
            if row not in taken and len(rows) < n:
                taken.add(row)
                rows.append(row)
        if len(rows) == n:
            return np.array(rows, dtype=np.int64)
    raise UserError(f"this space has not {n} networks beside those that the table was fitted to: ask for fewer")


def designed(space: Space, rng: np.random.Generator) -> IntArray:
    """27 networks for each scale in which every unit of the space occurs, shape (27 · scales, digits).

    An orthogonal array over the field of three elements (Rao, 1947): the widths of stages 2 to 4 are the coordinates
    a, b, c of its points, so each decoder occurs once; every other digit that a unit needs is a linear form of them,
    chosen so that the digits of each unit are independent: all their combinations occur equally often.
    """
    a, b, c = np.stack(np.meshgrid(*[np.arange(_LEVELS)] * 3, indexing="ij")).reshape(3, -1)
    widths = (b + c, a, b, c)
    first_expands = (a, b, c, a)  # independent of the width of their stage and of the one before
    other_expands = (a + b, b + 2 * c, a + c, a + b + c)  # independent of the width of their stage
    networks = []
    for scale in range(len(space.scales)):
        X = space.sample(len(a), rng)  # what no unit needs varies at random
        X[:, SCALE], X[:, STEM_WIDTH], X[:, STEM_DEPTH] = scale, (a + c) % _LEVELS, (a + b) % _LEVELS
        for s in range(STAGES):
            X[:, WIDTH[s]] = widths[s] % _LEVELS
            X[:, EXPAND[s]] = first_expands[s] % _LEVELS
            X[:, EXPAND[s] + 1] = other_expands[s] % _LEVELS
        networks.append(space.canonical(X))
    return np.concatenate(networks)
