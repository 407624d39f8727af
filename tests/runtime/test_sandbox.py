"""A set-up that is cancelled: before it began, and while it waits for a launcher that says nothing."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from trio_egress.errors import SandboxError
from trio_egress.kernel.apply import Launched
from trio_egress.kernel.identity import find_identities
from trio_egress.runtime.sandbox import build_or_hang_up

IDENTITIES = find_identities(None, {}, None)


@pytest.fixture
def silent() -> Iterator[tuple[Launched, socket.socket]]:
    """A launcher that says nothing, and its end of the channel."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    with process, ours, theirs:
        yield Launched(process, ours, {}), theirs
        assert process.stdin is not None
        process.stdin.close()


def test_cancelled_before_it_begins_it_does_not_begin(silent: tuple[Launched, socket.socket]) -> None:
    """A signal that comes in the very moment in which the plan is ready: there is no thread to wait for."""
    launched, theirs = silent

    async def build() -> bool:
        with trio.CancelScope() as scope:
            scope.cancel()
            await build_or_hang_up(launched, IDENTITIES)
        return scope.cancelled_caught

    assert trio.run(build)
    launched.control.send(b"still open")
    assert theirs.recv(64) == b"still open"


def test_cancelled_in_the_middle_it_hangs_up(silent: tuple[Launched, socket.socket]) -> None:
    launched, theirs = silent

    async def build() -> bool:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(build_or_hang_up, launched, IDENTITIES)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        return scope.cancelled_caught

    assert trio.run(build)
    assert theirs.recv(64) == b""


def test_a_launcher_that_hangs_up_is_told(silent: tuple[Launched, socket.socket]) -> None:
    launched, theirs = silent
    theirs.close()
    with pytest.raises(SandboxError):
        trio.run(build_or_hang_up, launched, IDENTITIES)
