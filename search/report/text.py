"""Numbers and names as a reader wants them: no more digits than are known, units said once."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Sequence

from mosegnet.space import DEPTH, EXPAND, SCALE, SLOTS, STEM_DEPTH, STEM_WIDTH, WIDTH

MINUS = "\N{MINUS SIGN}"
ABSENT = "\N{EN DASH}"


def significant(value: float | None, digits: int = 3) -> str:
    """With so many significant digits and no exponent; a dash for None."""
    if value is None:
        return ABSENT
    decimals = max(0, digits - 1 - _magnitude(value))
    return _signed(f"{value:,.{decimals}f}")


def fixed(value: float | None, decimals: int, sign: bool = False) -> str:
    """With so many decimals; a dash for None."""
    if value is None:
        return ABSENT
    return _signed(f"{value:{'+' if sign else ''},.{decimals}f}")


def with_interval(value: float | None, half: float | None) -> str:
    """`12.34 ± 0.21`: the half-width has two significant digits and the value as many decimals."""
    if value is None or not half:
        return significant(value)
    decimals = min(6, max(0, 1 - _magnitude(half)))
    return _signed(f"{value:,.{decimals}f} ± {half:.{decimals}f}")


def percent(share: float | None, decimals: int = 1) -> str:
    """A share in 0..1 as a percentage, without the sign of it."""
    return fixed(None if share is None else 100 * share, decimals)


def tau(value: float | None) -> str:
    """A rank correlation."""
    return fixed(value, 2)


def size(hw: Sequence[int]) -> str:
    """An input size, height × width."""
    return f"{hw[0]}×{hw[1]}"


def counted(n: int, noun: str) -> str:
    """`1 network`, `3 networks`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def encoding(digits: Sequence[int]) -> str:
    """The digits in their groups: input scale · stem · stages 1 to 4."""
    cuts = [*(place for place in (SCALE, STEM_DEPTH, *DEPTH) if place < len(digits)), len(digits)]
    groups = ["".join(map(str, digits[a:b])) for a, b in itertools.pairwise(cuts)]
    return " · ".join(groups)


def digit_name(digit: int) -> str:
    """What a digit of the encoding decides."""
    names = {SCALE: "the input scale", STEM_DEPTH: "the stem’s depth", STEM_WIDTH: "the stem’s width"}
    for s, slots in enumerate(SLOTS):
        names[DEPTH[s]], names[WIDTH[s]] = f"stage {s + 1}’s depth", f"stage {s + 1}’s width"
        names |= {EXPAND[s] + k: f"the expansion of stage {s + 1}’s layer {k + 1}" for k in range(slots)}
    return names.get(digit, f"digit {digit}")


def plain(value: object) -> str:
    """Text for Plotly, which takes some tags in a label for markup."""
    return html.escape(str(value), quote=False)


def shortened(value: object, limit: int = 14) -> str:
    """An id that fits beside a bar."""
    text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value else 0


def _signed(text: str) -> str:
    return text.replace("-", MINUS)
