"""One measurable piece of a network and its key, made of what the hardware sees and never of a stage's number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

Shape = tuple[int, int, int]  # channels, height, width

IMAGE_CHANNELS = 3
STEM_STRIDE = 4


@dataclass(frozen=True, slots=True)
class StemUnit:
    """Image to 1/4: strided 3x3 conv, `depth` residual 3x3 convs, 3x3 conv, strided 3x3 max-pool."""

    kind: ClassVar[str] = "stem"
    height: int  # of the image
    width: int
    middle: int
    channels: int
    depth: int

    @property
    def key(self) -> str:
        """The unit's name in a table."""
        return f"stem {IMAGE_CHANNELS}>{self.middle}>{self.channels} d{self.depth} {self.height}x{self.width}"

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """(3, H, W)."""
        return ((IMAGE_CHANNELS, self.height, self.width),)

    @property
    def output_shape(self) -> Shape:
        """(channels, H/4, W/4)."""
        return (self.channels, self.height // STEM_STRIDE, self.width // STEM_STRIDE)


@dataclass(frozen=True, slots=True)
class LayerUnit:
    """A bottleneck 1x1, 3x3 (strided), 1x1; with a projection on the shortcut it is the first of its stage."""

    height: int  # of the input
    width: int
    channels_in: int
    middle: int
    channels: int
    stride: int
    projection: bool

    @property
    def kind(self) -> str:
        """ "first" with a projection, "layer" without one."""
        return "first" if self.projection else "layer"

    @property
    def key(self) -> str:
        """The unit's name in a table."""
        return f"{self.kind} {self.channels_in}>{self.middle}>{self.channels} s{self.stride} {self.height}x{self.width}"

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """(channels_in, H, W)."""
        return ((self.channels_in, self.height, self.width),)

    @property
    def output_shape(self) -> Shape:
        """(channels, H/stride, W/stride)."""
        return (self.channels, self.height // self.stride, self.width // self.stride)


@dataclass(frozen=True, slots=True)
class DecoderUnit:
    """BiSeNet's decoder: image and the features at 1/8, 1/16 and 1/32 to the logits at the image's size.

    Yu et al., "BiSeNet", ECCV 2018. The spatial path sees the image; its last 1x1 conv also takes the feature of
    stage 2, so that detail comes from the encoder too.
    """

    kind: ClassVar[str] = "decoder"
    height: int  # of the image
    width: int
    channels_8: int
    channels_16: int
    channels_32: int
    spatial: int
    context: int
    fusion: int
    head: int
    classes: int

    @property
    def key(self) -> str:
        """The unit's name in a table."""
        inner = f"{self.spatial}.{self.context}.{self.fusion}.{self.head}"
        features = f"{self.channels_8}+{self.channels_16}+{self.channels_32}"
        return f"decoder {features}>{inner}>{self.classes} {self.height}x{self.width}"

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """The image, then the features at 1/8, 1/16 and 1/32."""
        h, w = self.height, self.width
        return (
            (IMAGE_CHANNELS, h, w),
            (self.channels_8, h // 8, w // 8),
            (self.channels_16, h // 16, w // 16),
            (self.channels_32, h // 32, w // 32),
        )

    @property
    def output_shape(self) -> Shape:
        """(classes, H, W)."""
        return (self.classes, self.height, self.width)


@dataclass(frozen=True, slots=True)
class PlainStemUnit:
    """A plain ResNet's image to 1/4: strided 7x7 conv, strided 3x3 max-pool (He et al., CVPR 2016)."""

    kind: ClassVar[str] = "plain_stem"
    height: int  # of the image
    width: int
    channels: int

    @property
    def key(self) -> str:
        """The unit's name in a table."""
        return f"{self.kind} {IMAGE_CHANNELS}>{self.channels} {self.height}x{self.width}"

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """(3, H, W)."""
        return ((IMAGE_CHANNELS, self.height, self.width),)

    @property
    def output_shape(self) -> Shape:
        """(channels, H/4, W/4)."""
        return (self.channels, self.height // STEM_STRIDE, self.width // STEM_STRIDE)


@dataclass(frozen=True, slots=True)
class PlainLayerUnit:
    """A plain ResNet's block: its projection is a strided 1x1 conv, without the average pool of the D variant.

    With `middle` a bottleneck 1x1, 3x3 (strided), 1x1; with `middle` 0 a basic block of two 3x3, the first strided.
    """

    height: int  # of the input
    width: int
    channels_in: int
    middle: int
    channels: int
    stride: int
    projection: bool

    @property
    def kind(self) -> str:
        """ "plain" for a bottleneck, "basic" for a basic block; with a projection "plain_first", "basic_first"."""
        return ("plain" if self.middle else "basic") + ("_first" if self.projection else "")

    @property
    def key(self) -> str:
        """The unit's name in a table."""
        return f"{self.kind} {self.channels_in}>{self.middle}>{self.channels} s{self.stride} {self.height}x{self.width}"

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """(channels_in, H, W)."""
        return ((self.channels_in, self.height, self.width),)

    @property
    def output_shape(self) -> Shape:
        """(channels, H/stride, W/stride)."""
        return (self.channels, self.height // self.stride, self.width // self.stride)


AnyStem = StemUnit | PlainStemUnit
AnyLayer = LayerUnit | PlainLayerUnit
Unit = AnyStem | AnyLayer | DecoderUnit
