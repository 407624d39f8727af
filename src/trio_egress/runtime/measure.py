"""Has the boundary tried from inside, before the agent runs and after it, against canaries that this process holds.

Rule 1: a probe's own word is not enough where a canary can tell: one connection to a canary is a hole.
Rule 2: a wrong answer before the agent: it never runs. After it: the evidence of the run can't be trusted to be whole.
Rule 3: what the probes sent is not the agent's: it is taken out of the kernel's counters and its log.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import trio

from trio_egress.errors import SandboxError
from trio_egress.kernel import netlink
from trio_egress.kernel.mounts import View
from trio_egress.kernel.nflog import DATAGRAM_BYTES
from trio_egress.kernel.plan import Plan
from trio_egress.kernel.posture import UNSUPPORTED_PATHS, find_wrong
from trio_egress.runtime.agent import ask
from trio_egress.runtime.sandbox import Sandbox
from trio_egress.values import frozen

PROBE_SECONDS = 60.0
"""The probes take some 15 ms; none of them may wait for anything."""

SOCKETS_TRIED = 64

Answers = Mapping[str, str]
Counters = Mapping[str, tuple[int, int]]


class SandboxGone(SandboxError):
    """There is no PID 1 inside any more."""


class BoundaryError(SandboxError):
    """The boundary lets something through. `answers` are those of the probes: they are evidence."""

    def __init__(self, message: str, answers: Answers) -> None:
        super().__init__(message)
        self.answers = answers


@frozen
class Canaries:
    """Listeners on the host that nothing inside may reach."""

    tcp: socket.socket
    abstract: socket.socket
    name: str

    def touched(self) -> bool:
        """Whether anybody has connected."""
        return any(_has_connection(sock) for sock in (self.tcp, self.abstract))


@contextmanager
def open_canaries(inside: Collection[int]) -> Iterator[Canaries]:
    """A TCP listener on the host's loopback and an abstract Unix one, for as long as the body takes.

    `inside`: ports where the sandbox listens itself. There a probe would be let in, and have reached nothing outside.
    """
    name = f"trio-egress-canary-{os.urandom(8).hex()}"
    with _bind_apart(inside) as tcp, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0{name}")
        for sock in (tcp, abstract):
            sock.listen(8)
            sock.setblocking(False)
        yield Canaries(tcp, abstract, name)


def _bind_apart(inside: Collection[int]) -> socket.socket:
    """A free port that is none of `inside`. What is put aside stays bound till then: no port comes twice."""
    with ExitStack() as aside:
        while True:
            sock = socket.socket()
            sock.bind(("127.0.0.1", 0))
            if sock.getsockname()[1] not in inside:
                return sock
            aside.enter_context(sock)


async def measure(sandbox: Sandbox, canaries: Canaries, view: View) -> Answers:
    """The answers of every probe, all of them right; BoundaryError with those that are wrong. No agent runs then."""
    targets = {
        "port": canaries.tcp.getsockname()[1],
        "abstract": canaries.name,
        "hidden": list(view.hide),
        "sockets": list(view.sockets)[:SOCKETS_TRIED],
    }
    message = None
    with trio.move_on_after(PROBE_SECONDS) as patience:
        message = await ask(sandbox, "measured", step="probe", targets=targets)
    if message is None and not patience.cancelled_caught:
        raise SandboxGone("the sandbox ended before its boundary was measured")
    if message is None or message["step"] != "measured":
        raise SandboxError("the boundary could not be measured from inside: PID 1 gave no answer")
    answers: Answers = message["answers"]
    if "refused" in answers:
        raise SandboxError(answers["refused"])
    if "failure" in answers:
        raise SandboxError(f"the boundary could not be measured from inside: {answers['failure']}")
    wrong = [str(item) for item in find_wrong(answers)]
    if canaries.touched():
        wrong.append("a canary on the host was reached from inside")
    if wrong:
        raise BoundaryError(f"the sandbox does not hold on this machine: {'; '.join(wrong)}", answers)
    return answers


async def measure_again(sandbox: Sandbox, canaries: Canaries, view: View) -> dict[str, tuple[int, int]]:
    """Measure once more when the agent is gone; what the probes themselves added to each counter (rule 3).

    Raises SandboxError. Only when nobody reads the log any more.
    """
    netfilter, log = sandbox.sockets["netfilter"], sandbox.sockets["log"]
    before = await trio.to_thread.run_sync(netlink.read_counters, netfilter)
    try:
        await measure(sandbox, canaries, view)
    except SandboxGone:
        # Killed from outside, and that ends the run as such. What was sent up to then was the probes' all the same.
        await sandbox.end()
    after = await trio.to_thread.run_sync(netlink.read_counters, netfilter)
    _empty(log)
    return {
        name: (packets - before[name][0], size - before[name][1]) for name, (packets, size) in after.items()
    }


async def forget_probes(sandbox: Sandbox) -> None:
    """Before the agent runs: the counters at zero, and the log empty."""
    await trio.to_thread.run_sync(_forget, sandbox.sockets["netfilter"], sandbox.sockets["log"])


def _forget(netfilter: socket.socket, log: socket.socket) -> None:
    netlink.read_counters(netfilter, reset=True)
    _empty(log)


def _empty(log: socket.socket) -> None:
    log.setblocking(False)
    try:
        while log.recv(DATAGRAM_BYTES):
            pass
    except BlockingIOError:
        return


def render_posture(plan: Plan, answers: Answers, bare: Sequence[str]) -> bytes:
    """posture.json: what this machine is, and what the probes inside answered, and what they can't.

    `bare`: the directories of the host that the agent sees without an overlay, so with whatever listens there.
    """
    system = os.uname()
    document = {
        "version": 1,
        "kernel": system.release,
        "machine": system.machine,
        "python": platform.python_version(),
        "root": plan.identities.root,
        "landlock_abi": plan.landlock.abi,
        "bare": list(bare),
        "lent": plan.lent,
        "probes": dict(answers),
        "unsupported_paths": list(UNSUPPORTED_PATHS),
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def hash_posture(raw: bytes) -> str:
    """As the open receipt binds it (`posture_capsule_sha256`)."""
    return hashlib.sha256(raw).hexdigest()


def _has_connection(sock: socket.socket) -> bool:
    try:
        sock.accept()[0].close()
    except BlockingIOError:
        return False
    return True
