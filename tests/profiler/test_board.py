"""The doctor's walk to a board: a real server, a stand-in for `acl`, and answers that no board should give."""

import json

import pytest

from profiler.board import examine_board, judge
from profiler.board_probe import Board, parse
from profiler.devices import Device
from profiler.ssh_errors import SshProblem

ATLAS = Device(name="atlas", link="ssh", host="board", runtime="acl", soc="Ascend310", set_env="/opt/set_env.sh")
ANSWER = {
    "python": [3, 6, 9], "acl": "yes", "soc": "Ascend310", "driver": "1.0.13.alpha", "cann": "6.0.0.alpha003",
    "davinci": ["/dev/davinci0"], "davinci_shut": [], "memory_free_mb": 5000, "disk_free_mb": 9000, "writable": True,
    "temperature_c": 51.0,
}  # fmt: skip


def board(**changes) -> Board:
    return parse(json.dumps({**ANSWER, **changes}), "the board")


def bad(device=ATLAS, **changes):
    return [finding for finding in judge(device, board(**changes)) if not finding.good]


def test_a_board_in_order_has_nothing_against_it():
    assert bad() == []
    assert len(list(judge(ATLAS, board()))) == 8


@pytest.mark.parametrize(
    ("changes", "what", "remedy"),
    [
        ({"python": [3, 5, 2]}, "Python 3.5.2", "another interpreter"),
        ({"acl": "ImportError: libascendcl.so: cannot open shared object file"}, "libascendcl.so", "LD_LIBRARY_PATH"),
        ({"acl": "ModuleNotFoundError: No module named 'acl'"}, "No module", "/opt/set_env.sh does not lead"),
        ({"soc": "Ascend310B4"}, "Ascend310B4", "devices.toml says Ascend310"),
        ({"davinci": []}, "no /dev/davinci", "driver is not loaded"),
        ({"davinci_shut": ["/dev/davinci0"]}, "cannot be opened", "group HwHiAiUser"),
        ({"cann": "5.0.3.alpha005"}, "CANN 5.0.3.alpha005", "6.0.0.alpha003"),
        ({"driver": "1.0.9", "cann": "3.3.0.alpha006"}, None, None),
        ({"driver": "1.0.10.alpha", "cann": "5.0.2.alpha002"}, "1.0.10.alpha", "5.0.2.alpha003"),
        ({"driver": "23.0.rc3", "cann": "7.0.RC1"}, None, None),
        ({"driver": None}, None, None),
        ({"memory_free_mb": 100}, "free memory: 100 MB", "stop other programs"),
        ({"temperature_c": 91}, "91 °C", "cool"),
        ({"disk_free_mb": 3}, "free disk for ~/.mosegnas: 3 MB", "another `folder`"),
        ({"writable": False}, "cannot be written", "read-only"),
    ],
)
def test_what_is_wrong_is_said_with_the_way_out(changes, what, remedy):
    found = bad(**changes)
    if what is None:
        assert found == []
        return
    (finding,) = found
    assert what in finding.what
    assert remedy in finding.remedy


def test_nothing_is_asked_of_a_python_that_is_too_old():
    assert len(list(judge(ATLAS, board(python=[2, 7, 17])))) == 1


def test_without_set_env_it_is_what_is_missing():
    (finding,) = bad(ATLAS.model_copy(update={"set_env": None}), acl="ModuleNotFoundError: No module named 'acl'")
    assert "give `set_env`" in finding.remedy


def test_a_board_with_another_runtime_needs_no_ascend():
    device = Device(name="pi", link="ssh", host="pi")
    assert bad(device, acl=None, davinci=[], driver=None) == []


@pytest.mark.parametrize(
    "line",
    ["", "[]", "5", "{}", '{"python": 3}', '{"python": [3, "x", 1]}', '{"python": [1e999, 6, 1]}', "[" * 100_000,
     '{"python": [3, 6, 1], "davinci": 5}', '{"python": [3, 6, 1], "memory_free_mb": [1]}'],
)  # fmt: skip
def test_answers_that_make_no_sense(line):
    with pytest.raises(SshProblem, match="the board answers") as error:
        parse(line, "the board")
    assert len(str(error.value)) < 200


def test_texts_from_the_board_are_fit_to_be_shown():
    found = board(acl="\x1b[2J" + "x" * 10_000, davinci=["/dev/davinci0\n\x07"] * 1000)
    assert all(finding.what.isprintable() and len(finding.what) < 500 for finding in judge(ATLAS, found))


# --- over a real server ------------------------------------------------------------------------------------------


def whats(device):
    return [(finding.what, finding.good) for finding in examine_board(device)]


def test_the_walk_to_a_healthy_board(server):
    found = whats(server.device())
    assert [what for what, _ in found[:3]] == [
        f"{server.user}@127.0.0.1:{server.port} answers",
        "its host key is known",
        f"logged in as {server.user}",
    ]
    assert any(what.startswith("Python 3.") for what, _ in found)
    assert any(what.startswith("free disk") for what, _ in found)


def test_acl_is_imported_behind_set_env(server):
    site = server.folder / "site"
    site.mkdir()
    (site / "acl.py").write_text("def get_soc_name():\n    return 'Ascend310P3'\n")
    set_env = server.folder / "set_env.sh"
    set_env.write_text(f"export PYTHONPATH='{site}'\nfalse\n")  # many end with a test that fails
    device = server.device(runtime="acl", soc="Ascend310", set_env=str(set_env))
    found = list(examine_board(device))
    assert any(finding.good and finding.what.startswith("`import acl` works") for finding in found)
    assert any("soc = 'Ascend310P3'" in finding.remedy for finding in found if not finding.good)
    (import_,) = [
        finding
        for finding in examine_board(device.model_copy(update={"set_env": None}))
        if "import acl" in finding.what
    ]
    assert not import_.good


def test_it_stops_where_the_rest_is_pointless(server):
    *_, last = examine_board(server.device(python="/nowhere/python3"))
    assert not last.good
    assert "cannot run /nowhere/python3" in last.what
    *_, last = examine_board(server.device(set_env="/nowhere/set_env.sh"))
    assert "has no /nowhere/set_env.sh" in last.what
    _, known, login = examine_board(server.device(key=server.make_key("stranger")))
    assert known.what == "its host key is known"
    assert not login.good
    (server.home / ".ssh" / "known_hosts").write_text("")
    reached, key = examine_board(server.device())
    assert reached.good
    assert "SHA256:" in key.what
    assert "ssh-keyscan" in key.remedy
    server.stop()
    (nobody,) = examine_board(server.device())
    assert "cannot be reached" in nobody.what


def test_the_address_of_a_board_that_does_not_answer_is_hinted_at(server, monkeypatch):
    monkeypatch.setattr("profiler.ssh_login.LOGIN_S", 0.2)
    found = list(examine_board(Device(name="atlas", link="ssh", host="192.168.0.2", port=server.port, user="u")))
    assert not found[-1].good
    if "cannot be reached" in found[-1].what:  # unless there is one in this net
        assert "192.168.1.2 on usb0" in found[-1].remedy


def test_an_expired_password_is_told_from_other_ends(server):
    server.force("echo 'WARNING: Your password has expired.' >&2; "
                 "echo 'Password change required but no TTY available.' >&2; exit 1")  # fmt: skip
    *_, last = examine_board(server.device())
    assert "has expired" in last.what
    assert "ssh -p" in last.remedy


def test_a_shell_that_answers_something_else(server):
    server.force("echo 'Welcome'; echo 'no shell here' >&2; exit 0")
    *_, last = examine_board(server.device())
    assert "cannot be looked at (no shell here)" in last.what
