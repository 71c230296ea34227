"""`search export` as a person types it: every format compared on its device, and the manifest beside it."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner, Result
from torch.nn import functional as F

from mosegnet.common.errors import DeviceError, UserError
from mosegnet.modules import Network
from profiler import lut as tables
from search.chosen import inherited
from search.cli import cli
from search.export import Form, agreement, in_onnxruntime, onnx_model, random_images, random_network
from search.network_file import NetworkMeta, save_network
from search.remeasure import Measured
from search.supernet import Supernet, save
from search.supernet import load as load_supernet
from search.supernet.store import DataSummary


@pytest.fixture(autouse=True)
def _boxes(monkeypatch, micro_dataset) -> None:
    monkeypatch.setattr("search.datasets.load", lambda spec: micro_dataset)


@pytest.fixture
def finished(tmp_path: Path, micro_supernet: Path, micro_table: Path, micro_space) -> Path:
    """A run's folder with a front of the smallest and the largest network, as `search run` leaves it."""
    folder = tmp_path / "finished"
    folder.mkdir()
    (folder / "lut.json").write_bytes(micro_table.read_bytes())
    (folder / "supernet.safetensors").write_bytes(micro_supernet.read_bytes())
    config = {"data": "boxes", "supernet_sha256": load_supernet(micro_supernet).fingerprint()}
    (folder / "config.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in config.items()))
    rows = [
        {"id": f"n{k:04d}", "encoding": x.tolist(), "miou": miou, "latency_ms": ms, "ci95_ms": 0.01,
         "measured_ms": ms + 0.1, "measured_ci95_ms": 0.02, "chosen": []}
        for k, (x, miou, ms) in enumerate([(micro_space.smallest(), 0.5, 1.0), (micro_space.largest(), 0.7, 3.0)])
    ]  # fmt: skip
    (folder / "pareto.json").write_text(json.dumps({"networks": rows}))
    return folder


def export(*args: object) -> Result:
    return CliRunner().invoke(cli, ["export", *map(str, args)])


def manifest_of(path: Path) -> dict:
    found = json.loads(path.with_name(path.name + ".json").read_text())
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["bytes"] == path.stat().st_size
    return found


def test_a_picked_network_with_its_manifest(finished: Path, micro_space, micro_dataset, micro_table) -> None:
    done = export(finished, "--pick", "best miou", "--output", "classes", "--resize", "64x128")
    assert done.exit_code == 0, done.output
    path = finished / "exports" / "n0001.onnx"
    found = manifest_of(path)
    assert found["classes"] == ["back", "bright", "dark"]
    assert found["encoding"] == micro_space.largest().tolist()
    assert found["input"]["shape"] == [1, 3, 64, 128]
    assert (found["input"]["mean"], found["input"]["std"]) == ([0.5] * 3, [0.5] * 3)
    assert found["output"]["shape"] == [1, 1, 64, 128]
    assert found["miou"] == {"value": 0.7, "split": "search", "data": "boxes"}
    assert found["run"] == {"folder": "finished", "id": "n0001", "pick": "best miou"}
    assert found["latency"]["predicted"]["lut_sha256"] == tables.load(micro_table).sha256
    assert found["latency"]["measured"]["latency_ms"] == pytest.approx(3.1)
    assert found["agreement"]["same_class_share"] > 0.999
    assert not found["simulated"]
    # the file alone, used as the manifest says
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images = micro_dataset.to_input(micro_dataset.split("test").images[:1], (64, 128))
    classes = session.run(None, {"image": images.numpy()})[0]
    trained = load_supernet(finished / "supernet.safetensors")
    network = inherited(trained, micro_space.largest(), micro_dataset).network
    with torch.no_grad():
        expected = F.interpolate(network.forward_eighth(images)[0], (64, 128), mode="bilinear").argmax(1)
    assert classes.dtype == np.uint8
    assert (classes[:, 0] == expected.numpy()).mean() > 0.999


def test_a_retrained_network_scored_and_measured(finished: Path, micro_dataset, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("search.latency.measure", lambda models, device, threads: [Measured(2.5, 0.1, True)])
    trained = load_supernet(finished / "supernet.safetensors")
    chosen = inherited(trained, trained.space.smallest(), micro_dataset)
    save_network(tmp_path / "n.safetensors", chosen.network, NetworkMeta("n0000", trained.data, trained.space))
    args = ("--network", tmp_path / "n.safetensors", "--score", "test", "--device", "cpu")
    done = export(finished, "--pick", "n0000", *args, "--format", "torch", "--out", tmp_path / "n.pt2")
    assert done.exit_code == 0, done.output
    found = manifest_of(tmp_path / "n.pt2")
    assert found["weights"] == "re-trained"
    assert found["miou"]["split"] == "test"
    assert found["latency"]["measured"]["latency_ms"] == 2.5
    program = torch.export.load(io.BytesIO((tmp_path / "n.pt2").read_bytes())).module()
    image = random_images(chosen.network)[:1]
    with torch.no_grad():
        torch.testing.assert_close(program(image), chosen.network(image), rtol=1e-3, atol=1e-4)
    other = export(finished, "--pick", "n0001", "--network", tmp_path / "n.safetensors")
    assert "holds another network" in str(other.exception)


@pytest.mark.parametrize("output", ["logits", "classes"])
def test_an_om_is_converted_and_compared_on_its_board(
    output: str, micro_supernet: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("search.latency.measure", lambda models, device, threads: [Measured(2.5, 0.1, True)])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    trained = load_supernet(micro_supernet)
    args = ("--encoding", trained.space.smallest().tolist(), "--supernet", micro_supernet, "--data", "boxes")
    out = tmp_path / "net.om"
    done = export(*args, "--format", "om", "--device", "atlas-emulator", "--output", output, "--out", out)
    assert done.exit_code == 0, done.output
    assert out.read_bytes()[:4] == b"IMOD"
    found = manifest_of(out)
    assert found["simulated"]
    assert found["precision"] == "fp16"
    assert found["converter"]["soc"] == "Ascend310"
    assert found["agreement"]["same_class_share"] > 0.97


def test_a_wrong_conversion_is_refused(micro_space, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "script").write_text("outputs: wrong\n")
    monkeypatch.setenv("ASCEND_EMULATOR_FAULTS", str(tmp_path / "script"))
    (tmp_path / "space.json").write_text(json.dumps(micro_space.to_dict()))
    args = ("--encoding", micro_space.smallest().tolist(), "--space", tmp_path / "space.json")
    out = tmp_path / "net.om"
    refused = export(*args, "--format", "om", "--device", "atlas-emulator", "--out", out)
    assert isinstance(refused.exception, UserError)
    assert "was not written" in str(refused.exception)
    assert not out.exists()


@pytest.mark.parametrize(("version", "precision"), [("11", "fp16"), ("10", "fp32")])
def test_an_engine_is_built_by_the_device(
    version: str, precision: str, micro_space, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("search.latency.measure", lambda models, device, threads: [Measured(2.5, 0.1, True)])
    monkeypatch.setenv("MOSEGNAS_GPU_STANDIN", version)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    Path("devices.toml").write_text(f'[devices.card]\nruntime = "tensorrt"\nprecision = "{precision}"\n')
    Path("space.json").write_text(json.dumps(micro_space.to_dict()))
    args = ("--encoding", micro_space.smallest().tolist(), "--space", "space.json", "--device", "card")
    done = export(*args, "--format", "tensorrt", "--output", "classes", "--out", "net.engine")
    assert done.exit_code == 0, done.output
    found = manifest_of(tmp_path / "net.engine")
    assert found["simulated"]
    assert found["precision"] == precision
    assert found["runtime"]["tensorrt"].startswith(version)
    other = {"fp16": "fp32", "fp32": "fp16"}[precision]
    refused = export(*args, "--format", "tensorrt", "--precision", other, "--out", "other.engine")
    assert f"computes in {precision}" in str(refused.exception)
    assert not Path("other.engine").exists()


def test_half_precision_keeps_single_inputs_and_outputs(micro_space) -> None:
    network = random_network(micro_space, micro_space.smallest())
    model = onnx.load_model_from_string(onnx_model(network, Form("classes", "fp16")))
    onnx.checker.check_model(model, full_check=True)
    weights = {tensor.data_type for tensor in model.graph.initializer if tensor.name.endswith("weight")}
    assert weights == {onnx.TensorProto.FLOAT16}
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_a_class_map_that_is_off_is_refused(micro_space) -> None:
    network = random_network(micro_space, micro_space.smallest())
    images, form = random_images(network), Form("classes")
    right = in_onnxruntime(onnx_model(network, form))
    agreement(network, form, images, right).refuse("net.onnx", "fp32")
    off = agreement(network, form, images, lambda image: (right(image) + 1) % 3)
    with pytest.raises(UserError, match="PyTorch finds worse"):
        off.refuse("net.onnx", "fp32")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--out", "x"], "name one network"),
        (["run", "--out", "x"], "RUN and --pick go together"),
        (["--encoding", "[1]", "--network", "n", "--out", "x"], "name one network"),
        (["--encoding", "[1]"], "--out says which file"),
        (["--encoding", "[1]", "--supernet", "s", "--out", "x"], "--supernet needs --data"),
        (["--network", "none", "--out", "x"], "does not exist"),
        (["--encoding", "[1]", "--format", "om", "--precision", "fp32", "--out", "x"], "computes in fp16"),
        (["nowhere", "--pick", "knee"], "holds no run"),
    ],
)
def test_mistakes_are_one_line(args: list[str], said: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    error = export(*args).exception
    assert isinstance(error, UserError)
    assert said in str(error)
    assert "\n" not in str(error)
    assert not list(tmp_path.iterdir())


def test_a_format_of_another_runtime_is_refused(micro_space, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    encoding = micro_space.smallest().tolist()
    (tmp_path / "space.json").write_text(json.dumps(micro_space.to_dict()))
    args = ("--encoding", encoding, "--space", "space.json", "--format", "om", "--out", "x.om")
    assert "name it, --device" in str(export(*args).exception)
    wrong = export(*args, "--device", "cpu").exception
    assert not isinstance(wrong, DeviceError)
    assert "whose runtime is onnxruntime" in str(wrong)


def test_another_supernet_than_the_runs_is_refused(finished: Path, micro_space, micro_dataset, tmp_path: Path) -> None:
    torch.manual_seed(5)
    data = DataSummary("boxes", micro_dataset.classes, (0.5,) * 3, (0.5,) * 3)
    save(Supernet(micro_space, Network(micro_space.decode(micro_space.largest())), data), tmp_path / "other")
    refused = export(finished, "--pick", "n0000", "--supernet", tmp_path / "other").exception
    assert isinstance(refused, UserError)
    assert "is not the supernet" in str(refused)
