"""The encoder is trained on whole images first, and a supernet begins with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mosegnet import space as spaces
from mosegnet.common.errors import UserError
from search.datasets import load as load_data
from search.supernet import load, recipes
from search.supernet.loop import train
from search.supernet.start import from_supernet
from search.supernet.store import read, save, save_encoder
from search.supernet.train import Budget, Trainer


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> str:
    """Three classes of photographs, told apart by their colour."""
    root, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 2)):
        for label, name in enumerate(("n01", "n02", "n03")):
            (root / part / name).mkdir(parents=True)
            for k in range(count):
                pixels = rng.integers(0, 120, (40, 50, 3), dtype=np.uint8)
                pixels[..., label] += 120
                Image.fromarray(pixels).save(root / part / name / f"{k}.JPEG")
    return f"imagenet:{root}"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory, photographs: str, micro_space) -> tuple[Path, Trainer]:
    folder = tmp_path_factory.mktemp("encoder")
    recipe = recipes.get(
        "tiny-imagenet", sizes=(32, 64), batch=6, average=0.9, accumulate=1, sandwich=True, distil=True
    )
    trainer = Trainer(micro_space, load_data(photographs), recipe, Budget(steps=12), seed=0)
    first = trainer.step() or trainer.place.losses["largest"]
    trainer.checkpoint(folder / "checkpoint")
    train(trainer, folder / "checkpoint", every_s=1e9)
    assert trainer.place.losses["largest"] < first
    save_encoder(trainer.finish(), folder / "encoder.safetensors")
    return folder, trainer


def test_every_size_is_scored(encoder) -> None:
    scores = encoder[1].validate(1)
    assert list(scores) == ["largest", "smallest", "random_1"]
    assert all(0 <= score <= 1 for score in scores.values())
    assert scores["largest"] > 1 / 3


def test_it_resumes_exactly(encoder, photographs: str, micro_space) -> None:
    folder, trainer = encoder
    again = Trainer(micro_space, load_data(photographs), trainer.recipe, trainer.budget, seed=0)
    again.restore(folder / "checkpoint")
    train(again, folder / "unused", every_s=1e9)
    ours, theirs = again.task.module.state_dict(), trainer.task.module.state_dict()
    assert all(torch.equal(ours[name], theirs[name].cpu()) for name in ours)


def test_an_encoder_is_no_supernet_but_a_start(encoder, micro_space, micro_dataset) -> None:
    path = encoder[0] / "encoder.safetensors"
    with pytest.raises(UserError, match="holds a pre-trained encoder, not a supernet yet"):
        load(path)
    begun = from_supernet(path, micro_space)
    trainer = Trainer(micro_space, micro_dataset, recipes.get("tiny"), Budget(steps=1), 0, start=begun)
    own, given = trainer.task.network.state_dict(), read(path)[1]
    assert given
    assert all(torch.equal(own[name], tensor) for name, tensor in given.items())
    assert {name.split(".")[0] for name in given} == {"stem", "stages"}
    wide = spaces.load({"preset": "paper", "scales": micro_space.scales, "classes": 3})
    misfit = from_supernet(path, wide)
    with pytest.raises(UserError, match=r"does not fit the space 'paper': stem\.conv1"):
        Trainer(wide, micro_dataset, recipes.get("tiny"), Budget(steps=1), 0, start=misfit)


def test_a_supernet_goes_on_with_other_classes(tmp_path: Path, micro_space, micro_dataset) -> None:
    """Only what is as wide as there are classes begins anew."""
    path, wider = tmp_path / "supernet.safetensors", spaces.load({**micro_space.to_dict(), "classes": 5})
    save(Trainer(micro_space, micro_dataset, recipes.get("tiny"), Budget(steps=1), 0).finish(), path)
    dataset = replace(micro_dataset, classes=tuple("abcde"))
    trainer = Trainer(wider, dataset, recipes.get("tiny"), Budget(steps=1), 1, start=from_supernet(path, wider))
    own, given = trainer.task.network.state_dict(), read(path)[1]
    fresh = [name for name in own if own[name].shape != given[name].shape]
    assert fresh
    assert all(name.split(".")[1] in ("head", "auxiliary") for name in fresh)
    assert all(torch.equal(own[name], given[name]) for name in own if name not in fresh)


def test_a_recipe_for_the_other_task_is_refused(photographs: str, micro_space) -> None:
    with pytest.raises(UserError, match="recipe 'tiny' is not for classification"):
        Trainer(micro_space, load_data(photographs), recipes.get("tiny"), Budget(steps=1), 0)
