"""One connection of HTTP/2: what reads and writes it, and the streams that share it.

Rule 1: what a stream sends goes into the outbox at once, in whole frames, and one task sends that: whoever is cancelled
        leaves no half of a frame behind.
Rule 2: a stream goes on when its peer has room and the outbox is short, so nothing is held but what windows allow.
Rule 3: a stream that was left leaves no trace: what still comes of it is acknowledged unread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.proxy.gate import Limits
from trio_egress.proxy.peer import UNCOUNTED, Count, Peer
from trio_egress.proxy.refusal import Answer
from trio_egress.wire import http2
from trio_egress.wire.message import BadMessage, RequestHead, ResponseHead, Trailers

OUTBOX_BYTES = 128 * 1024
"""Who has more to say waits until this has gone: two reads' worth."""

OUTBOX_MOST = 1 << 20
"""More than this is only there where somebody sends frames that want answers, and reads none of them."""

LAST_WORD_SECONDS = 1.0
"""For what is said last, to somebody who may not read any more."""

Fault = PeerError | UpstreamError
Take = Callable[["Stream", BadMessage | None], None]


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
    def _is_used(self) -> bool:
        return bool(self._streams or self._asking)

    def open_stream(self) -> Stream:
        """One to ask on."""
        stream = Stream(self)
        self._asking.add(stream)
        return stream

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
            self._end(self._blame(fault))
            await self._say_last()
        except (PeerError, UpstreamError) as fault:
            self._end(fault)
        scope.cancel()

    async def _say_last(self) -> None:
        with trio.move_on_after(LAST_WORD_SECONDS):
            while self._outbox or self._on_its_way:
                await self._turn.park()

    def _blame(self, fault: BadMessage) -> Fault:
        """A fault of the agent is what it is; one of an upstream isn't the agent's."""
        said = self.peer.blame(f"broke the protocol: {fault}")
        return fault if isinstance(said, PeerError) else said

    def _deliver(self, event: http2.Event, take: Take | None) -> None:
        match event:
            case http2.Asked(stream=number, head=head) if take is not None:
                take(Stream(self, number, head), None)
            case http2.Malformed(stream=number, fault=fault) if (
                take is not None and number not in self._streams
            ):
                take(Stream(self, number), fault)
            case http2.Roomier(stream=0):
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


