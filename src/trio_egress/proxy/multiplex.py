"""One connection of HTTP/2: what reads and writes it, and the streams that share it.

Rule 1: what a stream sends goes into the outbox at once, in whole frames, and one task sends that: whoever is cancelled
        leaves no half of a frame behind.
Rule 2: a stream goes on when its peer has room and the outbox is short, so nothing is held but what windows allow.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import trio

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.proxy.gate import Limits
from trio_egress.proxy.http2_stream import Fault, Stream
from trio_egress.proxy.peer import Peer
from trio_egress.wire import http2
from trio_egress.wire.message import BadMessage
from trio_egress.wire.websocket_opening import NONCE_BYTES, add_key

OUTBOX_BYTES = 128 * 1024
"""Who has more to say waits until this has gone: two reads' worth."""

OUTBOX_MOST = 1 << 20
"""More than this is only there where somebody sends frames that want answers, and reads none of them."""

LAST_WORD_SECONDS = 1.0
"""For what is said last, to somebody who may not read any more."""

Take = Callable[[Stream, BadMessage | None], None]


class Multiplex:
    """One connection. `keep` runs it; the socket is the caller's to close. `client`: its peer is an upstream."""

    def __init__(self, peer: Peer, limits: Limits, *, client: bool) -> None:
        self.peer = peer
        self._client = client
        self.frames = http2.Frames(
            client=client, head_bytes=limits.head_bytes, header_count=limits.header_count
        )
        self._streams: dict[int, Stream] = {}
        self._asking: set[Stream] = set()
        self._outbox = bytearray(self.frames.take())
        self._on_its_way = 0
        self._turn = trio.lowlevel.ParkingLot()
        self._leaving = False
        self._over: Fault | None = None
        self._idle_seconds = float("inf") if client else limits.keepalive_seconds
        self._patience = trio.CancelScope(deadline=trio.current_time() + self._idle_seconds)

    @property
    def takes_streams(self) -> bool:
        """Whether another request may be asked on it now."""
        return self.goes_on and len(self._asking) < self.frames.most_streams

    @property
    def goes_on(self) -> bool:
        """Whether its peer would look at another request."""
        return self._over is None and not self._leaving

    @property
    def lives(self) -> bool:
        """Whether its peer hears what is said."""
        return self._over is None

    @property
    def _is_used(self) -> bool:
        return bool(self._streams or self._asking)

    def open_stream(self) -> Stream:
        """One to ask on."""
        stream = Stream(self)
        self._asking.add(stream)
        return stream

    async def takes_websockets(self) -> bool:
        """Whether its peer opens WebSockets (RFC 8441 3), once it has said; not where it has nothing more to say."""
        while self._over is None and self.frames.takes_websockets is None:
            await self._turn.park()
        return self.goes_on and self.frames.takes_websockets is True

    async def keep(self, take: Take | None = None) -> Fault | None:
        """Read and write until the connection ends, and its streams with it. Returns the fault that it had, if any.

        `take` gets each request as its stream, with the fault that makes it none; it must not block.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, nursery.cancel_scope)
                nursery.start_soon(self._read, take, nursery.cancel_scope)
                while True:
                    with self._patience:
                        await trio.sleep_forever()
                    if not self._is_used:
                        break
                    self._patience = trio.CancelScope()  # somebody asked in the last moment
                self.frames.close()
                self.push()
                await self._say_last()
                nursery.cancel_scope.cancel()
        finally:
            ended = self._over
            self._end(ended or self.peer.blame("closed the connection"))
        return ended

    def enter(self, number: int, stream: Stream) -> None:
        self._streams[number] = stream
        self._patience.deadline = float("inf")

    def forget(self, stream: Stream) -> None:
        self._asking.discard(stream)
        self._streams.pop(stream.number, None)
        if not self._is_used:
            self._patience.deadline = 0.0 if self._leaving else trio.current_time() + self._idle_seconds

    def push(self) -> None:
        """Send what the frames have to say."""
        if raw := self.frames.take():
            self._outbox += raw
            self._turn.unpark_all()

    @property
    def is_full(self) -> bool:
        """Whether as much as may be is on its way."""
        return len(self._outbox) + self._on_its_way > OUTBOX_BYTES

    async def wait_sent(self) -> None:
        """A checkpoint; longer where much is on its way."""
        await trio.lowlevel.checkpoint()
        while self.is_full and self._over is None:
            await self._turn.park()

    async def _write(self, scope: trio.CancelScope) -> None:
        try:
            while True:
                while not self._outbox:
                    await self._turn.park()
                raw, self._outbox = bytes(self._outbox), bytearray()
                self._on_its_way = len(raw)
                await self.peer.send(raw)
                self._on_its_way = 0
                self._turn.unpark_all()
        except (PeerError, UpstreamError) as fault:
            self._end(fault)
            scope.cancel()

    async def _read(self, take: Take | None, scope: trio.CancelScope) -> None:
        try:
            while raw := await self.peer.recv():
                for event in self.frames.feed(raw):
                    self._deliver(event, take)
                self.push()
                if len(self._outbox) > OUTBOX_MOST:
                    raise BadMessage("it asks for answers, and reads none", 429)
            if self._streams:
                self._end(self.peer.blame("closed the connection"))
        except BadMessage as fault:
            self.push()  # a GOAWAY that says why
            self._end(self.blame(fault))
            await self._say_last()
        except (PeerError, UpstreamError) as fault:
            self._end(fault)
        scope.cancel()

    async def _say_last(self) -> None:
        with trio.move_on_after(LAST_WORD_SECONDS):
            while self._outbox or self._on_its_way:
                await self._turn.park()

    def blame(self, fault: BadMessage) -> Fault:
        """A fault of the agent is what it is; one of an upstream isn't the agent's."""
        said = self.peer.blame(f"broke the protocol: {fault}")
        return fault if isinstance(said, PeerError) else said

    def _deliver(self, event: http2.Event, take: Take | None) -> None:
        match event:
            case http2.Asked(stream=number, head=head) if take is not None:
                if head.upgrades:
                    head = add_key(head, os.urandom(NONCE_BYTES))
                take(Stream(self, number, head), None)
            case http2.Malformed(stream=number, fault=fault) if (
                take is not None and number not in self._streams
            ):
                take(Stream(self, number), fault)
            case http2.Roomier(stream=0):
                self._turn.unpark_all()
                for one in self._streams.values():
                    one.wake()
            case http2.Leaving(last=last):
                self._leave(last)
            case _:
                stream = self._streams.get(event.stream)
                if stream is not None:
                    stream.deliver(event)
                elif isinstance(event, http2.Piece):
                    self.frames.acknowledge(event.stream, event.weight)

    def _leave(self, last: int) -> None:
        """Requests of ours above `last` may be asked elsewhere; an agent that says so only asks no more."""
        if self._client:
            self._leaving = True
            for stream in [stream for number, stream in self._streams.items() if number > last]:
                stream.refuse()

    def _end(self, fault: Fault) -> None:
        if self._over is None:
            self._over = fault
            for stream in list(self._streams.values()):
                stream.fail(fault)
            self._turn.unpark_all()

    def check(self) -> None:
        """Raise what ended the connection."""
        if self._over is not None:
            raise self._over
