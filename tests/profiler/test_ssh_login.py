"""Logging in: keys of every kind, passwords, jump hosts, ssh's own config; against real servers."""

import socket
import subprocess
import threading

import paramiko
import pytest

from mosegnet.common.errors import UserError
from profiler.ssh_address import Address, address_of, hops_to
from profiler.ssh_connection import Connection
from profiler.ssh_errors import LoginRefused, SshProblem, Unreachable
from profiler.ssh_login import PASSWORD_VARIABLE, _typed


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_a_refused_key_is_a_refused_login(server, kind):
    """paramiko tries to read each key as one of every kind: its last error is about that, not about the login."""
    with pytest.raises(LoginRefused):
        Connection(address_of(server.device(key=server.make_key("stranger", kind))))


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_accepted_keys(server, kind):
    key = server.make_key("friend", kind)
    (server.folder / "authorized").write_text(key.with_suffix(".pub").read_text())
    Connection(address_of(server.device(key=key))).close()


def test_a_key_with_a_passphrase_is_loaded_into_the_agent(server):
    key = server.make_key("locked", passphrase="secret")
    with pytest.raises(LoginRefused, match=f"load {key} with ssh-add"):
        Connection(address_of(server.device(key=key)))


def test_a_key_that_is_none(server):
    with pytest.raises(UserError, match="there is no key /nowhere/key"):
        address_of(server.device(key="/nowhere/key"))
    junk = server.folder / "junk"
    junk.write_text("no key")
    with pytest.raises(LoginRefused, match="is no private key"):
        Connection(address_of(server.device(key=junk)))


def test_the_agent_of_ssh_is_asked(server, monkeypatch):
    started = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    variables = dict(part.split("=", 1) for part in started.replace("\n", "").split(";") if "=" in part)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", variables["SSH_AUTH_SOCK"])
        subprocess.run(["ssh-add", "-q", str(server.user_key)], check=True)
        Connection(address_of(server.device(key=None))).close()
    finally:
        subprocess.run(["kill", variables["SSH_AGENT_PID"]], check=True)


def test_the_key_of_another_kind_that_is_known_is_asked_for(server):
    """A server with several host keys shows the one that the user knows."""
    other = server.make_key("host-rsa", "rsa")
    server.configure(f"HostKey {other}")
    server.trust(other)
    Connection(address_of(server.device())).close()


def test_hashed_known_hosts(server):
    known = server.home / ".ssh" / "known_hosts"
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known)], check=True, capture_output=True)
    assert "127.0.0.1" not in known.read_text()
    Connection(address_of(server.device())).close()


def test_a_jump_hosts_key_must_be_known_too(server):
    device = server.device(jump=f"localhost:{server.port}")  # known as 127.0.0.1 only
    with pytest.raises(SshProblem, match=f"localhost:{server.port} has a host key that is not known"):
        Connection(address_of(device))


def test_several_jumps_and_one_that_leads_nowhere(server):
    hop = f"127.0.0.1:{server.port}"
    connection = Connection(address_of(server.device(jump=f"{hop},{hop}")))
    assert connection.run(["echo", "far"], 5.0).output == b"far\n"
    connection.close()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        device = server.device(port=nobody.getsockname()[1], jump=hop)
        with pytest.raises(Unreachable, match="cannot be reached from the jump host"):
            Connection(address_of(device))


@pytest.mark.parametrize("hop", ["user@:x", "a b", "-oProxyCommand=x", "h:70000", "@h"])
def test_jump_hosts_that_are_none(server, hop):
    with pytest.raises(UserError, match="is no"):
        hops_to(address_of(server.device(jump=hop)))


@pytest.mark.parametrize(("text", "words"), [("Host *\n  Port many\n", "'many'"), ("Port\n", "cannot be understood")])
def test_a_config_of_ssh_that_makes_no_sense(server, text, words):
    (server.home / ".ssh" / "config").write_text(text)
    with pytest.raises(UserError, match=words) as error:
        address_of(server.device(port=None))
    assert "\n" not in str(error.value)