class Stream:
    """One request and its answer: an end of an exchange (ends.py), the agent's or the upstream's.

    `number` is 0 until its request is sent.
    """

    def __init__(self, connection: Multiplex, number: int = 0, request: RequestHead | None = None) -> None:
        self.number = number
        self.refused = False
        self.by_proxy = False
        self.clean = True
        self._asked = request
        self._connection = connection
        self._inbox: deque[ResponseHead | http2.Piece | Trailers] = deque()
        self._arrived = trio.lowlevel.ParkingLot()
        self._fault: Fault | None = None
        self._head: tuple[RequestHead, str] | ResponseHead | None = None
        self._out: list[bytes] = []
        self._end: Trailers | None = None
        if number:
            connection.enter(number, self)

    @property
    def request(self) -> RequestHead:
        if self._asked is None:
            raise ValueError("this stream has no request")
        return self._asked

    # what comes

    def deliver(self, event: http2.Event) -> None:
        """Something of this stream has come."""
        match event:
            case http2.Answered(head=head):
                self._inbox.append(head)
            case http2.Piece():
                self._inbox.append(event)
            case http2.Ended(trailers=trailers):
                self._inbox.append(trailers)
            case http2.Malformed(fault=fault):
                self._connection.frames.abort(self.number, http2.PROTOCOL_ERROR)
                self.fail(fault)
            case http2.Aborted(code=code):
                self.refused = code == http2.REFUSED_STREAM
                self.fail(self._connection.peer.blame(f"reset the stream ({http2.name_code(code)})"))
        self.wake()

    def refuse(self) -> None:
        """Its peer has not looked at it, and won't."""
        self.refused = True
        self.fail(self._connection.peer.blame("takes no more requests on this connection"))

    def fail(self, fault: Fault) -> None:
        """Nothing more comes, and nothing can be sent."""
        self._fault = self._fault or fault
        self.wake()

    def wake(self) -> None:
        self._arrived.unpark_all()

    def head(self) -> ResponseHead | None:
        if self._inbox and isinstance(self._inbox[0], ResponseHead):
            head = self._inbox.popleft()
            return head if isinstance(head, ResponseHead) else None
        self.check()
        return None

    def piece(self) -> bytes | Trailers | None:
        if not self._inbox:
            self.check()
            return None
        match self._inbox[0]:
            case http2.Piece():
                return self._take_pieces()
            case Trailers() as end:
                self._inbox.popleft()
                return end
            case _:
                raise self._connection.peer.blame("answered twice")

    def _take_pieces(self) -> bytes:
        """All that came together, of which its peer hears at once, too."""
        pieces, weight = [], 0
        while self._inbox and isinstance(piece := self._inbox[0], http2.Piece):
            self._inbox.popleft()
            pieces.append(piece.data)
            weight += piece.weight
        self._connection.frames.acknowledge(self.number, weight)
        self._connection.push()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def receive(self) -> None:
        if not self._inbox and self._fault is None:
            await self._arrived.park()

    async def wait_word(self) -> None:
        while True:
            self.check()
            await self._arrived.park()

    # what goes

    def put_answer(self, head: ResponseHead, *, close: bool = False) -> None:
        self._head = head

    def put_request(self, head: RequestHead, host: str) -> None:
        self._head = (head, host)

    def put(self, data: bytes) -> None:
        self._out.append(data)

    def put_end(self, trailers: Trailers) -> None:
        self._end = trailers

    async def flush(self, count: Count) -> None:
        self.check()
        await self._wait_sent()
        data, self._out = b"".join(self._out), []
        end, self._end = self._end, None
        bare = end is not None and not end.fields
        said = False
        if self._head is not None:
            said = bare and not data
            self._send_head(count, end=said)
        if data:
            said = bare
            await self._send_data(data, count, end=said)
        if end is not None and not said:
            self._send_end(end)
        self._connection.push()
        await self._connection.wait_sent()

    def _send_head(self, count: Count, *, end: bool) -> None:
        head, self._head = self._head, None
        frames = self._connection.frames
        if isinstance(head, ResponseHead):
            _claim(count, sum(len(name) + len(value) for name, value in head.fields))
            frames.answer(self.number, head, end=end)
        elif head is not None:
            _claim(count, len(head[0].path) + sum(len(name) + len(value) for name, value in head[0].fields))
            number = frames.ask(*head, end=end) if self._connection.goes_on else None
            if number is None:
                self.refuse()
                self.check()
            else:
                self.number = number
                self._connection.enter(number, self)

    async def _send_data(self, data: bytes, count: Count, *, end: bool) -> None:
        """`end`: the stream ends with it."""
        rest = memoryview(data)
        frames = self._connection.frames
        while rest:
            await self._wait_sent()
            room = frames.room(self.number)
            if room <= 0:
                await self._arrived.park()
                self.check()
                continue
            claimed = count.claim(min(room, len(rest)))
            frames.send(self.number, bytes(rest[:claimed]), end=end and claimed == len(rest))
            count.took(claimed, claimed)
            rest = rest[claimed:]
            self._connection.push()

    async def _wait_sent(self) -> None:
        if self._connection.is_full:
            await self._connection.wait_sent()
            self.check()

    def _send_end(self, end: Trailers) -> None:
        if end.fields:
            self._connection.frames.send_trailers(self.number, end)
        else:
            self._connection.frames.send(self.number, b"", end=True)

    async def answer(self, answer: Answer, *, keep: bool = False) -> None:
        """An answer of our own; what of the request hasn't come isn't wanted any more."""
        self.put_answer(answer.head)
        if self._asked is None or self._asked.method != "HEAD":
            self.put(answer.body)
        self.put_end(Trailers())
        await self.flush(UNCOUNTED)
        self.leave(http2.NO_ERROR)

    async def finish(self) -> None:
        self.leave(http2.NO_ERROR)

    def reset(self, *, refused: bool = False) -> None:
        self.leave(http2.REFUSED_STREAM if refused else http2.INTERNAL_ERROR)

    def leave(self, code: int = http2.CANCEL) -> None:
        """Nobody reads or writes it any more; if it hasn't ended on both sides, its peer hears why."""
        frames = self._connection.frames
        frames.acknowledge(self.number, sum(i.weight for i in self._inbox if isinstance(i, http2.Piece)))
        self._inbox.clear()
        if self.number:
            frames.abort(self.number, code)
        self._connection.push()
        self._connection.forget(self)

    def check(self) -> None:
        """Raise what ended it."""
        if self._fault is not None:
            raise self._fault
        self._connection.check()


def _claim(count: Count, size: int) -> None:
    """All of a head, or none of it. Raises UsedUp."""
    claimed = 0
    try:
        while claimed < size:
            claimed += count.claim(size - claimed)
    except BaseException:
        count.took(claimed, 0)
        raise
    count.took(claimed, claimed)
