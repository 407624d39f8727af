"""Pinned host keys with OpenSSH on both ends: no prompt, git, a swapped key with its control, each kind of tunnel."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.programs.servers import find_ports, greeting_server
from tests.programs.sshd import Ssh, bare_client, open_sshd, user_at
from tests.runs.launch import DENIAL_SECONDS, Ended, Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

HOST = "ssh.example.com"


@pytest.fixture
def ssh(place: Place) -> Iterator[Ssh]:
    with open_sshd(place) as opened:
        yield opened


def pin(ssh: Ssh, *keys: str, more: str = "") -> str:
    pinned = ", ".join(f'"{key}"' for key in keys)
    rule = f'[[egress]]\ndestination = "{HOST}"\nprotocol = "ssh"\nhost_keys = [{pinned}]\n{more}'
    return write_policy(more=rule, pins=ssh.pins)


def check_one_connection(ended: Ended, ssh: Ssh) -> None:
    """Whatever was in it, the record has one SSH connection, to that name, with the pinned key."""
    outcome = ended.outcome
    assert (outcome.facts["proto"], outcome.facts["host"]) == ("ssh", HOST)
    assert outcome.facts["host_key"] == ssh.fingerprint
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


@pytest.mark.parametrize("whole", [True, False])
def test_a_pinned_server_is_talked_to_without_a_prompt(place: Place, ssh: Ssh, whole: bool) -> None:
    policy = pin(ssh, ssh.host_key if whole else ssh.fingerprint)
    ended = place.run(policy, *bare_client(), user_at(HOST), "echo out; exit 5")
    assert (ended.code, ended.text) == (5, "out\n")
    check_one_connection(ended, ssh)
    assert ended.outcome.facts["kex"]


def test_the_machines_own_files_of_ssh_stay_as_they_are(place: Place, ssh: Ssh) -> None:
    before = {path.name for path in Path("/etc/ssh").iterdir()}
    ended = place.run(
        pin(ssh, ssh.host_key), "bash", "-c", "ls /etc/ssh; cat /etc/ssh/ssh_known_hosts; >/etc/ssh/x"
    )
    assert before | {"ssh_known_hosts"} == set(ended.text.split("\n")[: len(before | {"ssh_known_hosts"})])
    assert f"{HOST} {ssh.host_key}\n" in ended.text
    assert ended.code == 1
    assert {path.name for path in Path("/etc/ssh").iterdir()} == before


def test_git_clones_fetches_and_pushes(place: Place, ssh: Ssh) -> None:
    bare = place.path / "bare.git"
    subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", bare], check=True)
    script = (
        "set -e; git config --global user.email a@example.com; git config --global user.name a\n"
        f"git clone -q {user_at(HOST)}:{bare} copy 2>/dev/null; cd copy\n"
        "echo one >file; git add file; git commit -qm one\n"
        "git push -q origin HEAD:main; git fetch -q; git rev-parse origin/main"
    )
    variables = {"GIT_SSH_COMMAND": f"ssh -i {place.work}/id -o BatchMode=yes"}
    ended = place.run(pin(ssh, ssh.fingerprint), "bash", "-c", script, environment=variables)
    assert ended.code == 0
    pushed = subprocess.run(
        ["git", "-C", bare, "rev-parse", "main"], check=True, capture_output=True, text=True
    )
    assert ended.text == pushed.stdout
    assert [outcome.facts["host_key"] for outcome in ended.outcomes] == [ssh.fingerprint] * 3
    assert ended.verify() == 0


def test_a_swapped_key_ends_it_where_a_careless_client_goes_on(place: Place, ssh: Ssh) -> None:
    with open_sshd(place, "impostor") as impostor:
        careless = bare_client("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
        unpinned = write_policy(f"{HOST}:22", pins=impostor.pins)
        control = place.run(unpinned, *careless, user_at(HOST), "echo mine now")
        assert (control.text, impostor.sessions) == ("mine now\n", 1)
        policy = pin(impostor, ssh.fingerprint)
        ended = place.run_timed(policy, *careless, user_at(HOST), "echo mine now")
        assert impostor.sessions == 1
    assert (ended.code, ended.text) == (255, "")
    assert ended.took < DENIAL_SECONDS
    (outcome,) = [receipt for receipt in ended.receipts if receipt.phase == "outcome"]
    assert (outcome.verdict, outcome.layer) == ("block", "host_key")
    assert outcome.facts["host_key"] == impostor.fingerprint
    assert f"shows the host key ssh-ed25519 {impostor.fingerprint}" in outcome.reason
    assert f"denied by the egress policy: {outcome.reason}" in ended.err
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_a_proxy_command_is_no_other_way(place: Place, ssh: Ssh) -> None:
    """Neither to a host that nothing allows, nor around the pin by the explicit proxy."""
    with open_sshd(place, "impostor") as impostor:
        careless = bare_client("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
        by_connect = "ProxyCommand=nc -X connect -x 127.0.0.1:8888 %h %p"
        around = place.run(pin(impostor, ssh.fingerprint), *careless, "-o", by_connect, user_at(HOST), "true")
        elsewhere = place.run(
            pin(ssh, ssh.fingerprint),
            *careless,
            "-o",
            "ProxyCommand=nc 203.0.113.7 22",
            user_at(HOST),
            "true",
        )
        assert impostor.sessions == 0
    assert (around.code, elsewhere.code) == (255, 255)
    (outcome,) = [receipt for receipt in around.receipts if receipt.phase == "outcome"]
    assert (outcome.transport, outcome.layer) == ("connect", "host_key")
    assert (elsewhere.block.facts["host"], elsewhere.block.facts["port"]) == ("203.0.113.7", 22)
    assert around.verify() == elsewhere.verify() == 0


def test_no_agent_is_forwarded(place: Place, ssh: Ssh) -> None:
    """A control outside: there `-A` forwards the agent that runs for it."""
    (place.path / "agent").mkdir()
    socket = place.path / "agent" / "socket"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as agent:
        try:
            variables = {"SSH_AUTH_SOCK": str(socket)}
            asking = [*bare_client("-A"), user_at(HOST), "echo [$SSH_AUTH_SOCK]"]
            ended = place.run(pin(ssh, ssh.fingerprint), *asking, environment=variables)
            outside = [*bare_client("-A", "-p", str(ssh.port), "-o", "StrictHostKeyChecking=no")]
            outside += ["-o", "UserKnownHostsFile=/dev/null", user_at("127.0.0.1"), "echo [$SSH_AUTH_SOCK]"]
            control = subprocess.run(
                ["env", f"SSH_AUTH_SOCK={socket}", *outside],
                cwd=place.work,
                capture_output=True,
                text=True,
                check=True,
            )
        finally:
            agent.terminate()
    assert control.stdout.startswith("[/")
    assert ended.text == "[]\n"


OPEN = f"{' '.join(bare_client('-f', '-N', '-o', 'ExitOnForwardFailure=yes'))} "
TUNNELS = {
    "-L": f"{OPEN} -L 9000:127.0.0.1:$1 $0; head -1 </dev/tcp/127.0.0.1/9000",
    "-D": f"{OPEN} -D 9000 $0; nc -X 5 -x 127.0.0.1:9000 127.0.0.1 $1 </dev/null | head -1",
}
"""What is asked for through an allowed server, to a service that nothing here allows: it greets."""


@pytest.mark.parametrize(("kind", "forwards"), [("-L", True), ("-D", True), ("-L", False)])
def test_a_tunnel_is_the_servers_to_allow_and_one_connection_in_the_record(
    place: Place, kind: str, forwards: bool
) -> None:
    """What goes through it is encrypted: the record has the server, its key and the bytes, never the end of it."""
    said = "" if forwards else "AllowTcpForwarding no\n"
    with open_sshd(place, more=said) as ssh, greeting_server() as port:
        ended = place.run(pin(ssh, ssh.fingerprint), "bash", "-c", TUNNELS[kind], user_at(HOST), str(port))
        if not forwards:
            socket.create_connection(("127.0.0.1", port)).close()  # nobody else has come
    assert ended.text.startswith("220 mail.example.com ready") == forwards
    check_one_connection(ended, ssh)


def test_a_way_back_leads_into_the_sandbox_and_no_further(place: Place, ssh: Ssh) -> None:
    """-R: the server listens, and whoever comes there is led to a service of the agent's own."""
    (port,) = find_ports(1)
    script = (
        "echo inside | nc -l -N 127.0.0.1 9001 & "
        f"{' '.join(bare_client())} -R {port}:127.0.0.1:9001 $0 'head -1 </dev/tcp/127.0.0.1/{port}'; "
        f"{' '.join(bare_client())} -R {port}:203.0.113.7:25 $0 'head -1 </dev/tcp/127.0.0.1/{port}'"
    )
    ended = place.run(pin(ssh, ssh.fingerprint), "bash", "-c", script, user_at(HOST))
    assert ended.text == "inside\n"
    assert [outcome.facts["host"] for outcome in ended.outcomes] == [HOST, HOST]
    assert (ended.block.facts["host"], ended.block.facts["port"]) == ("203.0.113.7", 25)
    assert ended.verify() == 0


def test_a_network_device_is_not_to_be_had(place: Place) -> None:
    """-w: the server would, but inside there is no /dev/net/tun."""
    with open_sshd(place, more="PermitTunnel yes\n") as ssh:
        asking = bare_client("-w", "0:0", "-o", "ExitOnForwardFailure=yes")
        ended = place.run(pin(ssh, ssh.fingerprint), *asking, user_at(HOST), "echo never")
    assert (ended.code, ended.text) == (255, "")
    assert "unnel" in ended.err
    check_one_connection(ended, ssh)


def test_a_tunnel_ends_with_its_budget_and_says_so(place: Place, ssh: Ssh) -> None:
    policy = pin(ssh, ssh.fingerprint, more='limits = { bytes_down = "64 KiB" }\n')
    ended = place.run(policy, *bare_client(), user_at(HOST), "head -c 1000000 /dev/zero")
    assert ended.code == 255
    outcome = ended.outcome
    assert (outcome.layer, outcome.down) == ("limit", 64 * 1024)
    assert "`limits.bytes_down`" in outcome.reason
    assert ended.verify() == 0
