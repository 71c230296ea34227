"""How supernets are trained, as data: one frozen record a recipe, and the phases of progressive activation.

`tiny` is for two processor cores and minutes, the `paper-…` ones are for GPUs. Lu et al., arXiv 2208.06820, train the
encoder on ImageNet for 1,200 epochs and the whole on Cityscapes for 300; what the paper leaves open (the shares of the
phases, their learning rates) follows published Once-for-All runs: a short phase at a small rate as new options come
in, then a longer one with all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from mosegnet.common.errors import UserError
from mosegnet.space import OUT_CHANNELS, Space

ALL = 99  # options: as many as the digit has

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a training: how many options of each kind of digit are drawn from, counted from the largest down.

    `share` is of the whole budget, `rate` a factor of the recipe's learning rate.
    """

    name: str
    share: float
    rate: float = 1.0
    depth: int = 1
    expand: int = 1
    width: int = 1
    scale: int = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """What, beside space, data, budget and seed, decides the result; kept in the supernet's file.

    `batch` counts images a step at the largest input, over all processes and all parts that gradients are accumulated
    of. `minutes` or `epochs` is the budget where none is given.
    """

    name: str
    phases: tuple[Phase, ...]
    optimiser: Literal["adamw", "sgd"]
    learning_rate: float
    weight_decay: float
    batch: int
    minutes: float | None = None
    epochs: int | None = None
    accumulate: int = 1
    sandwich: bool = True  # the largest and the smallest network in every step
    random_networks: int = 1  # per step, beside these
    distil: bool = True  # smaller networks also follow the largest one's opinion
    warm_up: float = 0.05  # share of each phase
    poly_power: float = 0.9
    gradient_norm: float | None = None  # gradients are clipped to it
    weighted_classes: bool = False  # rare classes count more (ENet)
    matched_areas: bool = False  # after the training each class is called over as much area as it is labelled over
    hard_examples: bool = False  # only pixels whose class has a probability under 0.7 (OHEM)
    label_smoothing: float = 0.0
    label_reduction: int = 1  # the loss is taken at so much less than the largest input's resolution
    small_input_batches: int = 1  # a small input's batch is larger, at most so many times
    average: float | None = None  # decay of the weights' exponential moving average
    precision: Precision = "auto"  # auto: bf16 on a GPU that has it, fp32 elsewhere
    channels_last: bool = True
    checkpointing: bool = False  # activations are computed again instead of kept
    sizes: tuple[int, ...] = ()  # square inputs instead of the space's scales, small to large
    validations: int = 0  # over the whole training
    on_corrupt: Literal["stop", "skip"] = "stop"  # what an image that cannot be decoded does


def _progressive(largest: float, first: float, rest: float) -> tuple[Phase, ...]:
    """The largest network, then depths, middle widths, output widths and input scales, two phases each."""
    active: dict[str, int] = {}
    phases = [Phase("largest", largest)]
    for kind, words in (
        ("depth", "depths"),
        ("expand", "middle widths"),
        ("width", "output widths"),
        ("scale", "input scales"),
    ):
        phases.append(Phase(f"{words}, two largest", first, 0.3, **active, **{kind: 2}))
        active[kind] = ALL
        phases.append(Phase(words, rest, 1.0, **active))
    return tuple(phases)


_EVERYTHING = (Phase("everything", 1.0, depth=ALL, expand=ALL, width=ALL, scale=ALL),)
_PROGRESSIVE = _progressive(0.2, 0.035, 0.165)

# In minutes of training the number of steps decides: one random network a step, which follows nobody, ends five points
# of mIoU above the sandwich with distillation at equal processor time (CamVid), and either beats progressive
# activation; AdamW with weighted classes beats SGD with hard examples. Two parts of a batch keep two cores busy. A
# small input's batch is larger because its operators cost little more; the loss at half resolution takes a quarter of
# the time.
_TINY = Recipe(
    "tiny",
    _EVERYTHING,
    "adamw",
    learning_rate=3e-3,
    weight_decay=1e-2,
    batch=8,
    minutes=5.0,
    accumulate=2,
    sandwich=False,
    distil=False,
    gradient_norm=5.0,
    weighted_classes=True,
    matched_areas=True,
    label_reduction=2,
    small_input_batches=2,
    precision="fp32",
)
_PAPER = Recipe(
    "paper-cityscapes",
    _PROGRESSIVE,
    "sgd",
    learning_rate=0.01,
    weight_decay=5e-4,
    batch=16,
    epochs=300,
    sandwich=False,
    random_networks=2,
    hard_examples=True,
    average=0.9998,
    checkpointing=True,
    validations=30,
)
_RECIPES = {
    recipe.name: recipe
    for recipe in (
        _TINY,
        replace(_TINY, name="tiny-progressive", phases=_PROGRESSIVE),
        replace(
            _TINY,
            name="tiny-imagenet",
            sizes=(64, 96, 128),
            batch=32,
            label_reduction=1,
            weighted_classes=False,
            matched_areas=False,
            label_smoothing=0.1,
        ),
        _PAPER,
        replace(_PAPER, name="paper-cocostuff", weight_decay=1e-4, epochs=150),
        replace(_PAPER, name="paper-voc", weight_decay=1e-4, epochs=150),
        replace(
            _PAPER,
            name="paper-imagenet",
            learning_rate=0.4,  # of batch 1024, by the usual linear rule
            weight_decay=3e-5,
            batch=1024,
            epochs=1200,
            hard_examples=False,
            label_smoothing=0.1,
            sizes=(160, 192, 224),
            checkpointing=False,
        ),
    )
}
NAMES = tuple(_RECIPES)


def get(name: str, **changes: Any) -> Recipe:
    """The recipe `name`, with `changes` that are not None.

    Raises:
        UserError: there is no such recipe.
    """
    if name not in _RECIPES:
        raise UserError(f"unknown recipe {name!r}: choose one of {', '.join(NAMES)}")
    return replace(_RECIPES[name], **{key: value for key, value in changes.items() if value is not None})


def choose(space: Space, data: str) -> str:
    """The name of the recipe that suits the space's widths and the data set's kind (`KIND` or `KIND:PATH`)."""
    kind = data.partition(":")[0]
    if space.stage_channels[0][-1] < OUT_CHANNELS[0]:
        return "tiny-imagenet" if kind == "imagenet" else "tiny"
    name = f"paper-{kind}"
    return name if name in _RECIPES else _PAPER.name
