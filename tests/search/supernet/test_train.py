"""Training: it learns, it can be stopped anywhere, and threads change nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from search.evaluate import Evaluator
from search.supernet import load, recipes, save
from search.supernet.loop import train
from search.supernet.train import Budget, Trainer


def trainer(space, dataset, steps: int = 6, seed: int = 0, recipe: str = "tiny", **changes) -> Trainer:
    return Trainer(space, dataset, recipes.get(recipe, **changes), Budget(steps=steps), seed)


def weights(own: Trainer) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in own.network.state_dict().values()]


def assert_same(a: list[torch.Tensor], b: list[torch.Tensor]) -> None:
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_resumed_equals_unbroken(tmp_path: Path, micro_space, micro_dataset) -> None:
    unbroken = trainer(micro_space, micro_dataset)
    train(unbroken, tmp_path / "unused", every_s=1e9)
    checkpoint = tmp_path / "checkpoint"
    stopped = trainer(micro_space, micro_dataset)
    for _ in range(3):
        stopped.step()
    stopped.checkpoint(checkpoint)
    stopped.step()  # lost with the process
    resumed = trainer(micro_space, micro_dataset)
    resumed.restore(checkpoint)
    assert resumed.steps == 3
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


def test_a_training_of_another_kind_is_not_resumed(tmp_path: Path, micro_space, micro_dataset) -> None:
    trainer(micro_space, micro_dataset).checkpoint(tmp_path / "checkpoint")
    with pytest.raises(UserError, match="seed 0, this training 1"):
        trainer(micro_space, micro_dataset, seed=1).restore(tmp_path / "checkpoint")


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_damaged_checkpoints_are_said(tmp_path: Path, micro_space, micro_dataset, damage: bytes | None) -> None:
    path = tmp_path / "checkpoint"
    own = trainer(micro_space, micro_dataset)
    own.checkpoint(path)
    path.write_bytes(path.read_bytes()[:1000] if damage is None else damage)
    with pytest.raises(UserError, match="damaged"):
        own.restore(path)


def test_a_loss_that_is_not_finite_stops(tmp_path: Path, micro_space, micro_dataset) -> None:
    own = trainer(micro_space, micro_dataset)
    with torch.no_grad():
        own.network.stem.conv1.conv.weight.fill_(float("nan"))
    with pytest.raises(UserError, match="not finite at step 0: the last good checkpoint is"):
        train(own, tmp_path / "checkpoint", every_s=1e9)


def test_other_class_counts_are_refused(micro_dataset) -> None:
    with pytest.raises(UserError, match='"classes": 3'):
        trainer(spaces.load("tiny"), micro_dataset)


@pytest.mark.parametrize(("minutes", "steps"), [(None, None), (1.0, 5), (0.0, None), (None, -1)])
def test_budgets(minutes: float | None, steps: int | None) -> None:
    with pytest.raises(UserError):
        Budget(minutes, steps)


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
