"""A server that speaks first, through a rule for its port: a real sshd, and a greeting by nc."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.programs.servers import greeting_server
from tests.programs.sshd import Ssh, open_sshd, user_at
from tests.runs.launch import DENIAL_SECONDS, ENVIRONMENT, Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]


@pytest.fixture
def ssh(place: Place) -> Iterator[Ssh]:
    with open_sshd(place) as opened:
        place.write("known", f"ssh.example.com {opened.host_key}\nevil.example {opened.host_key}\n")
        yield opened


def client(place: Place, host: str, *command: str) -> list[str]:
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={place.path}/known"]
    words = [word for option in options for word in ("-o", option)]
    return ["ssh", "-F", "none", "-T", "-i", "id", *words, user_at(host), *command]


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
    assert outcome.facts["host_key"] == ssh.fingerprint
    learnt = subprocess.run(
        [sys.executable, "-m", "trio_egress", "learn", "--from", ended.evidence],
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
        text=True,
    )
    assert f'protocol = "ssh"\nhost_keys = ["{ssh.fingerprint}"]\n' in learnt.stdout
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
