"""What stands beside an exported model: all that is needed to use it, and where it comes from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mosegnet.architecture import Architecture
from search.chosen import Chosen
from search.deploy import Deployed, Format
from search.export import TOLERANCE
from search.supernet.store import DataSummary

SCHEMA, SCHEMA_VERSION = "mosegnet-export", 1


@dataclass(frozen=True, slots=True)
class Known:
    """What else is known of the network, each as JSON data, absent where it is not known.

    `data` says what the network was trained on; `miou` has a value, a split and a data set.
    """

    data: DataSummary | None
    miou: dict[str, Any] | None = None
    predicted: dict[str, Any] | None = None
    measured: dict[str, Any] | None = None
    run: dict[str, Any] = field(default_factory=dict)


def manifest_path(model: Path) -> Path:
    """Beside the model, so that two formats of one network do not meet: `net.om` has `net.om.json`."""
    return model.with_name(f"{model.name}.json")


def manifest(path: Path, format_: Format, chosen: Chosen, made: Deployed, known: Known) -> dict[str, Any]:
    """The manifest of a model at `path`, as JSON data."""
    architecture, data, found = chosen.network.architecture, known.data, made.agreement
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "file": path.name,
        "format": format_,
        "precision": made.form.precision,
        "bytes": len(made.data),
        "sha256": hashlib.sha256(made.data).hexdigest(),
        "name": chosen.name,
        "weights": chosen.weights,
        "encoding": list(architecture.encoding),
        "space": chosen.space.name if chosen.space else None,
        "input": _input(architecture, data),
        "output": _output(architecture, made),
        "classes": list(data.classes) if data else None,
        "data": data.name if data else None,
        "miou": known.miou,
        "latency": {"predicted": known.predicted, "measured": known.measured},
        "agreement": {
            "with": "PyTorch, single precision",
            "images": found.images,
            "largest_difference": found.largest_difference,
            "tolerance": TOLERANCE[made.form.precision],
            "same_class_share": found.same_class_share,
        },
        "device": made.device.get("device"),
        "runtime": made.device.get("runtime"),
        "converter": made.device.get("converter") or None,
        "simulated": bool(made.device.get("simulated")),
        "run": known.run or None,
        "tool_version": version("mosegnas-hil"),
    }


def _input(architecture: Architecture, data: DataSummary | None) -> dict[str, Any]:
    """How an image becomes the model's input."""
    return {
        "name": "image",
        "shape": [1, 3, *architecture.input_hw],
        "layout": "NCHW",
        "type": "float32",
        "channels": "RGB",
        "resize": "bilinear, antialiased where it reduces",
        "normalise": "(value / 255 - mean) / std",
        "mean": list(data.mean) if data else None,
        "std": list(data.std) if data else None,
    }


def _output(architecture: Architecture, made: Deployed) -> dict[str, Any]:
    size = made.form.output_hw or architecture.input_hw
    if made.form.output == "classes":
        return {"name": "classes", "shape": [1, 1, *size], "layout": "NCHW", "type": "uint8", "is": "class of a pixel"}
    shape = [1, architecture.classes, *size]
    return {"name": "logits", "shape": shape, "layout": "NCHW", "type": "float32", "is": "largest at a pixel's class"}
