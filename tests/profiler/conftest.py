import json
import subprocess

import pytest
from profiler_fixtures import COMMAND, small_space
from sshd_fixture import server  # noqa: F401 - a fixture

from profiler import link
from profiler.build import build
from profiler.devices import Device


@pytest.fixture
def scripted(monkeypatch):
    """Every link of this test goes to the scripted agent."""
    monkeypatch.setattr(link, "AGENT_COMMAND", COMMAND)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of a few MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], check=False,
                      capture_output=True).returncode:  # fmt: skip
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="session")
def space():
    return small_space()


@pytest.fixture(scope="session")
def table_file(tmp_path_factory, space):
    """A finished table of the scripted device. Copy it before changing it."""
    out = tmp_path_factory.mktemp("tables") / "scripted.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link, "AGENT_COMMAND", COMMAND)
        build(Device(name="scripted"), space, out, seed=0, resume=False)
    return out


@pytest.fixture
def edit(table_file, tmp_path):
    """A function that writes a changed copy of the table; with `seal`, its checksum fits the change."""
    from profiler.lut import checksum

    def write(change, seal=True):
        value = json.loads(table_file.read_text())
        stated = value.pop("sha256")
        change(value)
        value["sha256"] = checksum(value) if seal else stated
        path = tmp_path / "edited.json"
        path.write_text(json.dumps(value))
        return path

    return write
