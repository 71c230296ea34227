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
    with pytest.raises(UserError, match=r"unknown device 'small': there is cpu, .*, atlas-emulator, big"):
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


def test_the_atlas_is_built_in_and_may_be_described_otherwise(folder):
    atlas = devices.find("atlas")
    assert (atlas.host, atlas.user, atlas.runtime, atlas.soc) == ("192.168.0.2", "HwHiAiUser", "acl", "Ascend310")
    (folder / "devices.toml").write_text('[devices.atlas]\nset_env = "~/Ascend/set_env.sh"\njump = "me@gate:2222"\n')
    mine = devices.find("atlas")
    assert (mine.host, mine.set_env, mine.jump) == ("192.168.0.2", "~/Ascend/set_env.sh", "me@gate:2222")
    assert mine.source == "devices.toml"


def test_several_boards_of_one_kind(folder):
    (folder / "devices.toml").write_text('[devices.atlas]\nhosts = ["192.168.0.2", "board-2"]\n')
    boards = devices.find("atlas").boards()
    assert [board.host for board in boards] == ["192.168.0.2", "board-2"]
    assert all(board.hosts == () and board.user == "HwHiAiUser" for board in boards)


def test_the_emulator_runs_here_with_its_stand_ins_on_the_path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/mine")
    emulator = devices.find("atlas-emulator")
    assert emulator.simulated
    assert emulator.link == "local"
    site, mine = emulator.agent_environment["PYTHONPATH"].split(":")
    assert site.endswith("device_agents/emulator/site")
    assert mine == "/mine"
    assert devices.find("cpu").agent_environment == {}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ('link = "ssh"', "needs a host"),
        ('host = "b"', 'host: only for a host over SSH, add link = "ssh"'),
        ("port = 22", "port: only for a host over SSH"),
        ('link = "ssh"\nhost = "b"\nhosts = ["c"]', "not both"),
        ('link = "ssh"\nhosts = ["c", "c"]', "named twice"),
        ('link = "ssh"\nhosts = ["c", "-oProxyCommand=x"]', "is no host"),
        ('link = "ssh"\nhost = "a b"', "is no host"),
        ('link = "ssh"\nhost = "b"\nuser = "-l"', "is no user"),
        ('link = "ssh"\nhost = "b"\nport = 70000', "'port'"),
        ('link = "ssh"\nhost = "b"\nfolder = "relative"', "must begin with / or ~/"),
        ('link = "ssh"\nhost = "b"\nset_env = "set_env.sh"', "must begin with / or ~/"),
        ('link = "ssh"\nhost = "b"\npython = "python3\\u0000"', "is no path"),
        ('link = "ssh"\nhost = "b"\npython = "-c"', "is no path"),
        ('link = "ssh"\nhost = "b"\nruntime = "acl"', "needs the soc"),
        ('link = "ssh"\nhost = "b"\nconvert = "-x"', "is no host"),
        ('convert = "board"', "is for a board over SSH"),
        ('link = "telnet"', "'link'"),
    ],
)
def test_fields_of_a_board_that_cannot_be(folder, fields, words):
    (folder / "devices.toml").write_text(f"[devices.a]\n{fields}\n")
    with pytest.raises(UserError) as error:
        devices.find("a")
    assert words in str(error.value)
    assert "devices.toml: device 'a'" in str(error.value)
    assert "\n" not in str(error.value)
