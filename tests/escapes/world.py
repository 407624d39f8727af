"""The outside of the escape suite: a network, mounts and canaries of its own, in which real runs take place.

`python world.py` reads the runs that are wanted as JSON on standard input and writes what was seen of each as JSON. It
is a process of its own because it enters namespaces: as root a network, mount and IPC namespace, as an ordinary user a
user namespace as well, in which it has the same id. Every address leads to the canaries there.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.escapes import attacks
from tests.escapes.attacks.calls import OUTLETS
from tests.escapes.attacks.files import LINKED_KEY
from tests.escapes.attacks.processes import SECRET_AT
from tests.escapes.attacks.unix import HOST_SOCKETS
from tests.escapes.canaries import Canaries
from tests.escapes.frame import CASES, EVIDENCE, HOME, KEY, ROOM, WORK, Case, Ways
from tests.escapes.room import (
    AGAIN,
    LIBRARY,
    SECRET,
    become_first,
    enter_namespaces,
    make_network,
    make_room,
    put_secrets_in_memory,
)
from tests.escapes.streams import Streams, open_streams
from tests.escapes.traces import (
    destination,
    end_survivors,
    find_handle,
    find_hits,
    is_as_it_was,
    is_harmed,
    is_marked,
    is_set_id,
    read_evidence,
)
from tests.runs.launch import AGENT, AS_ROOT, PATHS, find_processes

from trio_egress.evidence.sign import generate, render_private_key
from trio_egress.kernel import syscalls

PATIENCE_SECONDS = 40.0
MESSAGE_BYTES = 1 << 18
SO_DOMAIN = 39


def main() -> None:
    wanted = json.load(sys.stdin)
    out = os.dup(1)
    os.dup2(2, 1)
    attacks.load()
    enter_namespaces()
    become_first()
    make_network()
    put_secrets_in_memory()
    canaries = Canaries()
    canaries.open_network()
    canaries.listen_at("\0trio-egress-canary")
    canaries.listen_at("\0trio-egress-canary-datagrams", socket.SOCK_DGRAM)
    seen = [carry_out(run, canaries) for run in wanted]
    with os.fdopen(out, "w") as file:
        json.dump(seen, file)


def carry_out(run: Mapping[str, Any], canaries: Canaries) -> dict[str, Any]:
    started = time.monotonic()
    nonce = os.urandom(4).hex()
    numbers = {case.name: number for number, case in enumerate(CASES)}
    cases = [CASES[numbers[name]] for name in run["cases"]]
    ways = [Ways(case.name, numbers[case.name], nonce) for case in cases]
    off: list[str] = run["off"]
    with make_room(canaries, ways) as stack:
        victims = {c.name: stack.enter_context(open_victim()) for c in cases if needs_victim(c)}
        key = generate(os.urandom(32))
        make_key(render_private_key(key), run["setting"] == LINKED_KEY, off)
        streams = open_streams(run["setting"], canaries, stack)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        canaries.take()
        agent = [os.path.realpath(sys.executable), "-I", "-S", "-B", f"{LIBRARY}/tests/escapes/inside.py"]
        pids = json.dumps({name: victim.pid for name, victim in victims.items()})
        agent += [LIBRARY, nonce, pids, *run["cases"]]
        process = start(agent, off, theirs, streams)
        theirs.close()
        watcher = Watcher(ours, process, canaries)
        watcher.wait()
        stack.callback(end_survivors, ways)
        packets, heard = canaries.take()
        return {
            "nonce": nonce,
            "code": process.returncode,
            "seconds": time.monotonic() - started,
            "lost": canaries.count_lost(),
            "reports": watcher.reports,
            "baseline": watcher.baseline,
            "secret": SECRET.decode("ascii"),
            "hits": find_hits(ways, packets, heard),
            "dialled": sorted({destination(packet) for packet in packets} - {""}),
            "changed": [w.name for w in ways if not is_as_it_was(w)],
            "marked": [w.name for w in ways if is_marked(w)],
            "set-id": [w.name for w in ways if is_set_id(w)],
            "victims": [name for name, victim in victims.items() if is_harmed(victim.pid)],
            "outlived": [w.name for case, w in zip(cases, ways, strict=True) if has_outlived(case, w)],
            "typed": streams.read_typed(),
            "handle": find_handle(),
            **read_evidence(key.public_hex),
        }


def has_outlived(case: Case, w: Ways) -> bool:
    """Looked for more than once: one that forks has another number by the time that its arguments are read."""
    return any(find_processes(w.token) for _ in range(5 if case.proof == "outlived" else 1))


def needs_victim(case: Case) -> bool:
    return case.family == "processes"


@contextmanager
def open_victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the agent's user, outside, with the secret in its memory and in descriptor SECRET_AT."""
    with open(f"{ROOM}/secret", "rb") as file:
        os.dup2(file.fileno(), SECRET_AT)
    process = subprocess.Popen(
        ["/bin/sleep", "300"],
        env={"SECRET": SECRET.decode("ascii")},
        pass_fds=(SECRET_AT,),
        cwd=ROOM,
        start_new_session=True,
        **as_agent(),
    )
    os.close(SECRET_AT)
    yield process
    process.kill()
    process.wait()


