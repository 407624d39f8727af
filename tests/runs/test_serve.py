"""`trio-egress serve`: sandboxes for other users' programs, and what hostile ones can do to it: nothing.

As root the client is another user, which this process is for the kernel (SO_PEERCRED) while it connects.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.runs.launch import (
    AGENT,
    AS_ROOT,
    ENVIRONMENT,
    PATIENCE_SECONDS,
    Place,
    find_processes,
    ours,
    read_receipts,
    verify,
    wait_until,
    write_policy,
)
from tests.runs.remains import find_groups

import trio_egress as te
from trio_egress.kernel.identity import find_identities
from trio_egress.runtime.backends import SOCKET_VARIABLE

pytestmark = pytest.mark.sandbox

STRANGER = 54_321
SUPERVISOR = find_identities(None, {}).supervisor
"""What a supervisor of root's becomes."""

COMMAND = [sys.executable, "-I", "-m", "trio_egress", "serve"]


def find_top() -> str | None:
    """A cgroup in which root may make others, whatever this machine gives it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    tops = [line.split()[4] for line in lines if " - cgroup2 " in line]
    return next((top for top in tops if AS_ROOT and os.access(top, os.W_OK)), None)


TOP = find_top()
GROUPED = f"""
import sys
from trio_egress.cli import serve
from trio_egress.cli.main import main
find = "from pathlib import Path; from trio_egress.runtime import sandbox; sandbox.find_own_parent = lambda: "
serve.PROGRAM = find + "Path({TOP!r}); " + serve.PROGRAM
sys.exit(main())
"""
"""The same, whose sandboxes have a cgroup each."""

ASKS = "import urllib.request as u\ntry: u.urlopen('http://denied.example.com/')\nexcept OSError: pass"
CLAIMED = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "acme/claimed",
    "GITHUB_SHA": 40 * "a",
    "HOME": "/srv",
}
CONNECTS = """
import socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
    sock.connect(sys.argv[1])
    print("connected")
