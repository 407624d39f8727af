"""The sandbox's lifetime: built before the body, and after it no process of the agent is left."""

from __future__ import annotations

import os
import resource
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import attrs
import trio

from trio_egress.errors import SandboxError
from trio_egress.kernel.apply import Launched, build_sandbox, start_launcher
from trio_egress.kernel.cgroup import find_own_parent, open_group
from trio_egress.kernel.identity import Identities, give_up_root
from trio_egress.kernel.limits import keep_supervisor
from trio_egress.kernel.plan import Plan
from trio_egress.kernel.streams import STREAMS, check_streams, open_pipes
from trio_egress.kernel.waiting import Waiting
from trio_egress.values import frozen

INTERNET = (socket.AF_INET, socket.AF_INET6)

END_SECONDS = 5.0
"""PID 1 ends in about a millisecond once its control channel closes; after this long its parent is killed."""

KILLED_SECONDS = 30.0
"""What was killed goes at once, but where it waits for a device, or a machine is out of breath."""


@frozen
class Sandbox:
    """A sandbox that stands: the control channel to PID 1, and the sockets that were created inside."""

    control: trio.socket.SocketType
    sockets: dict[str, socket.socket]
    launched: Launched

    @property
    def ports(self) -> frozenset[int]:
        """Where it is listened inside, for the agent."""
        return frozenset(sock.getsockname()[1] for sock in self.sockets.values() if sock.family in INTERNET)

    async def end(self, seconds: float = END_SECONDS) -> None:
        """Kill everything inside and wait until the last process is gone. May be called again.

        `seconds`: how long PID 1 may take to end by itself.
        Raises SandboxError where one can't be killed (it waits for a device, or a file server).
        """
        self.control.close()
        with trio.move_on_after(seconds):
            await _wait_gone(self.launched)
            return
        self.launched.process.kill()
        with trio.move_on_after(KILLED_SECONDS):
            await _wait_gone(self.launched)
            return
        raise SandboxError("what runs inside does not end, although it was killed")


def raise_descriptors() -> None:
    """As many descriptors as this process may have: a connection takes up to six. The agent, already on its way, keeps
    the caller's own limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@asynccontextmanager
async def open_sandbox(
    plan: Plan, identities: Identities, streams: Sequence[int] = STREAMS, waiting: Waiting | None = None
) -> AsyncIterator[Sandbox]:
    """A sandbox in which nothing of the agent runs yet; this process has given up root when the body starts.

    `streams`: what the agent has as 0, 1 and 2. `waiting`: a launcher that was started early; it has ours.
    Raises SandboxError when it cannot be built exactly as planned.
    """
    with open_group(find_own_parent(), plan.resources) as group:
        if group is not None:
            plan = attrs.evolve(plan, group=group.descriptors)
        async with _open_sandbox(plan, identities, streams, waiting) as sandbox:
            yield sandbox


@asynccontextmanager
async def _open_sandbox(
    plan: Plan, identities: Identities, streams: Sequence[int], waiting: Waiting | None
) -> AsyncIterator[Sandbox]:
    if streams == STREAMS:  # the caller's, not pipes of our own
        check_streams()
    open_pipes(identities.agent.uid, streams)
    launched = start_launcher(plan, streams, waiting)
    raise_descriptors()
    sandbox: Sandbox | None = None
    try:
        await build_or_hang_up(launched, identities)
        keep_supervisor(root=identities.root)
        if identities.root:
            give_up_root(identities.supervisor)
        launched.control.setblocking(False)
        sandbox = Sandbox(trio.socket.from_stdlib_socket(launched.control), launched.sockets, launched)
        yield sandbox
    finally:
        with trio.CancelScope(shield=True):
            if sandbox is not None:
                await sandbox.end()
            else:
                launched.control.close()
                launched.process.kill()
                await _wait_process(launched)
        for opened in launched.sockets.values():
            opened.close()
        for descriptor in launched.init:
            os.close(descriptor)


async def build_or_hang_up(launched: Launched, identities: Identities) -> None:
    """`build_sandbox` in a thread, because it blocks. Cancelled, it hangs up on the launcher, and waits for the thread.

    Raises SandboxError as that does.
    """
    left = threading.Event()
    # From here to the thread's start nothing can cancel it (it waits for no limiter): what is waited for has begun.
    await trio.lowlevel.checkpoint_if_cancelled()

    def build() -> None:
        try:
            build_sandbox(launched, identities)
        finally:
            left.set()

    try:
        await trio.to_thread.run_sync(build, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1))
    except trio.Cancelled:
        with suppress(OSError):
            launched.control.shutdown(socket.SHUT_RDWR)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(left.wait)
        raise


async def _wait_gone(launched: Launched) -> None:
    await _wait_process(launched)
    for descriptor in launched.init:
        await trio.lowlevel.wait_readable(descriptor)


async def _wait_process(launched: Launched) -> None:
    if launched.process.returncode is not None:
        return
    try:
        descriptor = os.pidfd_open(launched.process.pid)
    except OSError as error:
        raise SandboxError(f"pidfd_open: {error.strerror}") from None
    try:
        await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)
    launched.process.wait()
