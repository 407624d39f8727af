"""git over SSH with a key that the agent never has: git and OpenSSH on both ends, and the relay between."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.programs.sshd import HOST, Forge, make_key, open_forge, open_sshd, user_at
from tests.runs.launch import ENVIRONMENT, Ended, Place, find_processes, wait_until

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

IDENTITY = "git config --global user.email a@example.com; git config --global user.name a"
RELAY = "from trio_egress.git_relay.program import main"


@pytest.fixture
def forge(place: Place) -> Iterator[Forge]:
    with open_forge(place) as opened:
        yield opened


def run_script(place: Place, policy: str, script: str, **more: object) -> Ended:
    return place.run(policy, "bash", "-c", f"set -e; {IDENTITY}\n{script}", **more)


def check_relayed(ended: Ended, forge: Forge) -> None:
    """Every attempt has its receipts, and two verifiers agree; nothing of the relay is left."""
    for outcome in ended.outcomes:
        assert outcome.facts["host_key"] == forge.ssh.fingerprint
        (used,) = outcome.facts["secrets_used"]
        assert used.startswith("[deploy:")
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0
    key = forge.key.read_text().split("\n")[2]
    assert not any(key in path.read_text(errors="replace") for path in ended.evidence.iterdir())


def test_clone_fetch_and_push_have_receipts_by_service_and_repository(place: Place, forge: Forge) -> None:
    policy = forge.policy(fetch=["org/*"], push=["org/open"])
    script = (
        f"git clone -q {forge.url('org/open')} copy; cd copy; cat file\n"
        "echo two >file; git commit -qam two; git push -q origin HEAD:main; git fetch -q; git rev-parse origin/main"
    )
    ended = run_script(place, policy, script)
    pushed = subprocess.run(
        ["git", "-C", forge.path("org/open"), "rev-parse", "main"], check=True, capture_output=True, text=True
    )
    assert (ended.code, ended.text) == (0, f"hello\n{pushed.stdout}")
    fetch, push = "git-upload-pack", "git-receive-pack"
    assert [outcome.facts["service"] for outcome in ended.outcomes] == [fetch, push, fetch]
    first = ended.outcomes[0]
    assert first.target == f"ssh://{HOST}:22{forge.path('org/open')}"
    assert first.facts["command"] == f"git-upload-pack '{forge.path('org/open')}'"
    assert first.facts["dialled"] == f"127.0.0.1:{forge.ssh.port}"
    assert first.up > 1000
    assert first.down > 1000
    assert first.reason.startswith("egress[0] ")  # the rule, and no fault
    assert forge.ssh.sessions == 3
    check_relayed(ended, forge)
    learnt = subprocess.run(
        [sys.executable, "-m", "trio_egress", "learn", "--from", ended.evidence],
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
        text=True,
    )
    name = forge.path("org/open")[1:-4]
    git = f'git = {{ fetch = ["{name}"], push = ["{name}"] }}'
    assert f'# host_keys = ["{forge.ssh.fingerprint}"]\n# {git}\n' in learnt.stdout
    assert "\n[[egress]]" not in learnt.stdout  # nothing that opens SSH


REFUSED = {
    "clone -q {secret} copy": "doesn't allow git to fetch from {secret_path}: a human can add it to `git.fetch`",
    "push -q {other} HEAD:main": "doesn't allow git to push to {other_path}: a human can add it to `git.push`",
    "archive --remote={open} HEAD": "carries git alone, not the command git-upload-archive",
    "ls-remote {open}/../secret.git": "carries git alone, not a repository whose path has a dot segment",
    'ls-remote "{open};id"': "carries git alone, not a repository whose path has something else in it than letters",
    'ls-remote "{open}\'\\$(id)"': "carries git alone, not git-upload-pack in a form that git does not use",
    "ls-remote --upload-pack='git-upload-pack --strict' {open}": "carries git alone, not git-upload-pack in a form",
    "ls-remote --upload-pack=/bin/sh {open}": "carries git alone, not a command that is none of git's",
}


def test_what_the_rule_does_not_name_is_refused_with_its_reason(place: Place, forge: Forge) -> None:
    named = {"open": "org/open", "other": "org/b", "secret": "secret"}
    words = {name: forge.url(path) for name, path in named.items()}
    words |= {f"{name}_path": forge.path(path)[1:-4] for name, path in named.items()}
    policy = forge.policy(fetch=["org/*"], push=["org/open"])
    tries = "\n".join(f"! git {each.format(**words)}" for each in REFUSED)
    ended = run_script(place, policy, f"git init -q -b main; git commit -q --allow-empty -m x\n{tries}")
    assert ended.code == 0
    for block, reason in zip(ended.blocks, REFUSED.values(), strict=True):
        assert f"egress[0] {HOST!r} (line 3) {reason.format(**words)}" in block.reason
        assert f"denied by the egress policy: {block.reason}" in ended.err
        assert (block.layer, block.facts["port"]) == ("operation", 22)
    assert (ended.outcomes, forge.ssh.sessions) == ([], 0)
    check_relayed(ended, forge)


OTHERS = {
    "-W 203.0.113.7:22 {host}": "a connection to 203.0.113.7:22 (-L, -D, -W, -J)",
    "-N -R 8022:127.0.0.1:22 -o ExitOnForwardFailure=yes {host}": "a listener at localhost:8022 (-R)",
    "-N -R /tmp/x:127.0.0.1:22 -o ExitOnForwardFailure=yes {host}": "a listener at the socket /tmp/x (-R)",
    "-s {host} sftp": "the subsystem sftp",
    "-T {host}": "a shell",
    "{host} id": "the command id",
    "{host} 'git-shell -c id'": "the command git-shell",
}


def test_no_tunnel_and_no_other_command_goes_through(place: Place, forge: Forge) -> None:
    tries = "\n".join(f"! ssh -o BatchMode=yes {each.format(host=user_at(HOST))}" for each in OTHERS)
    ended = run_script(place, forge.policy(fetch=["**"], push=["**"]), tries)
    assert ended.code == 0
    for block, what in zip(ended.blocks, OTHERS.values(), strict=True):
        assert block.reason.endswith(f"carries git alone, not {what}")
        assert (block.layer, block.target) == ("operation", f"ssh://{HOST}:22")
    assert (ended.outcomes, forge.ssh.sessions) == ([], 0)
    check_relayed(ended, forge)


def test_a_local_forward_leads_nowhere(place: Place, forge: Forge) -> None:
    """-D speaks SOCKS to whoever connects; nc does. -A: there is an agent inside, and none of it is forwarded."""
    ways = {
        "-L 8022:203.0.113.7:22": "nc -w 5 127.0.0.1 8022",
        "-D 8022": "nc -w 5 -X 5 -x 127.0.0.1:8022 203.0.113.8 22",
    }
    script = "".join(
        f"ssh -N -o BatchMode=yes {option} {user_at(HOST)} & ssh=$!\n"
        f"until nc -z 127.0.0.1 8022; do :; done; {connect} </dev/null || true; kill $ssh; wait $ssh || true\n"
        for option, connect in ways.items()
    )
    script += (
        f"eval $(ssh-agent) >/dev/null; ! ssh -A -o BatchMode=yes {user_at(HOST)} id; kill $SSH_AGENT_PID\n"
        f"! ssh -tt -o BatchMode=yes {user_at(HOST)}"
    )
    ended = run_script(place, forge.policy(fetch=["**"]), script)
    reasons = [block.reason.partition(" alone, not ")[2] for block in ended.blocks]
    for end in (7, 8):
        assert f"a connection to 203.0.113.{end}:22 (-L, -D, -W, -J)" in reasons
    assert {"the forwarding of an SSH agent (-A)", "a terminal"} <= set(reasons)
    assert forge.ssh.sessions == 0
    check_relayed(ended, forge)


def test_a_swapped_host_key_ends_it_before_the_key_is_used(place: Place, forge: Forge) -> None:
    with open_sshd(place, "impostor") as impostor:
        shutil.copy(forge.key.with_suffix(".pub"), place.path / "impostor" / "authorized")
        swapped = forge.policy(fetch=["**"], port=impostor.port)
        ended = run_script(place, swapped, f"git ls-remote {forge.url('org/open')}")
        assert impostor.sessions == 0
        control = forge.policy(fetch=["**"], port=impostor.port, pin=impostor.fingerprint)
        assert run_script(place, control, f"git ls-remote {forge.url('org/open')}").code == 0
        assert impostor.sessions == 1
    assert ended.code != 0
    (outcome,) = [receipt for receipt in ended.receipts if receipt.phase == "outcome"]
    assert (outcome.verdict, outcome.layer) == ("block", "host_key")
    assert outcome.facts["host_key"] == impostor.fingerprint
    assert f"shows the host key ssh-ed25519 {impostor.fingerprint}" in ended.err
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_a_key_that_the_server_does_not_know_is_said(place: Place, forge: Forge) -> None:
    (place.path / "sshd" / "authorized").write_text("")
    ended = run_script(place, forge.policy(fetch=["**"]), f"git ls-remote {forge.url('org/open')}")
    assert ended.code != 0
    assert "Permission denied" in ended.err
    assert "Permission denied" in ended.outcome.reason
    assert ended.verify() == 0


def test_the_key_logs_in_as_its_own_user_alone(place: Place, forge: Forge) -> None:
    ended = run_script(
        place, forge.policy(fetch=["**"]), f"git ls-remote root2@{HOST}:{forge.path('org/open')}"
    )
    assert ended.code != 0
    assert (ended.block.layer, forge.ssh.sessions) == ("secret", 0)
    assert "the key deploy logs in as" in ended.block.reason
    assert ended.verify() == 0


def test_a_budget_ends_a_push_and_says_so(place: Place, forge: Forge) -> None:
    policy = forge.policy(push=["**"], rule='limits = { bytes_up = "64 KiB" }')
    made = "git init -q -b main; head -c 200000 /dev/urandom >file; git add file; git commit -q -m x"
    script = f"{made}; git push {forge.url('org/open')} HEAD:new"
    ended = run_script(place, policy, script)
    assert ended.code != 0
    assert (ended.outcome.layer, ended.outcome.up) == ("limit", 64 << 10)
    assert ended.verify() == 0


def test_a_client_that_is_killed_midway_leaves_nothing_running(place: Place, forge: Forge) -> None:
    """A command that waits for ever: the agent's client has asked, and says nothing more."""
    script = (
        f"command=\"git-receive-pack '{forge.path('org/open')}'\"\n"
        f'sleep 1000 | ssh -T -o BatchMode=yes {user_at(HOST)} "$command" >refs &\n'
        "ssh=$!; until [ -s refs ]; do :; done; kill -9 $ssh; touch killed; sleep 1000"
    )
    started = place.start(forge.policy(push=["**"]), "bash", "-c", script)
    wait_until((place.work / "killed").exists, "the client to be killed")
    wait_until(lambda: not find_serving(forge), "git outside to end")
    wait_until(lambda: len(find_relays(started.pid)) == 1, "the connection's process to end")
    (left,) = find_relays(started.pid)
    assert "\nUid:\t0\t" not in Path(f"/proc/{left}/status").read_text()  # whoever started the run
    started.process.terminate()
    ended = started.wait()
    wait_until(lambda: not Path(f"/proc/{left}").exists(), "the relay to end")
    assert ended.outcome.facts["service"] == "git-receive-pack"
    check_relayed(ended, forge)


