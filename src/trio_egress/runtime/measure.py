"""Has the boundary tried from inside, before the agent runs and after it, against canaries that this process holds.

Rule 1: a probe's own word is not enough where a canary can tell: one connection to a canary is a hole.
Rule 2: a wrong answer before the agent: it never runs. After it: the run's evidence can't be trusted to be whole.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs
import trio

from trio_egress.errors import SandboxError
from trio_egress.kernel.posture import find_wrong
from trio_egress.runtime.agent import ask
from trio_egress.runtime.sandbox import Sandbox

PROBE_SECONDS = 20.0
"""The probes take some 10 ms; none of them may wait for anything."""


@attrs.frozen
class Canaries:
    """Listeners on the host that nothing inside may reach."""

    tcp: socket.socket
    abstract: socket.socket
    name: str

    def touched(self) -> bool:
        """Whether anybody has connected."""
        return any(_has_connection(sock) for sock in (self.tcp, self.abstract))


@contextmanager
def open_canaries() -> Iterator[Canaries]:
    """A TCP listener on the host's loopback and an abstract Unix one, for as long as the body takes."""
    name = f"trio-egress-canary-{os.urandom(8).hex()}"
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as abstract:
        tcp.bind(("127.0.0.1", 0))
        abstract.bind(f"\0{name}")
        for sock in (tcp, abstract):
            sock.listen(8)
            sock.setblocking(False)
        yield Canaries(tcp, abstract, name)


async def measure(
    sandbox: Sandbox, canaries: Canaries, hidden: Sequence[str], sockets: Sequence[str]
) -> Mapping[str, str]:
    """The answers of every probe, all of them right; raises SandboxError with those that are wrong."""
    targets = {
        "port": canaries.tcp.getsockname()[1],
        "abstract": canaries.name,
        "hidden": list(hidden),
        "sockets": list(sockets)[:64],
    }
    with trio.move_on_after(PROBE_SECONDS) as patience:
        message = await ask(sandbox, step="probe", targets=targets)
    if patience.cancelled_caught or message is None or message["step"] != "measured":
        raise SandboxError(f"the boundary could not be measured from inside ({message})")
    answers = message["answers"]
    assert isinstance(answers, dict)
    if "failure" in answers:
        raise SandboxError(f"the boundary could not be measured from inside: {answers['failure']}")
    wrong = [str(item) for item in find_wrong(answers)]
    if canaries.touched():
        wrong.append("a canary on the host was reached from inside")
    if wrong:
        raise SandboxError("the sandbox does not hold on this machine: " + "; ".join(wrong))
    return answers


def _has_connection(sock: socket.socket) -> bool:
    try:
        sock.accept()[0].close()
    except BlockingIOError:
        return False
    return True
