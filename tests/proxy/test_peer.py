"""Sockets and their faults: what the other end causes is its own, what we cause is a bug."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from tests.proxy.conftest import few_descriptors, reset

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.proxy.gate import Limits
from trio_egress.proxy.peer import Count, Peer
from trio_egress.proxy.refusal import close_gently


class Connection:
    """The proxy's end, and the far one."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            far = socket.create_connection(listener.getsockname())
            near = listener.accept()[0]
        self.peer = Peer(trio.socket.from_stdlib_socket(near), PeerError)
        self.far = trio.SocketStream(trio.socket.from_stdlib_socket(far))

    def close(self) -> None:
        self.peer.close()
        self.far.socket.close()


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    made = Connection()
    yield made
    made.close()


async def test_bytes_read_ahead_are_read_first(connection: Connection) -> None:
    await connection.far.send_all(b"abc")
    assert await connection.peer.fill()
    await connection.far.send_all(b"def")
    assert await connection.peer.fill()
    assert await connection.peer.recv(4) == b"abcd"
    assert connection.peer.take() == b"ef"
    assert connection.peer.take() == b""
    await connection.far.send_eof()
    assert not await connection.peer.fill()
    assert await connection.peer.recv() == b""


async def test_send_counts_what_the_kernel_took(connection: Connection) -> None:
    counts: list[int] = []
    with trio.move_on_after(0.05) as scope:
        await connection.peer.send(bytes(100_000_000), Count(counts.append))
    assert scope.cancelled_caught
    connection.peer.end()
    got = 0
    async for piece in connection.far:
        got += len(piece)
    assert got == sum(counts)


async def test_nothing_is_sent_by_who_was_cancelled(connection: Connection) -> None:
    """As a change of the policy cancels: what was not sent until then may not be sent any more."""
    await connection.peer.send(b"before")
    with trio.CancelScope() as scope:
        scope.cancel()
        await connection.peer.send(b"after")
    connection.peer.end()
    assert [bytes(piece) async for piece in connection.far] == [b"before"]


@pytest.mark.parametrize("call", ["recv", "fill", "wait_word", "send"])
async def test_reset_is_the_peers_fault(connection: Connection, call: str) -> None:
    reset(connection.far)
    with pytest.raises(PeerError, match="the agent reset the connection"):
        await (connection.peer.send(b"x") if call == "send" else getattr(connection.peer, call)())


async def test_reset_that_another_call_was_told_of_is_no_clean_end(connection: Connection) -> None:
    reset(connection.far)
    assert connection.peer.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
    with pytest.raises(PeerError, match="reset"):
        await connection.peer.recv()
    with pytest.raises(PeerError, match="reset"):
        await connection.peer.fill()


async def test_clean_end_of_both_sides_is_no_reset(connection: Connection) -> None:
    connection.peer.end()
    connection.far.socket.close()
    assert await connection.peer.recv() == b""


async def test_fault_of_ours_stays_what_it_is(connection: Connection) -> None:
    connection.peer.close()
    for error in (OSError(errno.EBADF, "Bad file descriptor"), OSError(errno.EINVAL, "Invalid argument")):
        assert connection.peer.blame_for(error) is error
    with pytest.raises(OSError, match="Bad file descriptor"):
        connection.peer.end()


async def test_other_faults_are_named_by_their_side() -> None:
    peer = Peer(trio.socket.socket(), UpstreamError)
    error = OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
    assert str(peer.blame_for(error)) == "the upstream failed: No route to host"
    peer.close()


async def test_half_close_of_what_is_gone_already_is_no_fault(connection: Connection) -> None:
    reset(connection.far)
    with pytest.raises(PeerError):
        await connection.peer.recv()
    connection.peer.end()


async def test_quiet_is_open_and_silent(connection: Connection) -> None:
    assert connection.peer.quiet()
    await connection.far.send_all(b"x")
    assert not connection.peer.quiet()
    await connection.peer.fill()
    assert not connection.peer.quiet()
    connection.peer.take()
    assert connection.peer.quiet()
    await connection.far.send_eof()
    assert not connection.peer.quiet()


@pytest.mark.parametrize("call", ["wait_gone", "wait_reset"])
async def test_an_end_is_noticed_without_descriptors(
    connection: Connection, call: str, autojump_clock: trio.testing.MockClock
) -> None:
    with few_descriptors():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(getattr(connection.peer, call))
            await trio.testing.wait_all_tasks_blocked()
            reset(connection.far)


async def test_gentle_close_reads_on_until_the_other_end_closes(connection: Connection) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(close_gently, connection.peer, Limits())
        assert await connection.far.receive_some() == b""
        await connection.far.send_all(bytes(300_000))
        await connection.far.send_eof()


async def test_gentle_close_is_bounded_in_time(connection: Connection) -> None:
    await close_gently(connection.peer, Limits(linger_seconds=0.01))
    assert await connection.far.receive_some() == b""


async def test_gentle_close_is_bounded_in_bytes(connection: Connection) -> None:
    async def flood() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await connection.far.send_all(bytes(100_000_000))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await close_gently(connection.peer, Limits(linger_bytes=100_000, linger_seconds=60))


async def test_gentle_close_minds_no_reset(connection: Connection) -> None:
    reset(connection.far)
    await close_gently(connection.peer, Limits())
