"""One network trained by itself: it learns, resumes exactly, inherits, follows a teacher, moves to other data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from mosegnet.common.errors import UserError
from mosegnet.common.journal import read_journal
from mosegnet.modules import extract
from search import metrics
from search.chosen import front_row
from search.commands import retraining
from search.evaluate import Evaluator
from search.network_file import load_network
from search.retrain import schedules, weights
from search.retrain.training import Job, train_into, trainer_of
from search.supernet import load
from search.supernet.ranks import Ranks
from search.supernet.train import Budget


def job_of(space, dataset, steps: int = 6, x=None, schedule: str = "retrain-tiny", **values) -> Job:
    architecture = space.decode(space.smallest(1) if x is None else x)
    how = schedules.get(schedule, **values.pop("changes", {}))
    return Job("n0001", architecture, space.full_hw, dataset, how, Budget(steps=steps), 0, space, **values)


def tensors(path: Path) -> list[torch.Tensor]:
    return list(load_network(path)[0].state_dict().values())


@pytest.mark.parametrize("changes", [{}, {"optimiser": "sgd", "hard_examples": True, "accumulate": 2}])
def test_resumed_equals_unbroken(tmp_path: Path, micro_space, micro_dataset, changes) -> None:
    job = job_of(micro_space, micro_dataset, changes=changes)
    train_into(tmp_path / "unbroken", job, Ranks())
    stopped = trainer_of(job, Ranks())
    for _ in range(3):
        stopped.step()
    stopped.checkpoint(tmp_path / "resumed.checkpoint")
    train_into(tmp_path / "resumed", job, Ranks(), resume=True)
    for a, b in zip(tensors(tmp_path / "unbroken"), tensors(tmp_path / "resumed"), strict=True):
        assert torch.equal(a, b)
    assert not (tmp_path / "resumed.checkpoint").exists()


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path, micro_space, micro_dataset) -> None:
    trainer_of(job_of(micro_space, micro_dataset), Ranks()).checkpoint(tmp_path / "out.checkpoint")
    other = job_of(micro_space, micro_dataset, x=micro_space.smallest(2))
    with pytest.raises(UserError, match=r"out\.checkpoint has space"):
        train_into(tmp_path / "out", other, Ranks(), resume=True)


def test_it_learns_and_its_file_is_ready_to_use(tmp_path: Path, micro_space, micro_dataset) -> None:
    out = tmp_path / "network.safetensors"
    train_into(out, job_of(micro_space, micro_dataset, 60, micro_space.smallest(2)), Ranks())
    network, architecture, meta = load_network(out)
    assert (meta.name, meta.training["recipe"], meta.training["steps"]) == ("n0001", "retrain-tiny", 60)
    assert architecture.encoding == tuple(micro_space.smallest(2).tolist())
    evaluator = Evaluator(weights_of(micro_space), micro_dataset)
    all_background = 0.31
    assert float(metrics.miou(evaluator.network_confusions(network, "test").sum(0))) > 1.6 * all_background
    assert read_journal(out.with_suffix(".log.jsonl"))[-1]["event"] == "finished"


def weights_of(space):
    from search.supernet.store import Weights
    from search.supernet.tasks import initial_network

    return Weights(space, initial_network(space, 0))


def test_a_network_of_small_input_sees_the_same_parts(micro_space, micro_dataset) -> None:
    """Two networks that differ in input size alone draw the same masks."""
    found = []
    for scale in (0, 2):
        job = job_of(micro_space, micro_dataset, x=micro_space.smallest(scale))
        trainer = trainer_of(replace(job, schedule=schedules.get("retrain-tiny", small_input_batches=1)), Ranks())
        images, labels = trainer._sampler.at(0, 0, 0)
        assert tuple(images.shape[2:]) == micro_space.scales[scale]
        found.append(labels)
    assert torch.equal(*found)


def test_inherited_begins_as_the_supernets_slices(micro_space, micro_dataset, micro_supernet) -> None:
    supernet, x = load(micro_supernet), micro_space.smallest(1)
    trainer = trainer_of(job_of(micro_space, micro_dataset, start=weights.inherited(supernet, x.tolist())), Ranks())
    expected = extract(supernet.network, micro_space.decode(x)).state_dict()
    for name, tensor in trainer.task.network.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_transfer_begins_with_other_heads_and_says_so(micro_supernet, micro_space, micro_dataset, capsys) -> None:
    more = type(micro_space).from_dict(micro_space.to_dict() | {"classes": 4})
    dataset = replace(micro_dataset, classes=("a", "b", "c", "d"), palette=((0, 0, 0),) * 4)
    start = weights.inherited(load(micro_supernet), micro_space.smallest(1).tolist())
    trainer = trainer_of(job_of(more, dataset, start=start), Ranks())
    trainer.step()
    assert "3 classes became 4: decoder.head.1.conv.weight" in capsys.readouterr().err


def test_a_teacher_changes_the_loss_and_only_in_training(micro_space, micro_dataset, micro_supernet) -> None:
    teacher = weights.teacher(load(micro_supernet), micro_dataset, micro_space.scales[1], torch.device("cpu"))
    before = {name: tensor.clone() for name, tensor in teacher.network.state_dict().items()}
    losses = []
    for own in (None, teacher):
        trainer = trainer_of(job_of(micro_space, micro_dataset, teacher=own), Ranks())
        trainer.step()
        losses.append(trainer.place.losses["network"])
    assert losses[1] > losses[0]
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.network.state_dict().items())


def test_teachers_and_supernets_that_do_not_fit(micro_space, micro_dataset, micro_supernet) -> None:
    supernet = load(micro_supernet)
    other = replace(micro_dataset, classes=("a", "b"))
    with pytest.raises(UserError, match="teacher of the same classes: the supernet has 3, boxes has 2"):
        weights.teacher(supernet, other, (32, 64), torch.device("cpu"))
    wider = type(micro_space).from_dict(micro_space.to_dict() | {"width": 0.5})
    with pytest.raises(UserError, match="is of the space 'micro'"):
        weights.fits(supernet, wider.decode(wider.smallest()))


def test_a_loss_that_is_not_finite_stops(tmp_path: Path, micro_space, micro_dataset) -> None:
    job = job_of(micro_space, micro_dataset, changes={"learning_rate": 1e30, "gradient_norm": None})
    with pytest.raises(UserError, match=r"not finite at step \d, phase 'the network', network network"):
        train_into(tmp_path / "out", job, Ranks())
    assert (tmp_path / "out.checkpoint").exists()
    assert not (tmp_path / "out").exists()


def test_validations_are_of_the_network_alone(tmp_path: Path, micro_space, micro_dataset) -> None:
    out = tmp_path / "out"
    train_into(out, job_of(micro_space, micro_dataset, 2, changes={"validations": 1, "average": 0.5}), Ranks())
    (validation,) = [one for one in read_journal(out.with_suffix(".log.jsonl")) if one["event"] == "validation"]
    assert list(validation["accuracy"]) == ["network"]
    assert 0 < validation["accuracy"]["network"] < 1


def test_the_papers_schedules() -> None:
    for data, steps in (("cityscapes", 40_000), ("cocostuff", 20_000), ("voc", 80_000)):
        own = schedules.get(schedules.choose(10**10, f"{data}:somewhere"))
        recipe = own.recipe
        assert (own.steps, own.a_card, recipe.batch) == (steps, True, 8)
        assert (recipe.optimiser, recipe.learning_rate, recipe.weight_decay) == ("sgd", 0.01, 1e-5)
        assert (recipe.poly_power, recipe.warm_up) == (0.9, 0.0)
    assert schedules.choose(10**8, "camvid:somewhere") == "retrain-tiny"
    assert not schedules.get("retrain-voc", batch=16).a_card
    with pytest.raises(UserError, match="choose one of retrain-tiny"):
        schedules.get("none")


def run_folder(tmp_path: Path, micro_table: Path, micro_space) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "lut.json").write_bytes(micro_table.read_bytes())
    (folder / "config.toml").write_text('data = "boxes"\n')
    rows = [
        {"id": f"n{k:04d}", "encoding": micro_space.smallest(k).tolist(), "miou": 0.1 * k, "latency_ms": 1.0 + k}
        | {"ci95_ms": 0.1, "chosen": []}
        for k in range(3)
    ]
    (folder / "pareto.json").write_text(json.dumps({"networks": rows}))
    return folder


def test_picks(tmp_path: Path, micro_table, micro_space) -> None:
    folder = run_folder(tmp_path, micro_table, micro_space)
    found = {words: front_row(folder, words)["id"] for words in ("fastest", "best", "n0001", "best flops")}
    assert found == {"fastest": "n0000", "best": "n0002", "n0001": "n0001", "best flops": "n0000"}
    with pytest.raises(UserError, match="only n0000, n0001, n0002"):
        front_row(folder, "n9")
    with pytest.raises(UserError, match="cannot read the choice 'nicest'"):
        front_row(folder, "nicest")
    with pytest.raises(UserError, match="holds no run"):
        front_row(tmp_path, "best")


def test_the_command(tmp_path: Path, micro_table, micro_space, micro_dataset, micro_supernet, monkeypatch) -> None:
    monkeypatch.setattr("search.datasets.load", lambda spec: micro_dataset)
    folder = run_folder(tmp_path, micro_table, micro_space)
    words = [str(folder), "--pick", "fastest", "--start", "inherited", "--steps", "1"]
    refused = CliRunner().invoke(retraining.retrain, words)
    assert isinstance(refused.exception, UserError)
    assert "needs the --supernet" in str(refused.exception)
    done = CliRunner().invoke(retraining.retrain, [*words, "--supernet", str(micro_supernet)], catch_exceptions=False)
    assert done.exit_code == 0
    _, architecture, meta = load_network(folder / "retrained" / "n0000-inherited.safetensors")
    assert architecture.encoding == tuple(micro_space.smallest(0).tolist())
    assert meta.training["start"].startswith("inherited from supernet ")
    for wrong, message in (([], "name one network"), (["--encoding", "[0]"], "digits"), (["--pick", "best"], "RUN")):
        found = CliRunner().invoke(retraining.retrain, [*wrong, "--data", "x", "--steps", "1"])
        assert isinstance(found.exception, UserError)
        assert message in str(found.exception)
