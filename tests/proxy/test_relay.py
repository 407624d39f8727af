"""Moving bytes: all of them, in order, counted to the byte, by copy and by splice."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from tests.proxy.conftest import receive_exactly, reset

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.proxy.peer import Count, Peer
from trio_egress.proxy.relay import BULK_BYTES, _share_turn, move

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams

BULK = bytes(range(256)) * 20480
"""5 MiB: most of it goes by splice."""


ignore = Count(lambda _sent: None)


class Pair:
    """A TCP connection on loopback: the end that the proxy holds, and the far one."""

    def __init__(self, fault: type[PeerError] | type[UpstreamError]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            far = socket.create_connection(listener.getsockname())
            near = listener.accept()[0]
        self.peer = Peer(trio.socket.from_stdlib_socket(near), fault)
        self.far = trio.SocketStream(trio.socket.from_stdlib_socket(far))

    def close(self) -> None:
        self.peer.close()
        self.far.socket.close()


@contextmanager
def open_pairs() -> Iterator[tuple[Pair, Pair]]:
    source, sink = Pair(PeerError), Pair(UpstreamError)
    try:
        yield source, sink
    finally:
        source.close()
        sink.close()


async def carry(raw: bytes, limit: int = sys.maxsize, ahead: bytes = b"") -> tuple[bytes, int, int]:
    """What arrived of `ahead` and `raw`, the sum of the counts, and what `move` returned."""
    counts: list[int] = []
    arrived = bytearray()

    async def feed() -> None:
        await source.far.send_all(raw)
        await source.far.send_eof()

    async def take() -> None:
        async for piece in sink.far:
            arrived.extend(piece)

    with open_pairs() as (source, sink), trio.fail_after(60):
        source.peer.ahead = ahead
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed)
            nursery.start_soon(take)
            moved = await move(source.peer, sink.peer, Count(counts.append), limit)
            sink.peer.end()
            while await source.peer.fill():
                source.peer.take()
    return bytes(arrived), sum(counts), moved


@pytest.mark.parametrize("size", [0, 1, BULK_BYTES - 1, BULK_BYTES, BULK_BYTES + 1, len(BULK)])
async def test_everything_arrives_and_is_counted(size: int) -> None:
    assert await carry(BULK[:size]) == (BULK[:size], size, size)


@pytest.mark.parametrize("limit", [0, 1, BULK_BYTES - 1, BULK_BYTES, BULK_BYTES + 1, 3 << 20])
async def test_nothing_over_the_limit_is_taken(limit: int) -> None:
    assert await carry(BULK, limit) == (BULK[:limit], limit, limit)


async def test_bytes_read_ahead_come_first() -> None:
    assert await carry(BULK, ahead=b"ahead") == (b"ahead" + BULK, len(BULK) + 5, len(BULK) + 5)
    assert await carry(b"", limit=3, ahead=b"ahead") == (b"ahe", 3, 3)
    assert await carry(BULK, ahead=BULK) == (BULK + BULK, 2 * len(BULK), 2 * len(BULK))


async def test_sink_that_does_not_read_holds_the_source_back() -> None:
    counts: list[int] = []
    with open_pairs() as (source, sink):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(move, source.peer, sink.peer, Count(counts.append))
            nursery.start_soon(source.far.send_all, bytes(200_000_000))
            await trio.testing.wait_all_tasks_blocked(0.05)
            held = sum(counts)
            assert BULK_BYTES < held < 100_000_000
            await receive_some(sink, held)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert sum(counts) > held
            nursery.cancel_scope.cancel()


class Turns(trio.abc.Instrument):
    """Counts the turns of Trio's loop."""

    count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


async def test_nothing_goes_once_it_is_cancelled_though_it_has_the_turn_by_then() -> None:
    """The policy may forbid it: who has waited for a lock is told of that only at the next checkpoint."""
    moved: list[int] = []
    turn = _share_turn()
    with open_pairs() as (source, sink):
        async with turn, trio.open_nursery() as nursery:
            nursery.start_soon(source.far.send_all, BULK)
            nursery.start_soon(receive_some, sink, len(BULK))
            nursery.start_soon(move, source.peer, sink.peer, Count(moved.append), len(BULK))
            while not turn.statistics().tasks_waiting:
                await trio.lowlevel.checkpoint()
            assert sum(moved) == BULK_BYTES
            turn.release()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await turn.acquire()
    assert sum(moved) == BULK_BYTES


async def test_bulk_of_many_sends_once_a_turn() -> None:
    turns = Turns()
    spliced: list[int] = []
    trio.lowlevel.add_instrument(turns)

    async def carry_one() -> None:
        moved = 0

        def count(size: int) -> None:
            nonlocal moved
            if moved >= BULK_BYTES:
                spliced.append(turns.count)
            moved += size

        with open_pairs() as (source, sink):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(source.far.send_all, BULK)
                nursery.start_soon(receive_some, sink, len(BULK))
                await move(source.peer, sink.peer, Count(count), len(BULK))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(carry_one)
    trio.lowlevel.remove_instrument(turns)
    assert len(spliced) > 100
    assert len(spliced) == len(set(spliced))


async def test_source_that_ends_early_moves_less() -> None:
    assert await carry(BULK, limit=len(BULK) + 1) == (BULK, len(BULK), len(BULK))


