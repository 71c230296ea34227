"""Files of earlier versions still load and still mean the same: never edit an asset, add one for each new version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from profiler import lut

ASSETS = Path(__file__).parents[1] / "assets"


def test_table_of_version_1() -> None:
    table = lut.load(ASSETS / "lut_v1.json")
    sampled = [2, 1, 1, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1, 1, 2, 2, 1, 1, 1, 2, 0, 2, 2, 0, 1, 2, 1, 0, 0]
    X = np.array([table.space.smallest(), table.space.largest(), sampled])
    assert table.predict(X) == pytest.approx([0.16773232, 1.03561216, 0.53966176], abs=1e-8)
    assert table.space.fingerprint == "762e6181532d629b56a096c3b8ae2f3a636d8e21ad2d900ef7164565422ca2fd"
    assert table.device.simulated is False


def test_table_of_version_2() -> None:
    table = lut.load(ASSETS / "lut_v2.json")
    sampled = [1, 1, 1, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1, 1, 2, 2, 1, 1, 1, 2, 0, 2, 2, 0, 1, 2, 1, 0, 0]
    X = np.array([table.space.smallest(), sampled])
    assert table.predict(X) == pytest.approx([0.7023256, 2.2960298], abs=1e-8)
    assert table.predict_interval(X)[1] == pytest.approx([0.001004326, 0.003283323], abs=1e-8)
    assert table.space.fingerprint == "df5836db2131e52eaa659f53511f7ffbf8d07e2416ca077ed6baf9cdcf2df077"
    assert len(table.table.unmeasured) == 6
    assert table.runs([table.space.smallest(), table.space.largest()]).tolist() == [True, False]


def test_table_of_version_2_with_energy() -> None:
    """Of the stand-in of a graphics card."""
    table = lut.load(ASSETS / "lut_v2_energy.json")
    X = np.array([table.space.smallest(), table.space.largest()])
    assert table.predict(X) == pytest.approx([0.1864623, 0.2861701], abs=1e-8)
    assert table.predict_energy(X) == pytest.approx([27.9758232, 42.8257722], abs=1e-7)
    assert table.predict_energy_interval(X)[1] == pytest.approx([0.1197365, 0.1661640], abs=1e-7)
    assert table.device.simulated is True
    assert table.table.energy is not None
    assert table.table.energy.source == "counter"
