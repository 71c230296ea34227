"""A network as an ONNX file to deploy: batch norms folded, outputs compared with PyTorch's before it counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from mosegnet.common.errors import UserError
from mosegnet.common.files import write_atomic
from mosegnet.digits import IntArray
from mosegnet.modules import Network
from mosegnet.onnx_graph import network_model
from mosegnet.space import Space

TOLERANCE = 1e-4  # of the largest logit


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
    network = network.cpu().eval()
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    model = network_model(network.architecture, weights)
    difference, same = _compare(network, model, images)
    if difference > TOLERANCE:
        raise UserError(
            f"{path} was not written: its outputs differ from PyTorch's by {difference:.1e} of the largest logit"
        )
    write_atomic(path, model)
    return Exported(Path(path), difference, same)


def random_network(space: Space, encoding: IntArray) -> Network:
    """An untrained network, the same each time: good for timing, whose result does not depend on the weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Network(space.decode(encoding)).eval()


def random_images(network: Network) -> Tensor:
    """Two normalised images of noise at the network's input size, (2, 3, H, W), the same each time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, *network.architecture.input_hw, generator=generator)


def _compare(network: Network, model: bytes, images: Tensor) -> tuple[float, float]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    difference, same = 0.0, []
    for image in images:
        with torch.no_grad():
            logits = network(image[None])
        assert isinstance(logits, Tensor)
        expected = logits.numpy()
        found = session.run(None, {"image": image[None].contiguous().numpy()})[0]
        scale = max(float(np.abs(expected).max()), 1e-30)
        difference = max(difference, float(np.abs(found - expected).max()) / scale)
        same.append(float((found.argmax(axis=1) == expected.argmax(axis=1)).mean()))
    return difference, float(np.mean(same))
