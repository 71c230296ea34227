"""How training images are varied, one record a data set.

`CITYSCAPES` is the paper's: crops of 768x1536 and scales 0.75 … 2.0, both BiSeNet's (Yu et al., ECCV 2018). For
COCO-Stuff the crops are BiSeNet's 640x640; the paper names none for VOC, 512x512 shows its images (at most 500) whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is drawn anew for every image.

    Attributes:
        crop_hw: the size of the crops; None where the network's input size decides.
        scales: how large things become, see `scale_of`.
        scale_of: `image`: 1 shows the whole image at the crop's size, drawn evenly on a logarithmic axis between the
            first and the last of `scales`; `pixels`: 1 keeps the image's own pixels, one of `scales` is drawn; `area`:
            a part of the image's area between the two, of aspect 3:4 … 4:3 (classification).
        colour: strength of the changes in brightness, contrast and saturation: factors from 1 - colour … 1 + colour.
        flip: whether half of the images are mirrored left to right.
    """

    crop_hw: tuple[int, int] | None
    scales: tuple[float, ...]
    scale_of: Literal["image", "pixels", "area"]
    colour: float
    flip: bool = True


_BISENET_SCALES = (0.75, 1.0, 1.25, 1.5, 1.75, 2.0)

# In minutes of training a wider augmentation costs more than it gives.
TINY = Recipe(None, (1.0, 1.5), "image", 0.1)
CITYSCAPES = Recipe((768, 1536), _BISENET_SCALES, "pixels", 0.3)
COCOSTUFF = Recipe((640, 640), _BISENET_SCALES, "pixels", 0.3)
VOC = Recipe((512, 512), _BISENET_SCALES, "pixels", 0.3)
IMAGENET = Recipe((224, 224), (0.08, 1.0), "area", 0.4)
# The whole image at the wanted size, nothing drawn: for validation.
PLAIN = Recipe(None, (1.0, 1.0), "image", 0.0, flip=False)

# Per channel over ImageNet: encoders are trained there first, and expect its figures everywhere.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