def test_a_devices_own_fields_come_before_those_of_the_config(server):
    (server.home / ".ssh" / "config").write_text("Host b\n  HostName h\n  Port 9\n  User u\n  ProxyJump j1,w@j2:7\n")
    device = server.device(host="b", port=None, user=None)
    assert str(address_of(device)) == "u@h:9"
    assert [str(hop) for hop in hops_to(address_of(device.model_copy(update={"user": "v"})))][-1] == "w@j2:7"
    mine = address_of(server.device(host="b", port=22, user="me", jump="none"))
    assert (str(mine), mine.jumps) == ("me@h", ())


def test_a_silent_server_is_given_up(monkeypatch):
    monkeypatch.setattr("profiler.ssh_login.LOGIN_S", 0.5)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(Unreachable, match="cannot be reached"):
            Connection(Address("127.0.0.1", mute.getsockname()[1], "u", (), ()))


def test_a_server_that_speaks_another_language():
    with socket.socket() as web:
        web.bind(("127.0.0.1", 0))
        web.listen()

        def answer():
            peer, _ = web.accept()
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            peer.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(Unreachable, match="cannot be reached"):
            Connection(Address("127.0.0.1", web.getsockname()[1], "u", (), ()))


# --- passwords: a server of paramiko's, as a real account would have to be made ----------------------------------


class _Passwords(paramiko.ServerInterface):
    def __init__(self) -> None:
        self.tried: list[str] = []

    def get_allowed_auths(self, username):
        return "password,publickey"

    def check_auth_password(self, username, password):
        self.tried.append(password)
        return paramiko.AUTH_SUCCESSFUL if password == "right" else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_FAILED


@pytest.fixture
def passwords(tmp_path, monkeypatch):
    """A server that wants a password, as (address, those tried)."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    _typed.clear()
    key = paramiko.ECDSAKey.generate()
    interface = _Passwords()
    transports = []
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        (tmp_path / ".ssh").mkdir()
        (tmp_path / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")

        def serve():
            while True:
                try:
                    peer, _ = listening.accept()
                except OSError:
                    return
                transport = paramiko.Transport(peer)
                transport.add_server_key(key)
                transport.start_server(server=interface, event=threading.Event())
                transports.append(transport)

        threading.Thread(target=serve, daemon=True).start()
        yield Address("127.0.0.1", port, "u", (), ()), interface.tried
        for transport in transports:
            transport.close()
        listening.shutdown(socket.SHUT_RDWR)
    _typed.clear()


def test_a_password_of_the_environment(passwords, monkeypatch):
    address, tried = passwords
    monkeypatch.setenv(PASSWORD_VARIABLE, "right")
    Connection(address).close()
    assert tried == ["right"]
    monkeypatch.setenv(PASSWORD_VARIABLE, "wr0ng")
    with pytest.raises(LoginRefused) as error:
        Connection(address)
    assert "wr0ng" not in str(error.value)


def test_a_password_is_asked_for_once_and_only_on_a_terminal(passwords, monkeypatch):
    address, tried = passwords
    with pytest.raises(LoginRefused, match=PASSWORD_VARIABLE):
        Connection(address)
    assert tried == []
    asked = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or "right")
    Connection(address).close()
    Connection(address).close()  # such as after a reboot of the board, in the middle of the night
    assert asked == [f"password of {address}: "]
    assert tried == ["right", "right"]


def test_the_boards_password_is_not_shown_to_a_jump_host(passwords, monkeypatch):
    address, tried = passwords
    monkeypatch.setenv(PASSWORD_VARIABLE, "right")
    with pytest.raises(LoginRefused) as error:
        Connection(Address("192.168.0.2", 22, "HwHiAiUser", (), (f"u@127.0.0.1:{address.port}",)))
    assert tried == []
    assert PASSWORD_VARIABLE not in str(error.value)
