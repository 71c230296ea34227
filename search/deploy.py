"""The formats that a network is deployed in: a file's bytes each, and how what they compute is had."""

from __future__ import annotations

import io
import json
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mosegnet.common.errors import UserError
from mosegnet.common.files import write_atomic
from mosegnet.modules import Network
from search.export import Agreement, Form, agreement, in_onnxruntime, onnx_model
from search.remeasure import profiler
from search.scoring import folded

Format = Literal["onnx", "om", "tensorrt", "torch"]
ON_DEVICE = ("om", "tensorrt")  # made for one device, and tried on it


@dataclass(frozen=True, slots=True)
class Deployed:
    """A model ready to be written: `form` as it came out, and what the device said of itself, if there was one."""

    data: bytes
    form: Form
    agreement: Agreement
    onnx: bytes  # what a latency is measured with
    device: dict[str, Any] = field(default_factory=dict)


def deploy(
    network: Network,
    format_: Format,
    form: Form,
    images: Tensor,
    device: str | None = None,
    any_precision: bool = False,
) -> Deployed:
    """Make the model and compare it with PyTorch on `images` (N, 3, H, W), normalised, at the network's input size.

    For `om` and `tensorrt` the device converts and computes; `any_precision` takes it as the device computes.

    Raises:
        UserError: a device is missing or computes in another precision, or the model cannot be converted.
        DeviceError: the device failed.
    """
    if format_ in ON_DEVICE:
        if device is None:
            raise UserError(f"--format {format_} is made for one device: name it, --device D")
        return _on_device(network, format_, form, images, device, any_precision)
    model = onnx_model(network, form)
    if format_ == "onnx":
        return Deployed(model, form, agreement(network, form, images, in_onnxruntime(model)), model)
    program = _torch_program(network, form)
    module = torch.export.load(io.BytesIO(program)).module()

    def run(image: Tensor) -> Any:
        with torch.no_grad():
            return module(image).numpy()

    return Deployed(program, form, agreement(network, form, images, run), model)


def _on_device(
    network: Network, format_: Format, form: Form, images: Tensor, device: str, any_precision: bool
) -> Deployed:
    """The converter or the device's own runtime brings the precision, so both start from single."""
    onnx = onnx_model(network, replace(form, precision="fp32"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_atomic(folder / "network.onnx", onnx)
        np.savez(folder / "images.npz", image=images[:, None].numpy())
        said = profiler(
            [
                *("convert", "--device", device, str(folder / "network.onnx"), "--json"),
                *("--out", str(folder / "model"), "--run", str(folder / "images.npz")),
                *("--results", str(folder / "results.npz")),
            ],
            device,
            failed="the network could not be converted for or run on",
            remedy="mend it and repeat",
        )
        data = (folder / "model").read_bytes()
        with np.load(folder / "results.npz", allow_pickle=False) as file:
            (rows,) = (file[output] for output in file.files)
    described = json.loads(said)
    if any_precision:
        form = replace(form, precision=described["precision"])
    _refuse_other_runtime(format_, form, described)
    answers = iter(rows)
    return Deployed(data, form, agreement(network, form, images, lambda image: next(answers)), onnx, described)


def _refuse_other_runtime(format_: Format, form: Form, described: dict[str, Any]) -> None:
    runtime, device = described["runtime"]["name"], described["device"]
    if runtime != {"om": "acl", "tensorrt": "tensorrt"}[format_]:
        raise UserError(f"--format {format_} is nothing for {device}, whose runtime is {runtime}: name another device")
    if described["precision"] != form.precision:
        raise UserError(
            f"{device} computes in {described['precision']}, not in {form.precision}: leave --precision out, or "
            "configure a device with the other"
        )


class _Program(nn.Module):
    """The network with its output as wished; inputs and outputs stay single in half precision."""

    def __init__(self, network: Network, form: Form) -> None:
        super().__init__()
        self.network = folded(network).cpu()
        self.dtype = torch.float16 if form.precision == "fp16" else torch.float32
        self.network.to(self.dtype)
        self.size = form.output_hw or network.architecture.input_hw
        self.classes = form.output == "classes"

    def forward(self, image: Tensor) -> Tensor:
        logits = self.network.forward_eighth(image.to(self.dtype))[0].float()
        logits = F.interpolate(logits, size=self.size, mode="bilinear", align_corners=False)
        return logits.argmax(dim=1, keepdim=True).to(torch.uint8) if self.classes else logits


def _torch_program(network: Network, form: Form) -> bytes:
    """A program of torch.export: graph and weights, which `torch.export.load` takes without this project's code."""
    image = torch.zeros(1, 3, *network.architecture.input_hw)
    with torch.no_grad():
        program = torch.export.export(_Program(network, form).eval(), (image,), strict=False)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()
