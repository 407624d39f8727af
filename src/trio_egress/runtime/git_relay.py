"""The process that ends SSH for git, where the policy asks for it: started before the sandbox, and ended after it.

Rule 1: it has loaded all that it will take, and is not root, before the agent runs.
Rule 2: the host key that it shows is made for one run, and is known inside.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from trio_egress.errors import SandboxError
from trio_egress.evidence.openssh import render_line, render_private
from trio_egress.evidence.sign import generate
from trio_egress.kernel.identity import Identities
from trio_egress.policy.rule import Policy
from trio_egress.policy.ssh_secrets import find_git_rules
from trio_egress.proxy.git_relay import GitRelay
from trio_egress.proxy.vault import Vault
from trio_egress.values import frozen

READY_SECONDS = 120.0
END_SECONDS = 5.0

ENVIRONMENT = {"PATH": os.defpath, "HOME": "/nonexistent", "LOGNAME": "trio-egress"}
"""All that it has: AsyncSSH asks for a user and a home, and finds nothing in that one."""

PROGRAM = (
    "import sys; sys.path[:] = filter(None, sys.path); from trio_egress.git_relay.program import main; main()"
)
"""Not `-m`, which looks into the working directory first."""


@frozen
class StartedRelay:
    """`host_key`: its line, for known_hosts."""

    relay: GitRelay
    host_key: str
    control: trio.socket.SocketType

    async def wait_ready(self) -> None:
        """Raises SandboxError."""
        with trio.move_on_after(READY_SECONDS):
            with contextlib.suppress(OSError):
                if await self.control.recv(16):
                    return
            raise SandboxError("what ends SSH for git did not start: see what it wrote to standard error")
        raise SandboxError(f"what ends SSH for git was not ready within {READY_SECONDS:g} s")


@asynccontextmanager
async def open_git_relay(
    policy: Policy, vault: Vault, identities: Identities
) -> AsyncIterator[StartedRelay | None]:
    """None where no rule carries git over SSH. Raises SandboxError."""
    if not any(find_git_rules(policy)):
        yield None
        return
    if importlib.util.find_spec("asyncssh") is None:
        raise SandboxError(
            "the policy carries git over SSH, for which AsyncSSH is missing: pip install 'trio-egress[ssh]'"
        )
    seed = os.urandom(32)
    public = bytes.fromhex(generate(seed).public_hex)
    ids = (identities.supervisor.uid, identities.supervisor.gid) if identities.root else None
    hello = json.dumps({"ids": ids, "host_key": render_private(seed, public).decode("ascii")})
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            process = _start(theirs)
        ours.send(hello.encode())
        ours.setblocking(False)
        control = trio.socket.from_stdlib_socket(ours)
        try:
            yield StartedRelay(GitRelay(control, vault.keys), render_line(public), control)
        finally:
            control.close()
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(_end, process)


def _start(control: socket.socket) -> subprocess.Popen[bytes]:
    """In a session of its own, since a Ctrl-C is the agent's, and with nothing of the caller's environment."""
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-c", PROGRAM],
            stdin=control.fileno(),
            stdout=subprocess.DEVNULL,
            cwd="/",
            env=dict(ENVIRONMENT),
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxError(f"what ends SSH for git can't be started: {error.strerror}") from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """It ends when its control socket is closed."""
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):  # as root it is another user's by now
            process.kill()
