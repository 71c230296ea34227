"""A network as an ONNX file to deploy: batch norms folded, outputs compared with PyTorch's before it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
import torch
from torch import Tensor
from torch.nn import functional as F

from mosegnet.common.errors import UserError
from mosegnet.common.files import write_atomic
from mosegnet.digits import FloatArray, IntArray
from mosegnet.half import to_half
from mosegnet.modules import Network
from mosegnet.onnx_graph import Output, network_model
from mosegnet.space import Space

Precision = Literal["fp32", "fp16"]
TOLERANCE: dict[Precision, float] = {"fp32": 1e-4, "fp16": 0.02}  # of the largest logit

Run = Callable[[Tensor], FloatArray]  # one image (1, 3, H, W) to what the exported model gives, in any shape


@dataclass(frozen=True, slots=True)
class Form:
    """What the exported model gives: `output` logits or classes, at `output_hw`, by default the input's size."""

    output: Output = "logits"
    precision: Precision = "fp32"
    output_hw: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How closely an exported model agrees with PyTorch on so many images.

    `largest_difference` of the logits is relative to the largest, None where the model gives classes;
    `worse_class_share` is the share of pixels whose class PyTorch finds clearly worse than its own.
    """

    images: int
    largest_difference: float | None
    same_class_share: float
    worse_class_share: float

    def refuse(self, path: Path | str, precision: Precision) -> None:
        """Stop where the model is not the network that it was made of.

        Raises:
            UserError: the outputs are off by more than the precision accounts for.
        """
        tolerance = TOLERANCE[precision]
        if self.largest_difference is not None and not self.largest_difference <= tolerance:
            raise UserError(
                f"{path} was not written: its outputs differ from PyTorch's by {self.largest_difference:.1e} of the "
                f"largest logit, {precision} accounts for {tolerance:g}"
            )
        if self.worse_class_share > 0:
            raise UserError(
                f"{path} was not written: at {self.worse_class_share:.2%} of the pixels its class is one that "
                f"PyTorch finds worse than its own by more than {precision} accounts for"
            )


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and how closely ONNX Runtime agrees with PyTorch on it."""

    path: Path
    largest_difference: float  # of the logits, relative to the largest
    same_class_share: float  # of the pixels


def export_onnx(network: Network, path: Path | str, images: Tensor) -> Exported:
    """Write `network` (in evaluation mode) to `path`: input `image` (1, 3, H, W) normalised, output `logits`.

    images: (N, 3, H, W) float32 at the network's input size; the file is written only if ONNX Runtime's logits on them
    are PyTorch's.

    Raises:
        UserError: the outputs differ by more than 1e-4 of the largest logit, or the file cannot be written.
    """
    form = Form()
    model = onnx_model(network, form)
    found = agreement(network, form, images, in_onnxruntime(model))
    found.refuse(path, form.precision)
    write_atomic(path, model)
    assert found.largest_difference is not None
    return Exported(Path(path), found.largest_difference, found.same_class_share)


def onnx_model(network: Network, form: Form) -> bytes:
    """The network as ONNX, batch norms folded; in half precision inputs and outputs stay single."""
    weights = {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}
    model = network_model(network.architecture, weights, form.output, form.output_hw)
    return to_half(model) if form.precision == "fp16" else model


def in_onnxruntime(model: bytes) -> Run:
    """Runs an ONNX model on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(image: Tensor) -> FloatArray:
        output: FloatArray = session.run(None, {"image": image.contiguous().numpy()})[0]
        return output

    return run


def agreement(network: Network, form: Form, images: Tensor, run: Run) -> Agreement:
    """Compare what `run` gives for each image (N, 3, H, W) with PyTorch's own in single precision."""
    network = network.cpu().eval()
    tolerance, differences, same, worse = TOLERANCE[form.precision], [], [], []
    for image in images:
        expected = _logits(network, form, image[None])
        scale = max(float(np.abs(expected).max()), 1e-30)
        best = expected.argmax(axis=1)  # (1, H, W)
        shape = best.shape if form.output == "classes" else expected.shape
        found = np.asarray(run(image[None]))
        if found.size != best.size * (1 if form.output == "classes" else expected.shape[1]):
            raise UserError(f"the exported model gives {found.size} values, the network {int(np.prod(shape))}")
        found = found.reshape(shape)
        if form.output == "classes":
            classes = found.astype(np.int64)
        else:
            classes = found.argmax(axis=1)
            differences.append(float(np.abs(found - expected).max()) / scale)
        same.append(float((classes == best).mean()))
        worse.append(_worse(expected, classes, 2 * tolerance * scale))
    largest = None if form.output == "classes" else max(differences)
    return Agreement(len(images), largest, float(np.mean(same)), max(worse))


def random_network(space: Space, encoding: IntArray) -> Network:
    """An untrained network, the same each time: good for timing, whose result does not depend on the weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Network(space.decode(encoding)).eval()


def random_images(network: Network) -> Tensor:
    """Two normalised images of noise at the network's input size, (2, 3, H, W), the same each time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, *network.architecture.input_hw, generator=generator)


def _logits(network: Network, form: Form, image: Tensor) -> FloatArray:
    size = form.output_hw or network.architecture.input_hw
    with torch.no_grad():
        logits = F.interpolate(network.forward_eighth(image)[0], size=size, mode="bilinear", align_corners=False)
    array: FloatArray = logits.numpy()
    return array


def _worse(expected: FloatArray, classes: IntArray, slack: float) -> float:
    """The share of pixels whose class has a logit further below the best than rounding accounts for."""
    known = (classes >= 0) & (classes < expected.shape[1])  # (1, H, W)
    own = np.take_along_axis(expected, np.where(known, classes, 0)[:, None], axis=1)[:, 0]
    return float((~known | (own < expected.max(axis=1) - slack)).mean())
