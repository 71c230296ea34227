"""The MoSegNet space: 29 digits, what each option means, and the units that every network is made of.

Lu et al., arXiv 2208.06820, section III and supplement Table 1. One digit for the input scale; stem (d0, m0); four
stages of (d, m, e per layer slot). A digit e of a layer that d switches off is inactive: canonical form sets it to 0.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mosegnet.architecture import Architecture
from mosegnet.common.errors import UserError
from mosegnet.common.files import read_json
from mosegnet.digits import DigitSpace, IntArray
from mosegnet.unit import DecoderUnit, LayerUnit, StemUnit, Unit

OUT_CHANNELS = (256, 512, 1024, 2048)  # of the stages, at width 1
STEM_CHANNELS = 64
SPATIAL_CHANNELS, CONTEXT_CHANNELS, FUSION_CHANNELS, HEAD_CHANNELS = 64, 128, 256, 64
WIDTH_RATIOS = (0.65, 0.8, 1.0)  # digit m
EXPAND_RATIOS = (0.2, 0.25, 0.35)  # digit e: the middle as a share of the active output width
BASE_DEPTHS = (2, 2, 4, 2)
EXTRA_DEPTHS = (0, 1, 2)  # digit d
STEM_DEPTHS = (0, 1, 2)  # digit d0
STRIDES = (1, 2, 2, 2)
STEM_STRIDE = 4
SIZE_MULTIPLE = 32  # the last stage is at 1/32

STAGES = len(OUT_CHANNELS)
SLOTS = tuple(base + max(EXTRA_DEPTHS) for base in BASE_DEPTHS)  # layer slots of each stage: 4, 4, 6, 4
SCALE, STEM_DEPTH, STEM_WIDTH = 0, 1, 2  # places of the first digits
DEPTH = tuple(3 + sum(SLOTS[:s]) + 2 * s for s in range(STAGES))  # places of d: 3, 9, 15, 23
WIDTH = tuple(place + 1 for place in DEPTH)
EXPAND = tuple(place + 2 for place in DEPTH)  # place of the first e of each stage
DIGITS = 3 + sum(SLOTS) + 2 * STAGES
UNITS_PER_NETWORK = 2 + sum(SLOTS)  # stem, layer slots, decoder

# Of each of the 18 layer slots: its stage, the places of its digits, and the depth digit from which on it is there.
_STAGE_OF_SLOT = np.repeat(np.arange(STAGES), SLOTS)
_INDEX_IN_STAGE = np.concatenate([np.arange(slots) for slots in SLOTS])
_EXPAND_OF_SLOT = np.array(EXPAND)[_STAGE_OF_SLOT] + _INDEX_IN_STAGE
_DEPTH_OF_SLOT = np.array(DEPTH)[_STAGE_OF_SLOT]
_LEAST_DEPTH = _INDEX_IN_STAGE - np.array(BASE_DEPTHS)[_STAGE_OF_SLOT] + 1
_FIRST_SLOTS = np.flatnonzero(_INDEX_IN_STAGE == 0)


@dataclass(frozen=True, slots=True)
class _Widths:
    """What a space may choose freely; the digits and their meaning are the same in all of them."""

    name: str
    scales: tuple[tuple[int, int], ...]  # input sizes (height, width), small to large
    classes: int
    width: float  # multiplies every channel count of the paper
    divisor: int  # channel counts are rounded to a multiple of it


# Every side is a multiple of 32, which the last stage's stride needs. 1024x2048 is Cityscapes' full size; half and
# three quarters of it are BiSeNet's usual inputs. `tiny` has CamVid's 3:4, as nearly as multiples of 32 allow, and a
# quarter of the widths: after minutes of training a quarter scored higher than an eighth, at equal processor time.
_PRESETS = {
    "paper": _Widths("paper", ((512, 1024), (768, 1536), (1024, 2048)), classes=19, width=1.0, divisor=8),
    "tiny": _Widths("tiny", ((96, 128), (160, 224), (224, 288)), classes=11, width=0.25, divisor=2),
}


def load(spec: str | Path | Mapping[str, Any]) -> Space:
    """The space named by a preset (`paper`, `tiny`), by a JSON file, or given as a mapping.

    A mapping or file may name a `preset` and change some of its fields: `{"preset": "paper", "classes": 171}`.

    Raises:
        UserError: no such preset or file, an unknown field, or a space in which two options are the same network.
    """
    if isinstance(spec, Mapping):
        return Space.from_dict(spec)
    if str(spec) in _PRESETS:
        return Space(_PRESETS[str(spec)])
    if not Path(spec).exists():
        raise UserError(f"unknown space {str(spec)!r}: name {' or '.join(_PRESETS)}, or a JSON file that exists")
    value = read_json(spec, "space file")
    if not isinstance(value, dict):
        raise UserError(f"space file {spec} holds no JSON object")
    return Space.from_dict(value)


class Space(DigitSpace):
    """A MoSegNet space: the 29 digits over one choice of input scales, widths and classes.

    Raises:
        UserError: an input size that is no multiple of 32, or two options of a digit with equal channel counts.
    """

    def __init__(self, widths: _Widths) -> None:
        _check(widths)
        self._widths = widths
        self.name, self.scales, self.classes = widths.name, widths.scales, widths.classes
        cardinalities = [len(widths.scales), len(STEM_DEPTHS), len(WIDTH_RATIOS)]
        for slots in SLOTS:
            cardinalities += [len(EXTRA_DEPTHS), len(WIDTH_RATIOS), *[len(EXPAND_RATIOS)] * slots]
        super().__init__(cardinalities)
        self.stem_channels = self._ratios(STEM_CHANNELS)
        self.stem_middles = self._ratios(STEM_CHANNELS // 2)
        self.stage_channels = tuple(self._ratios(channels) for channels in OUT_CHANNELS)  # [stage][m]
        self.stage_middles = tuple(  # [stage][m][e]
            tuple(tuple(self.round_channels(out * e) for e in EXPAND_RATIOS) for out in outs)
            for outs in self.stage_channels
        )
        _check_distinct(self)

    # --- description ---------------------------------------------------------------------------------------------

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Space:
        """The space that `to_dict` described; see `load` for the `preset` shorthand."""
        value = dict(value)
        known = [field.name for field in fields(_Widths)]
        preset = value.pop("preset", None)
        if preset is not None and preset not in _PRESETS:
            raise UserError(f"unknown preset {preset!r}: name {' or '.join(_PRESETS)}")
        unknown = sorted(set(value) - set(known))
        if unknown:
            raise UserError(f"a space has no field {unknown[0]!r}: it has {', '.join(known)}")
        merged = (asdict(_PRESETS[preset]) if preset else {}) | value
        missing = [name for name in known if name not in merged]
        if missing:
            raise UserError(f"the space's field {missing[0]!r} is missing: give it, or a preset to start from")
        try:
            scales = tuple((int(h), int(w)) for h, w in merged["scales"])
            widths = _Widths(
                str(merged["name"]), scales, int(merged["classes"]), float(merged["width"]), int(merged["divisor"])
            )
        except (TypeError, ValueError):
            raise UserError('a space has "scales": [[height, width], …] and numbers elsewhere') from None
        return cls(widths)

    def to_dict(self) -> dict[str, Any]:
        """The space as JSON data, enough to build it again."""
        return asdict(self._widths) | {"scales": [list(scale) for scale in self.scales]}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what the networks are made of; the space's name does not count."""
        described = {key: value for key, value in self.to_dict().items() if key != "name"}
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()

    def round_channels(self, value: float) -> int:
        """The nearest multiple of the divisor, one more where that falls under 0.9 of the value."""
        divisor = self._widths.divisor
        rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
        return rounded + divisor if rounded < 0.9 * value else rounded

    def _ratios(self, channels: int) -> tuple[int, ...]:
        return tuple(self.round_channels(channels * self._widths.width * ratio) for ratio in WIDTH_RATIOS)

    # --- encodings -----------------------------------------------------------------------------------------------

    def canonical(self, X: ArrayLike) -> IntArray:
        """The encodings with every inactive digit 0, shape (n, 29): one spelling for each network."""
        X = self.validate(X).copy()
        for s in range(STAGES):
            depth = BASE_DEPTHS[s] + X[:, DEPTH[s], None]  # (n, 1) layers kept; digit d adds itself to the base
            slots = X[:, EXPAND[s] : EXPAND[s] + SLOTS[s]]
            slots[np.arange(SLOTS[s]) >= depth] = 0
        return X

    def count(self) -> int:
        """How many distinct networks: 351³ · 3159 · 9 for each input scale."""
        total = len(self.scales) * len(STEM_DEPTHS) * len(WIDTH_RATIOS)
        for base in BASE_DEPTHS:
            total *= len(WIDTH_RATIOS) * sum(len(EXPAND_RATIOS) ** (base + extra) for extra in EXTRA_DEPTHS)
        return total

    def smallest(self, scale: int = 0) -> IntArray:
        """The encoding with every digit at its least, shape (29,); `scale` picks the input size."""
        x = np.zeros(DIGITS, dtype=np.int64)
        x[SCALE] = range(len(self.scales))[scale]
        return x

    def largest(self, scale: int = -1) -> IntArray:
        """The encoding with every digit at its most, shape (29,); `scale` picks the input size."""
        x = np.array(self.cardinalities, dtype=np.int64) - 1
        x[SCALE] = range(len(self.scales))[scale]
        return x

    @property
    def full_hw(self) -> tuple[int, int]:
        """The largest input size."""
        return self.scales[-1]

    # --- units ---------------------------------------------------------------------------------------------------

    @cached_property
    def _unit_table(self) -> tuple[tuple[Unit, ...], IntArray]:
        """Distinct units, and the row of each structural place (see `_places`) in them."""
        rows: dict[Unit, int] = {}
        places = [rows.setdefault(unit, len(rows)) for unit in self._enumerate()]
        return tuple(rows), np.array([*places, len(rows)], dtype=np.int64)  # the last place is the padding

    @property
    def units(self) -> tuple[Unit, ...]:
        """Every distinct unit of the space: 180 for each input scale."""
        return self._unit_table[0]

    @cached_property
    def unit_scales(self) -> IntArray:
        """The input scale of each unit, shape (units,); of one that several scales share, the first."""
        rows = self._unit_table[1][:-1]
        scales = np.arange(len(rows)) // (len(rows) // len(self.scales))
        found = np.empty(len(self.units), dtype=np.int64)
        found[rows[::-1]] = scales[::-1]
        return found

    def unit_indices(self, X: ArrayLike) -> IntArray:
        """Rows of each network's units in `units`, shape (n, 20): stem, 18 layer slots, decoder.

        A slot that is switched off holds `len(units)`, so that a table with one more row, 0, can be gathered.
        """
        return self._unit_table[1][self._places(self.validate(X))]

    def decode(self, x: ArrayLike) -> Architecture:
        """The network that one encoding stands for."""
        x = self.canonical(x)
        if len(x) != 1:
            raise ValueError("decode takes one encoding")
        rows = self.unit_indices(x)[0]
        units = tuple(self.units[row] for row in rows if row < len(self.units))
        depths = tuple(base + int(x[0, place]) for base, place in zip(BASE_DEPTHS, DEPTH, strict=True))
        return Architecture(tuple(int(digit) for digit in x[0]), self.scales[int(x[0, SCALE])], depths, units)

    def _enumerate(self) -> list[Unit]:
        """The unit of every structural place, in the order that `_places` counts."""
        units: list[Unit] = []
        for height, width in self.scales:
            units += self._stems(height, width)
            for s in range(STAGES):
                units += self._layers(s, height, width)
            units += self._decoders(height, width)
        return units

    def _stems(self, height: int, width: int) -> list[Unit]:
        return [
            StemUnit(height, width, middle, channels, depth)
            for depth in STEM_DEPTHS
            for middle, channels in zip(self.stem_middles, self.stem_channels, strict=True)
        ]

    def _layers(self, s: int, height: int, width: int) -> list[Unit]:
        before = self.stage_channels[s - 1] if s else self.stem_channels
        reduction = STEM_STRIDE * int(np.prod(STRIDES[:s]))
        h, w = height // reduction, width // reduction
        options = [(m, e) for m in range(len(WIDTH_RATIOS)) for e in range(len(EXPAND_RATIOS))]
        outs, middles, stride = self.stage_channels[s], self.stage_middles[s], STRIDES[s]
        first: list[Unit] = [
            LayerUnit(h, w, channels_in, middles[m][e], outs[m], stride, projection=True)
            for channels_in in before
            for m, e in options
        ]
        h, w = h // stride, w // stride
        return first + [LayerUnit(h, w, outs[m], middles[m][e], outs[m], 1, projection=False) for m, e in options]

    def _decoders(self, height: int, width: int) -> list[Unit]:
        spatial, context, fusion, head = (
            self.round_channels(channels * self._widths.width)
            for channels in (SPATIAL_CHANNELS, CONTEXT_CHANNELS, FUSION_CHANNELS, HEAD_CHANNELS)
        )
        return [
            DecoderUnit(height, width, c8, c16, c32, spatial, context, fusion, head, self.classes)
            for c8, c16, c32 in itertools.product(*self.stage_channels[1:])
        ]

    def _places(self, X: IntArray) -> IntArray:
        """The structural place of each unit, shape (n, 20), by arithmetic on the digits alone."""
        m, e = len(WIDTH_RATIOS), len(EXPAND_RATIOS)
        stems, stage, decoders = len(STEM_DEPTHS) * m, m * m * e + m * e, m**3
        per_scale = stems + STAGES * stage + decoders
        base = X[:, SCALE] * per_scale
        out = X[:, WIDTH]  # (n, stages)
        places = np.empty((len(X), UNITS_PER_NETWORK), dtype=np.int64)
        places[:, 0] = base + X[:, STEM_DEPTH] * m + X[:, STEM_WIDTH]
        slots = places[:, 1:-1]  # (n, 18), a view
        np.take(out * e + (stems + m * m * e + stage * np.arange(STAGES)), _STAGE_OF_SLOT, axis=1, out=slots)
        slots += X[:, _EXPAND_OF_SLOT]
        before = np.concatenate([X[:, STEM_WIDTH, None], out[:, :-1]], axis=1)
        slots[:, _FIRST_SLOTS] += before * (m * e) - m * m * e
        slots += base[:, None]
        slots[X[:, _DEPTH_OF_SLOT] < _LEAST_DEPTH] = per_scale * len(self.scales)
        places[:, -1] = base + per_scale - decoders + (out[:, 1] * m + out[:, 2]) * m + out[:, 3]
        return places


def _check(widths: _Widths) -> None:
    if not widths.scales or widths.classes < 2 or widths.width <= 0 or widths.divisor < 1:
        raise UserError("a space needs an input scale, two classes or more, and a positive width and divisor")
    for height, width in widths.scales:
        if height < SIZE_MULTIPLE or width < SIZE_MULTIPLE or height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
            raise UserError(f"input scale {height}x{width}: both sides must be multiples of {SIZE_MULTIPLE}")
    areas = [height * width for height, width in widths.scales]
    if areas != sorted(set(areas)):
        raise UserError("the input scales must grow from small to large, each another size")


def _check_distinct(space: Space) -> None:
    """Two options that round to one channel count would be two encodings of one network."""
    groups = [space.stem_channels, *space.stage_channels, *itertools.chain(*space.stage_middles)]
    for group in groups:
        if len(set(group)) < len(group):
            raise UserError(
                f"at this width and divisor two options of a digit are the same network (channels {group}): "
                "take a larger width or a smaller divisor"
            )
