"""Pinned host keys with OpenSSH on both ends: no prompt, git, a swapped key with its control, each kind of tunnel."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.programs.servers import GREETING, find_ports, greeting_server
from tests.programs.sshd import Ssh, bare_client, open_sshd, user_at
from tests.runs.launch import DENIAL_SECONDS, ENVIRONMENT, Ended, Place, wait_until, write_policy

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


def test_a_server_with_a_whole_key_is_known_inside_and_nowhere_else(place: Place, ssh: Ssh) -> None:
    before = {path.name for path in Path("/etc/ssh").iterdir()}
    asking = " ".join(bare_client("-o", "StrictHostKeyChecking=yes"))
    script = f"ls /etc/ssh; cat /etc/ssh/ssh_known_hosts; echo >/etc/ssh/x; {asking} $0 'echo out; exit 5'"
    ended = place.run(pin(ssh, ssh.host_key), "bash", "-c", script, user_at(HOST))
    *shown, last = ended.text.splitlines()
    assert (ended.code, last) == (5, "out")
    assert {*before, "ssh_known_hosts", f"{HOST} {ssh.host_key}"} <= set(shown)
    assert {path.name for path in Path("/etc/ssh").iterdir()} == before
    check_one_connection(ended, ssh)


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
    """Neither around the pin by the explicit proxy, nor to a host that nothing allows."""
    with open_sshd(place, "impostor") as impostor:
        careless = bare_client("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
        ways = ("nc -X connect -x 127.0.0.1:8888 %h %p", "nc 203.0.113.7 22")
        tries = "; ".join(f"{' '.join(careless)} -o 'ProxyCommand={way}' $0 echo never" for way in ways)
        ended = place.run(pin(impostor, ssh.fingerprint), "bash", "-c", tries, user_at(HOST))
        assert impostor.sessions == 0
    assert (ended.code, ended.text) == (255, "")
    around, elsewhere = (receipt for receipt in ended.blocks)
    assert (around.phase, around.transport, around.layer) == ("outcome", "connect", "host_key")
    assert (elsewhere.facts["host"], elsewhere.facts["port"]) == ("203.0.113.7", 22)
    assert ended.verify() == 0


def test_neither_an_agent_nor_a_network_device_is_to_be_had(place: Place) -> None:
    """-A: there is none inside; outside it is forwarded. -w: the server would, but there is no /dev/net/tun inside."""
    socket = place.path / "agent"
    with (
        open_sshd(place, more="PermitTunnel yes\n") as ssh,
        subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as agent,
    ):
        try:
            wait_until(socket.exists, "ssh-agent")
            outside = [*bare_client("-A", "-p", str(ssh.port), "-o", "StrictHostKeyChecking=no")]
            outside += ["-o", "UserKnownHostsFile=/dev/null", user_at("127.0.0.1"), "echo [$SSH_AUTH_SOCK]"]
            variables = {"SSH_AUTH_SOCK": str(socket)}
            control = subprocess.run(
                outside,
                cwd=place.work,
                env={**ENVIRONMENT, **variables},
                capture_output=True,
                text=True,
                check=True,
            )
            script = (
                f"{' '.join(bare_client('-A'))} $0 'echo [$SSH_AUTH_SOCK]'; "
                f"{' '.join(bare_client('-w', '0:0', '-o', 'ExitOnForwardFailure=yes'))} $0 echo never"
            )
            ended = place.run(
                pin(ssh, ssh.fingerprint), "bash", "-c", script, user_at(HOST), environment=variables
            )
        finally:
            agent.terminate()
    assert control.stdout.startswith("[/")
    assert (ended.code, ended.text) == (255, "[]\n")
    assert "Tunnel device open failed" in ended.err
    assert [outcome.facts["host_key"] for outcome in ended.outcomes] == [ssh.fingerprint] * 2
    assert ended.verify() == 0


TUNNELS = f"""
{" ".join(bare_client("-f", "-N", "-o", "ExitOnForwardFailure=yes"))} -L 9000:127.0.0.1:$1 -D 9001 $0
head -1 </dev/tcp/127.0.0.1/9000
nc -X 5 -x 127.0.0.1:9001 127.0.0.1 $1 </dev/null | head -1
"""
"""What is asked for through an allowed server, to a service that nothing here allows, which greets."""


@pytest.mark.parametrize("forwards", [True, False])
def test_a_tunnel_is_the_servers_to_allow_and_one_connection_in_the_record(
    place: Place, forwards: bool
) -> None:
    """What goes through it is encrypted: the record has the server, its key and the bytes, never the end of it."""
    with (
        open_sshd(place, more="" if forwards else "AllowTcpForwarding no\n") as ssh,
        greeting_server(2) as port,
    ):
        ended = place.run(pin(ssh, ssh.fingerprint), "bash", "-c", TUNNELS, user_at(HOST), str(port))
    assert ended.text == GREETING.decode() * 2 * forwards
    check_one_connection(ended, ssh)


def test_a_way_back_leads_into_the_sandbox_and_no_further(place: Place, ssh: Ssh) -> None:
    """-R: the server listens, and whoever comes there is led to a service of the agent's own."""
    (port,) = find_ports(1)
    script = (
        "echo inside | nc -l -N 127.0.0.1 9001 & until grep -q :2329 /proc/net/tcp; do sleep 0.05; done; "
        f"{' '.join(bare_client())} -R {port}:127.0.0.1:9001 $0 \"bash -c 'head -1 </dev/tcp/127.0.0.1/{port}'\"; "
        f"{' '.join(bare_client())} -R {port}:203.0.113.7:25 $0 \"bash -c 'head -1 </dev/tcp/127.0.0.1/{port}'\""
    )
    ended = place.run(pin(ssh, ssh.fingerprint), "bash", "-c", script, user_at(HOST))
    assert ended.text == "inside\n"
    assert [outcome.facts["host"] for outcome in ended.outcomes] == [HOST, HOST]
    assert (ended.block.facts["host"], ended.block.facts["port"]) == ("203.0.113.7", 25)
    assert ended.verify() == 0


def test_a_tunnel_ends_with_its_budget_and_says_so(place: Place, ssh: Ssh) -> None:
    policy = pin(ssh, ssh.fingerprint, more='limits = { bytes_down = "64 KiB" }\n')
    ended = place.run(policy, *bare_client(), user_at(HOST), "head -c 1000000 /dev/zero")
    assert ended.code == 255
    outcome = ended.outcome
    assert (outcome.layer, outcome.down) == ("limit", 64 * 1024)
    assert "`limits.bytes_down`" in outcome.reason
    assert ended.verify() == 0
