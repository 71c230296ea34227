"""An encoding decoded: the input size, the depths and the units of one network, in the order they run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mosegnet.unit import AnyLayer, AnyStem, DecoderUnit, Unit


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network of a space, or a baseline of none, whose encoding is empty.

    `units` are the stem, the layers stage by stage (`depths[s]` of them in stage s), and the decoder.
    """

    encoding: tuple[int, ...]
    input_hw: tuple[int, int]
    depths: tuple[int, ...]
    units: tuple[Unit, ...]

    @property
    def stem(self) -> AnyStem:
        """The first unit."""
        unit = self.units[0]
        assert isinstance(unit, AnyStem)
        return unit

    @property
    def decoder(self) -> DecoderUnit:
        """The last unit."""
        unit = self.units[-1]
        assert isinstance(unit, DecoderUnit)
        return unit

    @property
    def classes(self) -> int:
        """How many channels the logits have."""
        return self.decoder.classes

    def stages(self) -> Iterator[tuple[AnyLayer, ...]]:
        """The layers of each stage."""
        start = 1
        for depth in self.depths:
            layers = self.units[start : start + depth]
            yield tuple(layer for layer in layers if isinstance(layer, AnyLayer))
            start += depth

    def named_units(self) -> Iterator[tuple[str, Unit]]:
        """Each unit with the prefix of its weights in a state dict: `stem`, `stages.0.1`, …, `decoder`."""
        yield "stem", self.stem
        for s, layers in enumerate(self.stages()):
            for k, layer in enumerate(layers):
                yield f"stages.{s}.{k}", layer
        yield "decoder", self.decoder
