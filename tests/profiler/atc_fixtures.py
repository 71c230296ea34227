"""What the tests of conversions share: a scripted `atc` in a folder of its own, and small models for it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from profiler.convert import Atc, AtcOptions, LocalRunner

SCRIPT = Path(__file__).parent / "scripted_atc.py"


class Scripted:
    """The scripted `atc` and what it has been asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "root"
        (folder / "calls").mkdir()

    def modes(self, *modes: str) -> None:
        """What the next calls do; the last one stays."""
        (self.folder / "modes").write_text("\n".join(modes))

    @property
    def command(self) -> tuple[str, ...]:
        """As an option."""
        return (sys.executable, "-S", str(SCRIPT), str(self.folder))

    @property
    def calls(self) -> list[dict[str, Any]]:
        """What it has been called with, in order."""
        return [json.loads(path.read_text()) for path in sorted((self.folder / "calls").glob("*.json"))]

    def options(self, **changes: Any) -> AtcOptions:
        """Options that lead to it."""
        return AtcOptions(**{"soc": "Ascend310", "command": self.command, "cann": "6.0.1", **changes})

    def atc(self, **changes: Any) -> Atc:
        """An `Atc` that leads to it."""
        return Atc(self.options(**changes), LocalRunner(self.root))

    def left(self) -> list[Path]:
        """Folders that conversions have left."""
        return sorted(self.root.iterdir()) if self.root.exists() else []

    def alive(self) -> list[int]:
        """Processes of it that go on running, its children included."""
        pids = [call["pid"] for call in self.calls]
        with contextlib.suppress(OSError):
            pids.append(int((self.folder / "child").read_text()))
        return survivors(pids)


def survivors(pids: list[int]) -> list[int]:
    """Those that still run after a while: a killed process takes a moment to go."""
    deadline = time.monotonic() + 20
    while (alive := [pid for pid in pids if is_alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return alive


def is_alive(pid: int) -> bool:
    """Whether a process runs: a dead one whose parent has not asked for it does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def model(name: str = "m", mode: str = "", opset: int = 11) -> bytes:
    """A small model; `mode` is what the scripted `atc` does with it."""
    shape = [1, 3, 8, 8]
    x, y = (helper.make_tensor_value_info(label, TensorProto.FLOAT, shape) for label in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], name, [x], [y])
    graph.doc_string = f"mode={mode};" if mode else ""
    made: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return made.SerializeToString()
