"""How single networks are trained, as data: the paper's schedule for each data set, and one for a laptop.

Lu et al., arXiv 2208.06820: SGD with momentum 0.9 and weight decay 1e-5, polynomial decay (0.9) from 0.01, 40,000
iterations of 8 crops (1536x768) a card on Cityscapes; halved for COCO-Stuff and extended for VOC. By how much it is
extended we do not know: twice is ours, and --steps says otherwise. Hard-example mining is BiSeNet's, as in the
supernet's recipes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mosegnet.common.errors import UserError
from search.supernet.recipes import Phase, Recipe
from search.supernet.recipes import get as supernet_recipe


@dataclass(frozen=True, slots=True)
class Schedule:
    """A recipe and its usual budget: one of `minutes` and `steps`.

    `a_card` says that the recipe's batch is of each process, not of all of them together.
    """

    recipe: Recipe
    minutes: float | None = None
    steps: int | None = None
    a_card: bool = False


_ALL_OF_IT = (Phase("the network", 1.0),)

_PAPER = Recipe(
    "retrain-cityscapes",
    _ALL_OF_IT,
    "sgd",
    learning_rate=0.01,
    weight_decay=1e-5,
    batch=8,
    sandwich=False,
    distil=False,
    warm_up=0.0,
    poly_power=0.9,
    hard_examples=True,
    validations=10,
)

# As the supernet of the same size is trained: what suits minutes on two cores does not depend on weights being shared.
_TINY = replace(supernet_recipe("tiny"), name="retrain-tiny", phases=_ALL_OF_IT, minutes=None)

_SCHEDULES = {
    schedule.recipe.name: schedule
    for schedule in (
        Schedule(_TINY, minutes=5.0),
        Schedule(_PAPER, steps=40_000, a_card=True),
        Schedule(replace(_PAPER, name="retrain-cocostuff"), steps=20_000, a_card=True),
        Schedule(replace(_PAPER, name="retrain-voc"), steps=80_000, a_card=True),
    )
}
NAMES = tuple(_SCHEDULES)
_SMALL_MACS = 2_000_000_000  # networks under it train in minutes on a laptop


def get(name: str, **changes: Any) -> Schedule:
    """The schedule `name`, its recipe with `changes` that are not None.

    Raises:
        UserError: there is no such schedule.
    """
    if name not in _SCHEDULES:
        raise UserError(f"unknown recipe {name!r}: choose one of {', '.join(NAMES)}")
    schedule = _SCHEDULES[name]
    wanted = {key: value for key, value in changes.items() if value is not None}
    a_card = schedule.a_card and "batch" not in wanted
    return replace(schedule, recipe=replace(schedule.recipe, **wanted), a_card=a_card)


def choose(flops: int, data: str) -> str:
    """The name of the schedule for a network of so many multiply-adds on the data set `KIND` or `KIND:PATH`."""
    if flops < _SMALL_MACS:
        return _TINY.name
    name = f"retrain-{data.partition(':')[0]}"
    return name if name in _SCHEDULES else _PAPER.name