"""


@contextmanager
def being(uid: int = AGENT.pw_uid, gid: int = AGENT.pw_gid) -> Iterator[None]:
    """For the kernel, this process is somebody else's as long as the body lasts, if it is root's."""
    if not AS_ROOT:
        yield
        return
    before = os.geteuid(), os.getegid()
    _become(uid, gid)
    try:
        yield
    finally:
        _become(*before)


def _become(uid: int, gid: int) -> None:
    os.seteuid(0)
    os.setegid(gid)
    os.seteuid(uid)


class Serve:
    """One, and what it has said."""

    def __init__(self, place: Place, *options: str) -> None:
        self.place = place
        self.socket = str(place.path / "socket")
        floor = place.write("floor.toml", write_policy("*.example.com"))
        self.evidence = place.path / "packets"
        self.log = place.path / "log"
        allowed = [f"--allow-user={uid}" for uid in (AGENT.pw_uid, SUPERVISOR.uid)] if AS_ROOT else []
        words = ["--socket", self.socket, "--policy-floor", str(floor), "--key", str(place.key_file)]
        words += ["--evidence-in", str(self.evidence), *allowed, *options]
        command = COMMAND if TOP is None else [sys.executable, "-I", "-c", GROUPED, "serve"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*command, *words], stderr=log, env=ENVIRONMENT, cwd=place.path)
        wait_until(lambda: b"waiting" in self.log.read_bytes() or self.process.poll() is not None, "it waits")
        assert self.process.poll() is None, self.log.read_text()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(PATIENCE_SECONDS)
        sock.connect(self.socket)
        return sock

    def ask(
        self, *streams: int, who: tuple[int, int] = (AGENT.pw_uid, AGENT.pw_gid), **members: object
    ) -> tuple[socket.socket, dict[str, Any]]:
        """A client that speaks for itself, and the first answer."""
        opening: dict[str, object] = {
            "step": "open",
            "policy": None,
            "file": "p.toml",
            "allow": [],
            "environment": {"PATH": os.defpath},
        }
        with being(*who):
            sock = self.connect()
            folder = os.open(self.place.work, os.O_PATH | os.O_DIRECTORY)
        raw = json.dumps({**opening, "timeout": None, "decides": False, **members}).encode()
        socket.send_fds(sock, [raw], streams or [folder])
        os.close(folder)
        return sock, hear(sock)

    def find_packets(self) -> list[Path]:
        return sorted((self.evidence / str(AGENT.pw_uid)).iterdir())

    def count_descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def find_supervisors(self) -> list[str]:
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()


def hear(sock: socket.socket) -> dict[str, Any]:
    """The next word; nothing where it has hung up."""
    raw = sock.recv(1 << 18)
    return json.loads(raw) if raw else {}


def hear_until(sock: socket.socket, step: str) -> dict[str, Any]:
    while (word := hear(sock)) and word["step"] != step:
        pass
    return word


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    place = Place()
    serve = Serve(place, "--patience=2")
    yield serve
    code = serve.end()
    place.close()
    assert code == 0


@pytest.fixture
def client(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv(SOCKET_VARIABLE, serve.socket)
    with being():
        yield serve


def test_a_sandbox_is_the_clients_and_its_packet_the_operators(client: Serve) -> None:
    narrower = client.place.work / "mine.toml"
    narrower.write_text(write_policy("api.example.com", more='methods = ["GET"]\n'))
    os.mkfifo(client.place.work / "roots")  # who opened it would wait for ever
    questions: list[te.Question] = []
    with te.Sandbox(
        narrower,
        workspace=client.place.work,
        evidence=client.place.work / "copy",
        environment={
            "WORD": "said",
            "PATH": os.defpath,
            "SSL_CERT_FILE": str(client.place.work / "roots"),
            **CLAIMED,
        },
        decide=lambda question: bool(questions.append(question)),  # type: ignore[func-returns-value]
    ) as sandbox:
        assert sandbox.backend == "helper", "which `auto` takes where a socket is named"
        done = sandbox.run(["sh", "-c", "id -u; id -g; id -G; pwd; echo $WORD; echo $HOME >made"])
        ids = [str(AGENT.pw_uid), str(AGENT.pw_gid), str(AGENT.pw_gid)]
        if AS_ROOT:
            assert done.stdout.decode().split() == [*ids, str(client.place.work), "said"]
        assert sandbox.run(["python3", "-c", ASKS]).denied[0].host == "denied.example.com"
        asked = sandbox.run(["python3", "-c", ASKS.replace("denied", "api")])
        assert [(each.host, each.layer) for each in asked.denied] == [("api.example.com", "approval")]
        assert [str(question.attempt.host) for question in questions] == ["api.example.com"]
        seen = sandbox.run(["sh", "-c", f"cat {client.place.key_file} {client.evidence}/*/*"])
        assert seen.stdout == b""
        reached = sandbox.run(["python3", "-c", CONNECTS, client.socket])
        assert (reached.returncode, reached.stdout) == (1, b""), "no agent asks for a sandbox of its own"
    outside = subprocess.run(
        [sys.executable, "-c", CONNECTS, client.socket], capture_output=True, check=False
    )
    assert outside.stdout == b"connected\n", "the control: its client does"
    made = client.place.work / "made"
    assert made.stat().st_uid == AGENT.pw_uid
    assert made.read_text().strip() in (AGENT.pw_dir, "/tmp"), "where `~` leads is not the client's to say"
    assert sandbox.verdict is te.Verdict.VALID
    with being(0, 0):
        packet = client.evidence / str(AGENT.pw_uid) / sandbox.packet.run_id
        assert verify(packet, client.place.key.public_hex) == 0
        assert verify(sandbox.packet.path, client.place.key.public_hex) == 0
        assert [p.name for p in sorted(packet.iterdir())] == sorted(os.listdir(sandbox.packet.path))
        said = b"".join(path.read_bytes() for path in packet.iterdir())
        assert b"acme/claimed" not in said, "what a client says of itself is not signed"
    assert sandbox.packet.path == client.place.work / "copy"


AGENT_SH = r"""
exec 3<>/dev/tcp/denied.example.com/80
exec 3<>/dev/tcp/api.example.com/80
printf 'GET / HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n' >&3
cat <&3 >/dev/null
cat
echo out
echo err >&2
exit 3
"""


def test_a_run_of_one_command_is_told_as_any_run(client: Serve) -> None:
    narrower = client.place.work / "run.toml"
    narrower.write_text(write_policy("api.example.com"))
    asked: list[tuple[str, int]] = []

    def careful(question: te.Question) -> str:
        asked.append((str(question.attempt.host), threading.get_ident()))
        return "not today"

    more: dict[str, Any] = {"directory": client.place.work, "timeout": PATIENCE_SECONDS, "max_output": 3}
    with pytest.raises(te.DeniedError) as caught:
        te.run(["bash", "-c", AGENT_SH], policy=narrower, check_denied=True, decide=careful, **more)
    done = caught.value.run
    assert done.backend == "helper", "which `auto` takes where a socket is named"
    assert (done.returncode, done.end, done.verdict) == (3, "agent_exited", te.Verdict.VALID)
    assert (done.stdout, done.truncated) == (b"out", True)
    assert {"denied.example.com", "api.example.com"} <= {denied.host for denied in done.denied}
    (said,) = [denied.reason for denied in done.denied if denied.layer == "approval"]
    assert said.endswith("not today")
    assert asked == [("api.example.com", threading.get_ident())], "in the thread that waits"
    assert done.packet.path == client.place.work / "trio-egress-audit" / done.packet.run_id
    assert verify(done.packet.path, client.place.key.public_hex) == 0
    with pytest.raises(te.UsageError, match=r"^signer: "):
        te.run(["true"], policy=narrower, signer="x", **more)
    with pytest.raises(te.SandboxError, match="whose sandboxes are"):
        te.run(["true"], policy=narrower, backend="userns" if os.geteuid() == 0 else "root", **more)


RUNS = f"""
import sys
import trio_egress as te
command = ["sh", "-c", "cat; echo err >&2; touch begun; exec sleep {ours("4715")}"]
te.run(command, policy=None, directory=sys.argv[1], evidence="of-a-run", backend="helper")
"""


def test_a_run_has_the_programs_streams_and_an_interrupt_ends_it_in_good_order(client: Serve) -> None:
    work = client.place.work
    who: dict[str, Any] = {"user": AGENT.pw_uid, "group": AGENT.pw_gid, "extra_groups": []} if AS_ROOT else {}
    with being(0, 0), (work / "said").open("wb+") as said:
        said.write(b"said\n")
        said.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-c", RUNS, str(work)],
            stdin=said,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=work,
            env={**ENVIRONMENT, SOCKET_VARIABLE: client.socket},
            **who,
        )
    with process:
        try:
            begun = (work / "begun").exists
            wait_until(lambda: begun() or process.poll() is not None, "its command has begun")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    assert (process.returncode, out) == (-signal.SIGINT, b"said\n"), err
    assert (err.splitlines()[0], err.splitlines()[-1]) == (b"err", b"KeyboardInterrupt")
    assert find_processes(ours("4715")) == []
    assert verify(work / "of-a-run", client.place.key.public_hex) == 0, (
        "the packet was copied before it went on"
    )


@pytest.mark.root  # an ordinary user lends nothing
def test_nothing_is_lent_to_a_client(client: Serve) -> None:
    with being(0, 0):
        folder = client.place.path / "roots"
        folder.mkdir(mode=0o755)
    evidence = client.place.work / "of-roots"
    with te.Sandbox(None, workspace=folder, evidence=evidence) as sandbox:
        assert sandbox.run(["touch", "a"]).returncode == 1
    with being(0, 0):
        assert list(folder.iterdir()) == []
        own = client.place.write("own.toml", write_policy("api.example.com"))
        with te.Sandbox(
            own, workspace=folder, user=AGENT.pw_name, backend="root", evidence=folder / "e"
        ) as sandbox:
            assert sandbox.backend == "root"
            assert sandbox.run(["touch", "a"]).returncode == 0, "the control: root lends to its own agents"


def test_a_policy_that_is_wider_than_the_floor_is_refused_with_its_place(client: Serve) -> None:
    wider = client.place.work / "wider.toml"
    wider.write_text(write_policy("api.example.com", "elsewhere.org"))
    with (
        pytest.raises(
            te.SandboxError, match=r"egress\[1\] 'elsewhere.org' \(line .*no rule of the floor leads there"
        ),
        te.Sandbox(wider, workspace=client.place.work),
    ):
        pass
    with (
        pytest.raises(te.SandboxError, match="no rule of the floor leads there"),
        te.Sandbox(client.place.work / "mine.toml", allow=["elsewhere.org"], workspace=client.place.work),
    ):
        pass
    hiding = client.place.work / "hiding.toml"
    hiding.write_text(write_policy("api.example.com", more='[files]\nhide = ["/root/there"]\n'))
    with (
        pytest.raises(te.SandboxError, match="hide: the floor says"),
        te.Sandbox(hiding, workspace=client.place.work),
    ):
        pass
    narrow = client.place.work / "mine.toml"
    with (
        pytest.raises(te.UsageError, match="operator"),
        te.Sandbox(narrow, key="key", workspace=client.place.work),
    ):
        pass


def test_what_no_opening_is_ends_that_connection_and_no_other(serve: Serve) -> None:
    before = serve.count_descriptors()
    fifo = serve.place.work / "fifo"
    os.mkfifo(fifo)
    pipe = os.open(fifo, os.O_RDWR)
    folder = os.open(serve.place.work, os.O_PATH | os.O_DIRECTORY)
    heard = [
        serve.ask(more=1),
        serve.ask(timeout=-1),
        serve.ask(policy="[[egress]]\ndestination ="),
        serve.ask(policy='version = "1.0"\ndefault_deny = true\ninclude = ["/etc/passwd"]'),
        serve.ask(file="../x.toml"),
        serve.ask(pipe),
        serve.ask(folder, folder),
        serve.ask(*[folder] * 200),
        serve.ask(environment={"A=B": "c"}),
        serve.ask(decides=True),
    ]
    with being():
        dead, silent = serve.connect(), serve.connect()
        dead.send(b"\xff" * 100)
        heard += [(dead, hear(dead)), (silent, hear(silent))]
        gone = serve.connect()
        gone.close()
    for sock, word in heard:
        assert word["step"] == "refused", word
        assert hear(sock) == {}, "and it hangs up"
        sock.close()
    os.close(pipe)
    os.close(folder)
    wait_until(lambda: not serve.find_supervisors(), "their supervisors are gone")
    wait_until(lambda: serve.count_descriptors() <= before, "no descriptor is left")


def test_who_is_killed_or_floods_it_with_descriptors_leaves_nothing_behind(serve: Serve) -> None:
    packets = serve.find_packets() if serve.evidence.joinpath(str(AGENT.pw_uid)).exists() else []
    groups = find_groups()
    asks = [serve.ask(), serve.ask()]
    assert [word["step"] for _, word in asks] == ["ready", "ready"]
    (killed, _), (floods, _) = asks
    spawn = {"step": "spawn", "number": 1, "directory": "", "environment": {}, "timeout": None}
    nowhere = os.open(os.devnull, os.O_RDWR)
    for sock, seconds in ((killed, ours("4711")), (floods, ours("4712"))):
        raw = json.dumps({**spawn, "argv": ["sleep", seconds]}).encode()
        socket.send_fds(sock, [raw], [nowhere] * 3)
        assert hear_until(sock, "started")["number"] == 1, "the control: three are what a command takes"
        wait_until(partial(find_processes, seconds), "it lives")
    supervisors = serve.find_supervisors()
    assert len(supervisors) == 2
    assert len(find_groups() - groups) == (0 if TOP is None else 2)
    raw = json.dumps({**spawn, "number": 2, "argv": ["true"]}).encode()
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [nowhere] * 200))]
    floods.sendmsg([raw], beside)
    assert "more descriptors" in hear_until(floods, "closed")["status"]["message"]
    assert find_processes(ours("4712")) == []
    assert len(find_processes(ours("4711"))) == 1, "the other client's lives on"
    killed.close()
    floods.close()
    os.close(nowhere)
    wait_until(lambda: not find_processes(ours("4711")), "its agent is dead")
    wait_until(lambda: not serve.find_supervisors(), "its supervisor is gone")
    wait_until(lambda: find_groups() <= groups, "and so is the cgroup of either")
    left = [packet for packet in serve.find_packets() if packet not in packets]
    assert len(left) == 2
    for packet in left:
        assert verify(packet, serve.place.key.public_hex) == 0, "closed, signed and sealed"
        assert [r for r in read_receipts(packet) if r.transport == "command"]


@pytest.mark.root  # root alone can be somebody else
def test_a_user_who_is_not_allowed_has_no_sandbox(serve: Serve) -> None:
    refused = ((STRANGER, STRANGER, "is not served here"), (0, 0, "no agent runs as root"))
    for uid, gid, why in refused:
        with being(uid, gid), serve.connect() as sock:
            word = hear(sock)
        assert word["step"] == "refused"
        assert why in word["message"]
    sock, word = serve.ask(who=(SUPERVISOR.uid, SUPERVISOR.gid))
    sock.close()
    assert (word["step"], word["status"]["end"]) == ("closed", "refused")
    assert "are the supervisor's, and nobody else's" in word["status"]["message"]
    sock, word = serve.ask(more=1)
    sock.close()
    assert word["message"].startswith("an opening is"), "the control: who is allowed is heard"


def test_sigterm_closes_what_lives_and_then_it_goes(place: Place) -> None:
    serve = Serve(place, "--most-per-user=1")
    sock, word = serve.ask()
    assert word["step"] == "ready"
    with being(), serve.connect() as second:
        assert "you have 1 sandboxes already" in hear(second)["message"]
    assert serve.end() == 0
    assert hear_until(sock, "closed")["status"]["end"] == "terminated"
    (packet,) = serve.find_packets()
    sock.close()
    assert verify(packet, place.key.public_hex) == 0
    assert not os.path.lexists(serve.socket)


def test_silence_closes_a_sandbox_and_the_end_of_serve_those_that_are_left(place: Place) -> None:
    groups = find_groups()
    serve = Serve(place, "--idle=3")
    sock, word = serve.ask()
    assert word["step"] == "ready"
    raw = {"step": "spawn", "number": 1, "directory": "", "environment": {}, "timeout": None}
    nowhere = os.open(os.devnull, os.O_RDWR)
    socket.send_fds(sock, [json.dumps({**raw, "argv": ["sleep", ours("4713")]}).encode()], [nowhere] * 3)
    os.close(nowhere)
    assert hear_until(sock, "started")["number"] == 1
    silent, word = serve.ask()
    assert word["step"] == "ready"
    assert hear_until(silent, "closed")["status"]["message"] == "nothing was asked for 3 s"
    silent.close()
    assert len(find_processes(ours("4713"))) == 1, (
        "the control: the other has been as silent, and its command lives"
    )
    serve.process.kill()
    serve.process.wait()
    assert hear_until(sock, "closed")["status"]["end"] == "terminated", "its supervisor has noticed"
    sock.close()
    assert find_processes(ours("4713")) == []
    wait_until(lambda: find_groups() <= groups, "their cgroups are gone")
    packets = serve.find_packets()
    assert [verify(packet, place.key.public_hex) for packet in packets] == [0, 0]


@pytest.mark.root  # root alone can make a mount namespace and be somebody else
def test_a_directory_of_another_mount_namespace_is_refused(serve: Serve) -> None:
    wider = write_policy("elsewhere.org")
    own = os.readlink("/proc/self/ns/mnt")
    with subprocess.Popen(["unshare", "--mount", "sleep", ours("4714")]) as apart:
        try:
            wait_until(lambda: os.readlink(f"/proc/{apart.pid}/ns/mnt") != own, "it is apart")
            there = os.open(f"/proc/{apart.pid}/root{serve.place.work}", os.O_PATH | os.O_DIRECTORY)
        finally:
            apart.kill()
    sock, word = serve.ask(there, policy=wider)
    sock.close()
    os.close(there)
    assert (word["step"], "the workspace" in word["message"]) == ("refused", True), word
    sock, word = serve.ask(policy=wider)
    sock.close()
    assert "no rule of the floor leads there" in word["message"], (
        "the control: here the policy is what is wrong"
    )


def test_a_second_serve_does_not_take_the_path(serve: Serve) -> None:
    words = ["--socket", serve.socket, "--policy-floor", str(serve.place.path / "floor.toml")]
    words += [
        "--key",
        str(serve.place.key_file),
        "--evidence-in",
        str(serve.evidence),
        f"--allow-user={AGENT.pw_uid}",
    ]
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 1
    assert "somebody listens there already" in done.stderr
