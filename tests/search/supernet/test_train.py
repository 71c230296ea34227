"""Training: it learns, it can be stopped anywhere, and threads change nothing."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from mosegnet.common.journal import read_journal
from search.evaluate import Evaluator
from search.supernet import load, recipes, save
from search.supernet.logbook import Logbook
from search.supernet.loop import train
from search.supernet.train import Budget, Trainer


def trainer(space, dataset, steps: int = 6, seed: int = 0, recipe: str = "tiny", **changes) -> Trainer:
    return Trainer(space, dataset, recipes.get(recipe, **changes), Budget(steps=steps), seed)


def weights(own: Trainer) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in own.finish().network.state_dict().values()]


def assert_same(a: list[torch.Tensor], b: list[torch.Tensor]) -> None:
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sandwich": True, "distil": True, "accumulate": 1},
        {"recipe": "tiny-progressive", "optimiser": "sgd", "average": 0.9, "accumulate": 2, "hard_examples": True},
    ],
)
def test_resumed_equals_unbroken(tmp_path: Path, micro_space, micro_dataset, changes) -> None:
    unbroken = trainer(micro_space, micro_dataset, **changes)
    train(unbroken, tmp_path / "unused", every_s=1e9)
    checkpoint = tmp_path / "checkpoint"
    stopped = trainer(micro_space, micro_dataset, **changes)
    for _ in range(3):
        stopped.step()
    stopped.checkpoint(checkpoint)
    stopped.step()  # lost with the process
    resumed = trainer(micro_space, micro_dataset, **changes)
    resumed.restore(checkpoint)
    assert resumed.place.steps == 3
    train(resumed, checkpoint, every_s=1e9)
    assert_same(weights(resumed), weights(unbroken))


def test_the_number_of_threads_changes_nothing(micro_space, micro_dataset) -> None:
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            own = trainer(micro_space, micro_dataset)
            own.step()
            found.append(weights(own))
    finally:
        torch.set_num_threads(before)
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_it_learns_and_every_size_profits(tmp_path: Path, micro_space, micro_dataset) -> None:
    own = trainer(micro_space, micro_dataset, steps=60)
    train(own, tmp_path / "unused", every_s=1e9)
    supernet = own.finish()
    evaluator = Evaluator(supernet, micro_dataset)
    all_background = 0.31  # class 0 everywhere: its share of the pixels, over three classes
    assert evaluator.miou(micro_space.largest()) > 1.6 * all_background
    assert evaluator.miou(micro_space.smallest(scale=2)) > 1.3 * all_background
    assert supernet.training["steps"] == 60
    assert supernet.training["recipe"] == "tiny"


def test_a_loss_that_is_not_finite_stops(tmp_path: Path, micro_space, micro_dataset) -> None:
    own = trainer(micro_space, micro_dataset)
    own.step()
    own.checkpoint(tmp_path / "checkpoint")
    good = (tmp_path / "checkpoint").read_bytes()
    with torch.no_grad():
        own.task.network.stem.conv1.conv.weight.fill_(float("nan"))
    log = Logbook(tmp_path / "log.jsonl")
    where = r"not finite at step 1, phase 'everything', random network \[\d, .*\], images supernet\d+, .*: the last"
    with pytest.raises(UserError, match=where):
        train(own, tmp_path / "checkpoint", every_s=0.0, log=log)
    assert (tmp_path / "checkpoint").read_bytes() == good
    assert read_journal(log.path)[-1]["event"] == "stopped"


def test_other_class_counts_are_refused(micro_dataset) -> None:
    with pytest.raises(UserError, match='"classes": 3'):
        trainer(spaces.load("tiny"), micro_dataset)


@pytest.mark.parametrize(("minutes", "steps"), [(None, None), (1.0, 5), (0.0, None), (None, -1)])
def test_budgets(minutes: float | None, steps: int | None) -> None:
    with pytest.raises(UserError):
        Budget(minutes, steps)


def test_parts_of_a_batch_are_the_batch(micro_space, micro_dataset) -> None:
    """But for the statistics of batch norm, which are each part's own."""
    found = []
    for accumulate in (1, 2):
        own = trainer(micro_space, micro_dataset, accumulate=accumulate)
        own.step()
        found.append(own.place.losses)
    assert found[0] == pytest.approx(found[1], rel=0.2)


@pytest.mark.parametrize(
    "changes",
    [{"checkpointing": True}, {"channels_last": False}],
    ids=["activations computed twice", "channels first"],
)
def test_what_saves_time_or_memory_changes_nothing(micro_space, micro_dataset, changes) -> None:
    found = []
    for own_changes in ({}, changes):
        own = trainer(micro_space, micro_dataset, **own_changes)
        for _ in range(2):
            own.step()
        found.append(own.place.losses)
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_half_precision_trains_alike(micro_space, micro_dataset) -> None:
    found = []
    for precision in ("fp32", "bf16"):
        own = trainer(micro_space, micro_dataset, precision=precision)
        own.step()
        found.append(own.place.losses)
    assert found[0] == pytest.approx(found[1], rel=0.05)
    assert found[0] != found[1]


def test_with_and_without_sandwich_and_distillation(micro_space, micro_dataset) -> None:
    for sandwich, distil in itertools.product((True, False), repeat=2):
        own = trainer(micro_space, micro_dataset, sandwich=sandwich, random_networks=2, distil=distil)
        own.step()
        assert list(own.place.losses) == (["largest", "smallest", "random"] if sandwich else ["random"])


def test_a_batch_that_cannot_be_divided(micro_space, micro_dataset) -> None:
    with pytest.raises(UserError, match="take a --batch that 3 divides"):
        trainer(micro_space, micro_dataset, accumulate=3)
    with pytest.raises(UserError, match="one image a part, too few for batch norm"):
        trainer(micro_space, micro_dataset, accumulate=8)


def test_the_log_tells_phases_steps_and_validations(tmp_path: Path, micro_space, micro_dataset) -> None:
    own, log = trainer(micro_space, micro_dataset, steps=3, validations=1), Logbook(tmp_path / "log.jsonl")
    train(own, tmp_path / "checkpoint", every_s=0.0, log=log)
    records = read_journal(log.path)
    assert [record["event"] for record in records] == ["phase", "step", "step", "validation", "step", "finished"]
    assert list(records[3]["accuracy"]) == ["largest", "smallest", "random_1", "random_2", "random_3"]
    assert records[1]["loss"].keys() == {"random"}


def test_store_round_trip_and_refusals(tmp_path: Path, micro_space, micro_dataset) -> None:
    supernet = trainer(micro_space, micro_dataset).finish()
    path = tmp_path / "supernet.safetensors"
    save(supernet, path)
    again = load(path, micro_space)
    assert again.fingerprint() == supernet.fingerprint()
    assert again.data == supernet.data
    with pytest.raises(UserError, match="is of the space 'micro'"):
        load(path, spaces.load("tiny"))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match="damaged"):
        load(path)
    with pytest.raises(UserError, match="does not exist"):
        load(tmp_path / "none.safetensors")
