"""A space, a data set and a supernet small enough to be trained inside a test."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mosegnet import space as spaces
from mosegnet.cost import unit_costs
from mosegnet.modules import Network
from profiler import lut
from profiler.schema import Calibration, DeviceRecord, Entry, MethodRecord, Table
from search.datasets.base import Dataset, Split
from search.supernet.store import DataSummary, Supernet, save

MICRO = {"preset": "tiny", "name": "micro", "scales": [[32, 64], [64, 96], [64, 128]], "classes": 3}


@pytest.fixture(scope="session")
def micro_space() -> spaces.Space:
    """The 29 digits over three very small inputs and three classes."""
    return spaces.load(MICRO)


@pytest.fixture(scope="session")
def micro_dataset() -> Dataset:
    """See `boxes`."""
    return boxes()


def boxes() -> Dataset:
    """Noise with bright and dark boxes: class 0 behind, 1 bright, 2 dark, and a void border."""

    def load_split(name: str) -> Split:
        generator = torch.Generator().manual_seed({"supernet": 1, "search": 2, "test": 3}[name])
        images = torch.randint(90, 160, (12, 3, 64, 128), generator=generator, dtype=torch.uint8)
        labels = torch.zeros(12, 64, 128, dtype=torch.uint8)
        for k in range(12):
            for label, level in ((1, 250), (2, 5)):
                y, x = (int(torch.randint(4, high, (), generator=generator)) for high in (40, 90))
                images[k, :, y : y + 18, x : x + 28] = level
                labels[k, y : y + 18, x : x + 28] = label
        labels[:, 0] = 255
        return Split(name, images, labels, tuple(f"{name}{k}" for k in range(12)))

    grey = (0.5, 0.5, 0.5)
    return Dataset("boxes", ("back", "bright", "dark"), ((0, 0, 0), (255, 255, 255), (9, 9, 9)), grey, grey, load_split)


@pytest.fixture(scope="session")
def micro_table(tmp_path_factory, micro_space) -> Path:
    """A table file of the micro space whose latencies follow the multiply-adds."""
    costs = unit_costs(micro_space)
    entries = {
        unit.key: Entry(latency_ms=1e-3 + row[0] * 1e-8, ci95_ms=1e-5, samples=9, converged=True)
        for unit, row in zip(micro_space.units, costs[:-1], strict=True)
    }
    text = dict.fromkeys(("name", "kind", "chip", "system", "runtime", "runtime_version", "agent_version"), "made up")
    device = DeviceRecord(**text, runtime_options={}, precision="fp32", batch=1, threads=1, simulated=False)
    method = MethodRecord(
        **dict.fromkeys(("name", "clock", "statistic", "reference", "started", "finished", "tool_version"), "made up"),
        **dict.fromkeys(("target_percent", "limit_s", "reference_ms", "drift_percent", "device_time_s"), 1.0),
        **dict.fromkeys(("seed", "floor", "cap", "visits", "restarts"), 1),
        plan={"unit": len(entries)},
    )
    calibration = Calibration(constant_ms=[0.1] * 3, noise_percent=1.0, interval_percent=[2.0] * 3, networks=[])
    path = tmp_path_factory.mktemp("table") / "lut.json"
    table = Table(device=device, space=micro_space.to_dict(), method=method, entries=entries, calibration=calibration)
    lut.save(path, table)
    return path


@pytest.fixture(scope="session")
def micro_supernet(tmp_path_factory, micro_space) -> Path:
    """An untrained supernet's file: its scores are noise, but they repeat."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Network(micro_space.decode(micro_space.largest())).eval()
    grey = (0.5, 0.5, 0.5)
    path = tmp_path_factory.mktemp("supernet") / "supernet.safetensors"
    save(Supernet(micro_space, network, DataSummary("boxes", ("back", "bright", "dark"), grey, grey)), path)
    return path
