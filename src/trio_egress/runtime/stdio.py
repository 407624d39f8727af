"""The standard streams of an MCP server: pipes of our own to the sandbox, the client's kept beside, and what goes by.

Rule 1: the server never has a stream of the client's, and nothing but what was judged is written to the client.
Rule 2: nothing is kept but one message of each direction: who doesn't read holds up the other.
Rule 3: the server's standard input ends where the client's does. When every request has its answer, or the client is
        gone, a server that still lives after EOF_SECONDS is ended, as by SIGTERM.
Rule 4: the client's streams are read and written in threads: they may be other programs' as well, so they are not made
        non-blocking.
"""

from __future__ import annotations

import os
import select
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import attrs
import trio

from trio_egress.errors import PeerError
from trio_egress.kernel.streams import STREAMS
from trio_egress.model import Side
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.mcp_stdio import Conversation, Ended
from trio_egress.recorder import Recorder
from trio_egress.runtime.orders import Orders
from trio_egress.values import define
from trio_egress.wire.lines import Lines

CHUNK_BYTES = 65536
"""What a pipe holds."""

EOF_SECONDS = 1.0
"""Until a server whose standard input has ended is told to end (the official SDKs wait 2 s before they do that)."""

FINISH_SECONDS = 2.0
"""How long a client may take for what the server had said before its end."""

STDERR = 2

if TYPE_CHECKING:
    from trio_egress.runtime.spec import RunSpec

T = TypeVar("T")


class Client:
    """Its two streams, as this process was given them, and a server's, while there is one."""

    def __init__(self, reads: int, writes: int) -> None:
        self.reads = reads
        self.writes = writes
        self._ends: _Ends | None = None

    def join(self, spec: RunSpec) -> RunSpec:
        return attrs.evolve(spec, client=self)

    @contextmanager
    def open_pipes(self) -> Iterator[tuple[int, ...]]:
        """What the sandbox is to have as 0, 1 and 2."""
        (reads, to_server), (from_server, writes), (from_errors, errors) = (os.pipe() for _ in STREAMS)
        for descriptor in (from_server, from_errors):
            os.set_blocking(descriptor, False)
        ends = self._ends = _Ends((reads, writes, errors), to_server, from_server, from_errors)
        try:
            yield ends.inside
        finally:
            ends.close()

    @asynccontextmanager
    async def carry(self, gate: Gate, recorder: Recorder, orders: Orders) -> AsyncIterator[None]:
        """Messages go by for as long as the body lasts, in which the server lives; and then those that are left."""
        if self._ends is None:
            raise ValueError("there is no server yet")
        self._ends.leave_inside()
        relay = _Relay(self, self._ends, gate, recorder, orders)
        async with trio.open_nursery() as nursery:
            try:
                for task in (relay.keep_errors, relay.keep_client, relay.keep_server, relay.watch_client):
                    nursery.start_soon(task)
                yield
                await relay.finish()
            finally:
                relay.conversation.close()
                nursery.cancel_scope.cancel()

    def hang_up(self) -> None:
        """The client reads to the end. Its number stays taken: a thread may still be about to write there."""
        _lead_nowhere(self.writes)


def take_client() -> Client:
    """The caller's standard input and output, which from now on are nobody's else."""
    client = Client(os.dup(0), os.dup(1))  # not inherited
    _lead_nowhere(0)
    _lead_nowhere(1)
    return client


@define
class _Ends:
    """Of the pipes: the sandbox's (its 0, 1 and 2), and ours."""

    inside: tuple[int, ...]
    to_server: int
    from_server: int
    from_errors: int
    stream: trio.lowlevel.FdStream | None = None

    def leave_inside(self) -> None:
        """Once the sandbox has them."""
        for descriptor in self.inside:
            os.close(descriptor)
        self.inside = ()
        self.stream = trio.lowlevel.FdStream(self.to_server)
        self.to_server = -1

    def close(self) -> None:
        for descriptor in (*self.inside, self.to_server, self.from_server, self.from_errors):
            if descriptor >= 0:
                os.close(descriptor)


