import pytest

from mosegnet.common.errors import UserError
from profiler import devices


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def test_the_processor_is_built_in():
    cpu = devices.find("cpu")
    assert cpu.runtime == "onnxruntime"
    assert cpu.options == {"threads": 1, "spinning": False}


def test_an_unknown_device_names_those_known(folder):
    (folder / "devices.toml").write_text("[devices.big]\nthreads = 4\n")
    with pytest.raises(UserError, match="unknown device 'small': there is cpu, atlas, atlas-emulator, big"):
        devices.find("small")


def test_the_working_folder_comes_before_the_home(folder):
    home = folder / "home/.config/mosegnas/devices.toml"
    home.parent.mkdir(parents=True)
    home.write_text("[devices.a]\nthreads = 2\n[devices.b]\nthreads = 3\n")
    (folder / "devices.toml").write_text("[devices.a]\nthreads = 4\n")
    assert devices.find("a").threads == 4
    assert devices.find("b").threads == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[devices.cpu]\n", "built in"),
        ("[devices.a]\nthreads = 0\n", "'threads'"),
        ("[devices.a]\nthreads = 'two'\n", "'threads'"),
        ("[devices.a]\ncolour = 'red'\n", "'colour'"),
        ("[devices.a]\nruntime = 'abacus'\n", "'runtime'"),
        ("[devices.a]\nname = 'b'\n", "leave out 'name'"),
        ("[devices]\na = 3\n", "table of its own"),
        ("devices = 3\n", "table of its own"),
        ("[devices.a\n", "not valid TOML"),
        ("\xff", "not valid TOML"),
    ],
)
def test_unfit_files_are_one_line(folder, text, words):
    (folder / "devices.toml").write_text(text, encoding="latin-1")
    with pytest.raises(UserError) as error:
        devices.find("a")
    assert words in str(error.value)
    assert "devices.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_pinning(monkeypatch):
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda pid: {0, 1, 2, 5}, raising=False)
    pinned = lambda **fields: devices.Device(name="a", **fields).pinned_cores()  # noqa: E731
    assert pinned() == [5]
    assert pinned(threads=2) == [2, 5]
    assert pinned(threads=4) is None
    assert pinned(cores=(0,)) == [0]
    monkeypatch.delattr(devices.os, "sched_getaffinity")
    assert pinned() is None
