"""A server that speaks first, through a rule for its port: a real sshd, and a greeting by nc."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from tests.programs.servers import answers, find_ports, start_server
from tests.runs.launch import AGENT, AS_ROOT, DENIAL_SECONDS, Place, wait_until, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

SEPARATION = Path("/run/sshd")
"""Where sshd wants an empty directory when it is started as root."""


@attrs.frozen
class Ssh:
    port: int
    host_key: str

    @property
    def pins(self) -> dict[str, str]:
        return {"ssh.example.com:22": f"127.0.0.1:{self.port}", "evil.example:22": f"127.0.0.1:{self.port}"}


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)


@contextmanager
def separation_directory() -> Iterator[None]:
    if not AS_ROOT or SEPARATION.exists():
        yield
        return
    SEPARATION.mkdir(0o755)
    try:
        yield
    finally:
        SEPARATION.rmdir()


@pytest.fixture
def ssh(place: Place) -> Iterator[Ssh]:
    """An sshd into which the agent's key may log in as whoever runs the tests."""
    folder = place.path / "sshd"
    folder.mkdir()
    make_key(folder / "host")
    make_key(place.work / "id")
    for name in ("id", "id.pub"):
        os.chown(place.work / name, AGENT.pw_uid, AGENT.pw_gid)
    shutil.copy(place.work / "id.pub", folder / "authorized")
    (port,) = find_ports(1)
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nPidFile none\nAuthorizedKeysFile {folder}/authorized\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nLogLevel VERBOSE\n"
    )
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or "sshd"
    with (
        separation_directory(),
        start_server([program, "-D", "-e", "-f", folder / "config"], folder / "log") as process,
    ):
        wait_until(lambda: process.poll() is not None or answers(port), "sshd")
        assert process.poll() is None, (folder / "log").read_text()
        host_key = " ".join((folder / "host.pub").read_text().split()[:2])
        place.write("known", f"ssh.example.com {host_key}\nevil.example {host_key}\n")
        yield Ssh(port, host_key)


def client(place: Place, host: str, *command: str) -> list[str]:
    user = pwd.getpwuid(os.geteuid()).pw_name
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={place.path}/known"]
    words = [word for option in options for word in ("-o", option)]
    return ["ssh", "-F", "none", "-T", "-i", "id", *words, f"{user}@{host}", *command]


def test_ssh_goes_by_name_through_a_rule_for_its_port(place: Place, ssh: Ssh) -> None:
    policy = write_policy("ssh.example.com:22", pins=ssh.pins)
    ended = place.run(
        policy, *client(place, "ssh.example.com", "echo out; head -c 100000 /dev/zero | wc -c; exit 5")
    )
    assert (ended.code, ended.text.split()) == (5, ["out", "100000"])
    outcome = ended.outcome
    assert (outcome.facts["proto"], outcome.facts["host"], outcome.facts["port"]) == (
        "ssh",
        "ssh.example.com",
        22,
    )
    assert outcome.facts["dialled"] == f"127.0.0.1:{ssh.port}"
    assert outcome.up > 1000
    assert outcome.down > 1000
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_git_over_ssh_takes_the_same_way(place: Place, ssh: Ssh) -> None:
    bare = place.path / "bare.git"
    subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", bare], check=True)
    *command, target = client(place, "ssh.example.com")
    policy = write_policy("ssh.example.com:22", pins=ssh.pins)
    variables = {"GIT_SSH_COMMAND": " ".join(command).replace("-i id", f"-i {place.work}/id")}
    ended = place.run(policy, "git", "clone", "-q", f"{target}:{bare}", "copy", environment=variables)
    assert ended.code == 0
    assert (place.work / "copy" / ".git").is_dir()
    assert ended.outcome.facts["proto"] == "ssh"
    assert ended.verify() == 0


@pytest.mark.parametrize(
    ("rule", "host", "reason"),
    [
        (
            "ssh.example.com",
            "ssh.example.com",
            "ssh.example.com",
        ),  # a rule without a port opens the web's alone
        ("ssh.example.com:2222", "ssh.example.com", "ssh.example.com"),
        ("ssh.example.com:22", "203.0.113.7", "no rule allows 203.0.113.7:22"),
    ],
)
def test_ssh_elsewhere_is_denied_at_once(place: Place, ssh: Ssh, rule: str, host: str, reason: str) -> None:
    ended = place.run_timed(write_policy(rule, pins=ssh.pins), *client(place, host, "true"))
    assert ended.code == 255
    assert ended.took < DENIAL_SECONDS
    assert (ended.block.facts["host"], ended.block.facts["port"]) == (host, 22)
    assert reason in ended.block.reason
    assert ended.verify() == 0


def test_ssh_to_a_denied_name_is_not_even_resolved(place: Place, ssh: Ssh) -> None:
    ended = place.run_timed(
        write_policy("ssh.example.com:22", pins=ssh.pins), *client(place, "evil.example", "true")
    )
    assert ended.code == 255
    assert ended.took < DENIAL_SECONDS
    assert {query.reason for query in ended.queries} == {"no rule allows evil.example"}
    assert ended.verify() == 0


@contextmanager
def greeting_server() -> Iterator[int]:
    """Says hello first, as SMTP does, and gives back what it is told."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.sendall(b"220 mail.example.com ready\r\n")
                while raw := sock.recv(4096):
                    sock.sendall(b"250 " + raw)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def test_a_greeting_reaches_a_client_that_says_nothing(place: Place) -> None:
    with greeting_server() as port:
        policy = write_policy("mail.example.com:25", pins={"mail.example.com:25": f"127.0.0.1:{port}"})
        script = "exec 3<>/dev/tcp/mail.example.com/25; head -1 <&3; echo QUIT >&3; head -1 <&3"
        ended = place.run_timed(policy, "bash", "-c", script)
    assert ended.text.split("\n")[:2] == ["220 mail.example.com ready\r", "250 QUIT"]
    assert ended.took < DENIAL_SECONDS
    outcome = ended.outcome
    assert (outcome.up, outcome.down) == (len("QUIT\n"), len("220 mail.example.com ready\r\n250 QUIT\n"))
    assert ended.verify() == 0


def test_nc_carries_both_directions_and_the_end_of_each(place: Place) -> None:
    with greeting_server() as port:
        policy = write_policy("mail.example.com:25", pins={"mail.example.com:25": f"127.0.0.1:{port}"})
        ended = place.run(policy, "bash", "-c", "echo hello | nc -N mail.example.com 25")
    assert ended.text == "220 mail.example.com ready\r\n250 hello\n"
    assert ended.outcome.up == len("hello\n")
    assert ended.outcome.reason.startswith("egress[0] ")  # the rule, and no fault
    assert ended.verify() == 0