async def test_without_descriptors_bytes_are_copied() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def carry_last() -> tuple[bytes, int, int]:
        next_free = os.dup(0)
        os.close(next_free)
        # The sockets of `carry` take the next ones; a pipe of two finds one.
        resource.setrlimit(resource.RLIMIT_NOFILE, (next_free + 5, hard))
        return await carry(BULK)

    assert await carry(b"a") == (b"a", 1, 1)  # what is made once for all sockets is there
    try:
        assert await carry_last() == (BULK, len(BULK), len(BULK))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_pipe_pages_bytes_are_copied() -> None:
    """Root has no such limit: then they are spliced all the same."""
    with contextlib.ExitStack() as stack:
        for _ in range(80):
            for end in os.pipe():
                stack.callback(os.close, end)
            with contextlib.suppress(PermissionError):
                fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 1 << 20)
        assert await carry(BULK) == (BULK, len(BULK), len(BULK))


@pytest.mark.parametrize("refused_end", ["source", "sink"])
async def test_where_splice_is_refused_bytes_are_copied(
    monkeypatch: pytest.MonkeyPatch, refused_end: str
) -> None:
    """A kernel that refuses stands in for itself here: none since 6.5 does for any socket."""
    real = os.splice

    def splice(src: int, dst: int, count: int, *, flags: int) -> int:
        is_pipe = os.path.sameopenfile(src, src) and os.readlink(f"/proc/self/fd/{src}").startswith("pipe:")
        if is_pipe == (refused_end == "sink"):
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(src, dst, count, flags=flags)

    monkeypatch.setattr(os, "splice", splice)
    assert await carry(BULK) == (BULK, len(BULK), len(BULK))


async def test_fault_names_the_side_that_has_it() -> None:
    with open_pairs() as (source, sink):
        reset(source.far)
        with pytest.raises(PeerError, match="the agent reset the connection"):
            await move(source.peer, sink.peer, ignore)
    with open_pairs() as (source, sink):
        reset(sink.far)
        await source.far.send_all(b"x")
        with pytest.raises(UpstreamError, match="the upstream reset the connection"):
            await move(source.peer, sink.peer, ignore)


@pytest.mark.parametrize("size", [1000, len(BULK)])
async def test_cancelled_move_leaves_no_pipe(size: int) -> None:
    with open_pairs() as (source, sink):
        before = len(os.listdir("/proc/self/fd"))
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(move, source.peer, sink.peer, ignore)
                nursery.start_soon(source.far.send_all, BULK[:size])
                await receive_some(sink, min(size, 2 * BULK_BYTES))
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("side", ["agent", "upstream"])
async def test_reset_while_splicing_names_the_side_that_has_it(side: str) -> None:
    faults: list[str] = []

    async def carry_on() -> None:
        try:
            await move(source.peer, sink.peer, ignore)
        except (PeerError, UpstreamError) as fault:
            faults.append(str(fault))

    with open_pairs() as (source, sink):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carry_on)
            await source.far.send_all(BULK[: BULK_BYTES + 1000])
            await receive_some(sink, BULK_BYTES + 1000)
            await trio.testing.wait_all_tasks_blocked()
            if side == "upstream":
                reset(sink.far)
                await source.far.send_all(b"more")
            else:
                reset(source.far)
    assert faults == [f"the {side} reset the connection"]


async def receive_some(pair: Pair, least: int) -> None:
    got = 0
    while got < least:
        got += len(await pair.far.receive_some())


@pytest.mark.parametrize("size", [1000, len(BULK)])
@pytest.mark.parametrize("side", ["agent", "upstream"])
async def test_bytes_before_a_reset_are_counted_exactly(
    open_world: OpenWorld, upstreams: Upstreams, size: int, side: str
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await receive_exactly(stream, 1)
        await stream.send_all(BULK[:size])
        await arrived.wait()
        reset(stream if side == "upstream" else agent)
        with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
            await stream.receive_some()

    arrived = trio.Event()
    port = await upstreams.serve(serve)
    rule = '[[egress]]\ndestination = "db.example:5432"\n'
    async with open_world(rule, {"db.example:5432": port}) as world:
        agent = await world.agent("db.example", 5432)
        await agent.send_all(b"\0")
        assert await receive_exactly(agent, size) == BULK[:size]
        arrived.set()
        await world.wait_idle()
        agent.socket.close()
    assert world.outcome().facts["bytes_down"] == size
    assert world.outcome().facts["bytes_up"] == 1
    assert world.outcome().facts["reason"] == f"the {side} reset the connection"


async def test_idle_time_is_counted_from_the_last_byte_of_either_side(
    open_world: OpenWorld, upstreams: Upstreams, mock_clock: trio.testing.MockClock
) -> None:
    async def wait(seconds: float) -> None:
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(seconds)
        await trio.testing.wait_all_tasks_blocked()

    async def serve(stream: trio.SocketStream) -> None:
        for _ in range(4):
            await receive_exactly(stream, 1)
            await wait(1.5)
            await stream.send_all(b"x")
        await receive_exactly(stream, 1)
        await wait(2.5)
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()

    port = await upstreams.serve(serve)
    rule = '[[egress]]\ndestination = "db.example:5432"\n'
    async with open_world(rule, {"db.example:5432": port}, tunnel_idle_seconds=2) as world:
        agent = await world.agent("db.example", 5432)
        for _ in range(4):
            await agent.send_all(b"\0")
            assert await receive_exactly(agent, 1) == b"x"
            await wait(1.5)
        await agent.send_all(b"\0")
        with pytest.raises(trio.BrokenResourceError):
            await agent.receive_some()
        agent.socket.close()
    assert world.outcome().facts["reason"] == "both sides were silent for 2 s"
    assert (world.outcome().facts["bytes_up"], world.outcome().facts["bytes_down"]) == (5, 4)