def find_serving(forge: Forge) -> list[int]:
    return find_processes(forge.path("org/open"))


def find_relays(run: int) -> list[int]:
    """The process that ends SSH for this run, and those that it has made for connections."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if RELAY.encode() in (path / "cmdline").read_bytes():
                parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # ended meanwhile
            continue
    return [pid for pid, parent in parents.items() if run in (parent, parents.get(parent))]


def test_the_agent_finds_the_key_nowhere(place: Place, forge: Forge) -> None:
    """Neither in its file nor in a variable, a process, a mount or a descriptor; control: outside it is there."""
    middle = forge.key.read_text().split("\n")[2]
    policy = forge.policy(fetch=["**"])
    half = len(middle) // 2
    script = (
        f"git ls-remote {forge.url('org/open')} >/dev/null; cat {forge.key} 2>/dev/null; env; cat /proc/*/environ "
        "/proc/*/cmdline /proc/*/mounts 2>/dev/null; ls -l /proc/*/fd 2>/dev/null; ls -A ~/.ssh || true; "
        f"grep -rl '{middle[:half]}''{middle[half:]}' {place.path} /tmp /run /dev ~ 2>/dev/null || true"
    )
    variables = {"DEPLOY_KEY": forge.key.read_text(), "COPY_OF_IT": forge.key.read_text()}
    ended = run_script(place, policy, script, environment=variables)
    assert ended.code == 0
    assert middle.encode() not in ended.out
    assert b"git_relay" not in ended.out
    assert "COPY_OF_IT" not in ended.text
    assert middle in forge.key.read_text()
    check_relayed(ended, forge)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (["-p", "-P", "", "-N", "secret phrase"], "is a key with a passphrase"),
        (None, "is no private key"),
    ],
)
def test_a_key_that_can_not_be_used_ends_the_run_before_it_begins(
    place: Place, forge: Forge, change: list[str] | None, reason: str
) -> None:
    if change is None:
        forge.key.write_text("ssh-ed25519 AAAA this is the public one\n")
    else:
        subprocess.run(["ssh-keygen", "-q", *change, "-f", forge.key], check=True, capture_output=True)
    ended = place.run(forge.policy(fetch=["**"]), "true")
    assert ended.code == 125
    assert reason in ended.err
    assert f"{place.path}" in ended.err


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_other_kinds_of_keys_log_in(place: Place, forge: Forge, kind: str) -> None:
    for path in (forge.key, forge.key.with_suffix(".pub")):
        path.unlink()
    make_key(forge.key, kind)
    shutil.copy(forge.key.with_suffix(".pub"), place.path / "sshd" / "authorized")
    ended = run_script(place, forge.policy(fetch=["**"]), f"git ls-remote {forge.url('org/open')}")
    assert ended.code == 0
    assert "refs/heads/main" in ended.text
    check_relayed(ended, forge)


def test_a_connection_that_says_nothing_and_garbage_end_with_a_receipt(place: Place, forge: Forge) -> None:
    script = (
        f"printf 'SSH-2.0-x\\r\\n' | nc -N {HOST} 22 >/dev/null\n"
        f"(printf 'SSH-2.0-x\\r\\n'; head -c 9000 /dev/urandom) | nc -N {HOST} 22 >/dev/null\n"
        f"git ls-remote {forge.url('org/open')}"
    )
    ended = run_script(place, forge.policy(fetch=["**"]), script)
    assert "refs/heads/main" in ended.text
    assert len(ended.blocks) == 2
    assert all(block.reason.endswith("not a connection that asks for nothing") for block in ended.blocks)
    assert os.path.exists(forge.key)
    check_relayed(ended, forge)