def as_agent() -> dict[str, Any]:
    return {"user": AGENT.pw_uid, "group": AGENT.pw_gid, "extra_groups": []} if AS_ROOT else {}


def make_key(raw: bytes, linked: bool, off: list[str]) -> None:
    """Without the boundary the agent's user owns it: nothing else keeps it. With it, root's run would be refused."""
    Path(KEY).touch(0o600)
    Path(KEY).write_bytes(raw)
    if off:
        os.chown(KEY, AGENT.pw_uid, AGENT.pw_gid)
    if linked:
        os.link(KEY, f"{ROOM}/keys/second-name")
    os.mkdir(AGAIN)
    syscalls.mount(ROOM, AGAIN, None, syscalls.MS_BIND)


def start(agent: list[str], off: list[str], out: socket.socket, streams: Streams) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        **PATHS,
        **dict.fromkeys(OUTLETS, SECRET.decode("ascii")),
        "ESCAPES_OFF": ",".join(off),
        "HOME": HOME,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    options = ["--policy", f"{ROOM}/policy.toml", "--evidence", EVIDENCE, "--key", KEY, "--", *agent]
    user: dict[str, Any] = {}
    if "sandbox" in off:
        command, user = agent, as_agent()
    elif "sandbox and user" in off:
        command = agent
    elif off:
        command = [sys.executable, str(Path(__file__).parent / "weak/supervisor.py"), "run", *options]
    else:
        command = [sys.executable, "-m", "trio_egress", "run", *options]
    given: dict[str, Any] = {
        "cwd": WORK,
        "stdin": streams.stdin,
        "stdout": out,
        "env": environment,
        "pass_fds": streams.inherited,
        "preexec_fn": streams.become_terminal,
    }
    process: subprocess.Popen[bytes] = subprocess.Popen(command, **given, **user)
    return process


class Watcher:
    """Reads what the agent hands out, until the run is over."""

    def __init__(self, sock: socket.socket, process: subprocess.Popen[bytes], canaries: Canaries) -> None:
        self._sock = sock
        self._process = process
        self._canaries = canaries
        self.reports: list[dict[str, Any]] = []
        self.baseline: list[str] = []
        self._late: list[socket.socket] = []

    def wait(self) -> None:
        self._sock.settimeout(0.1)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                raw, found, _, _ = socket.recv_fds(self._sock, MESSAGE_BYTES, 32)
            except TimeoutError:
                if self._process.poll() is not None:
                    break
                continue
            if not raw:
                break
            self._take(json.loads(raw), found)
        else:
            self._process.kill()
        self._process.wait()
        for sock in self._late:
            self._canaries.remove(sock)

    def _take(self, told: dict[str, Any], found: list[int]) -> None:
        described = [describe(number) for number in found]
        for number in found:
            os.close(number)
        if not told["case"]:
            self.baseline = described
            path = HOST_SOCKETS["made_after_the_start"]
            if not self._late and os.path.isdir(os.path.dirname(path)):
                self._late.append(self._canaries.listen_at(path))
            return
        told["secret"] = bytes.fromhex(told["secret"]).decode("latin-1")
        self.reports.append({**told, "descriptors": described})


def describe(number: int) -> str:
    """What a descriptor is, as the kernel says it: the agent's word for it isn't asked."""
    link = os.readlink(f"/proc/self/fd/{number}")
    if link.startswith("socket:"):
        # With a family given none is asked for: not every socket has an address to tell it by.
        with socket.socket(socket.AF_UNIX, fileno=os.dup(number)) as sock:
            family = sock.getsockopt(socket.SOL_SOCKET, SO_DOMAIN)
            return f"socket {family} {sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)}"
    if "/fdinfo/" in link:
        with suppress(OSError):
            return f"information {os.pread(number, 4096, 0).decode('ascii')}"
    status = os.fstat(number)
    here = os.stat(WORK)
    mounted = "" if status.st_dev == here.st_dev else " elsewhere"
    work = " work" if (status.st_dev, status.st_ino) == (here.st_dev, here.st_ino) else ""
    return f"{link}{mounted}{work}"


if __name__ == "__main__":
    main()