class _Relay:
    """Between one client and one server."""

    def __init__(self, client: Client, ends: _Ends, gate: Gate, recorder: Recorder, orders: Orders) -> None:
        assert ends.stream is not None
        self._client = client
        self._ends = ends
        self._server = ends.stream
        self._orders = orders
        self._gone = False
        """Nothing of the server lives any more: what is in its pipes is all."""

        self._waiting: set[trio.CancelScope] = set()
        self._hearing = trio.CancelScope()
        self._said_all, self._complained = trio.Event(), trio.Event()
        self.conversation = Conversation(gate, recorder, self._tell_client, self._tell_server)

    async def keep_client(self) -> None:
        """What the client says, to its end."""
        lines = Lines()
        with self._hearing:
            try:
                while raw := await _in_thread(_read, self._client.reads):
                    for line in lines.feed(raw):
                        await self.conversation.take(Side.CLIENT, line)
                for line in lines.finish():
                    await self.conversation.take(Side.CLIENT, line)
            except PeerError:
                return  # whoever notices that one of them is gone does the rest
            await self._server.aclose()
            await self.conversation.wait_answered()
            await self._end_server()

    async def keep_server(self) -> None:
        """What the server says, to its end."""
        lines = Lines()
        try:
            while raw := await self._receive(self._ends.from_server):
                for line in lines.feed(raw):
                    await self.conversation.take(Side.SERVER, line)
            for line in lines.finish():
                await self.conversation.take(Side.SERVER, line)
            self._said_all.set()
        except Ended as end:
            await self._cut(str(end))
        except PeerError:
            await self._leave()

    async def keep_errors(self) -> None:
        """What the server writes to standard error; where nobody reads that, it is dropped."""
        reading = True
        while raw := await self._receive(self._ends.from_errors):
            while raw and reading:
                try:
                    raw = raw[await _in_thread(_write, STDERR, raw) :]
                except OSError:
                    reading = False
        self._complained.set()

    async def watch_client(self) -> None:
        """Whether it still reads: one that was killed says nothing, and perhaps nothing is to be said to it."""
        await _in_thread(_wait_hangup, self._client.writes)
        await self._leave()

    async def finish(self) -> None:
        """The server is gone: pass on what it had said, as far as the client takes it, and hang up."""
        self._gone = True
        for scope in self._waiting:
            scope.cancel()
        with trio.move_on_after(FINISH_SECONDS):
            await self._complained.wait()
            await self._said_all.wait()
            with suppress(PeerError):
                await self.conversation.end()
        self._client.hang_up()

    async def _cut(self, reason: str) -> None:
        """The server says what is no message: the client is told, and it ends."""
        with trio.move_on_after(FINISH_SECONDS):
            with suppress(PeerError):
                await self.conversation.end(reason)
        self._client.hang_up()
        await self._leave()

    async def _leave(self) -> None:
        """Nothing goes by any more."""
        self._hearing.cancel()
        self._said_all.set()
        await self._server.aclose()
        await self._end_server()

    async def _end_server(self) -> None:
        await trio.sleep(EOF_SECONDS)
        self._orders.end_agent()

    async def _tell_client(self, raw: bytes) -> None:
        while raw:
            try:
                raw = raw[await _in_thread(_write, self._client.writes, raw) :]
            except OSError as error:
                raise PeerError(f"the client is gone: {error.strerror}") from None

    async def _tell_server(self, raw: bytes) -> None:
        try:
            await self._server.send_all(raw)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise PeerError("the server reads nothing any more") from None

    async def _receive(self, descriptor: int) -> bytes:
        while True:
            try:
                return os.read(descriptor, CHUNK_BYTES)
            except BlockingIOError:
                if self._gone:
                    return b""
            with trio.CancelScope() as scope:
                self._waiting.add(scope)
                await trio.lowlevel.wait_readable(descriptor)
            self._waiting.discard(scope)


def _lead_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(nowhere, number, inheritable=number in STREAMS)
    os.close(nowhere)


async def _in_thread(call: Callable[..., T], *arguments: object) -> T:
    return await trio.to_thread.run_sync(partial(call, *arguments), abandon_on_cancel=True)


def _read(descriptor: int) -> bytes:
    """What there is; nothing at the end, and where it can't be read any more."""
    while True:
        try:
            return os.read(descriptor, CHUNK_BYTES)
        except BlockingIOError:
            _poll(descriptor, select.POLLIN)
        except OSError:
            return b""


def _write(descriptor: int, raw: bytes) -> int:
    """Some of it. Once: who is abandoned meanwhile writes no more."""
    try:
        return os.write(descriptor, raw)
    except BlockingIOError:
        _poll(descriptor, select.POLLOUT)
        return 0


def _wait_hangup(descriptor: int) -> None:
    _poll(descriptor, 0)


def _poll(descriptor: int, events: int) -> None:
    poll = select.poll()
    poll.register(descriptor, events)
    poll.poll()
