"""One request and its answer on a connection of HTTP/2: an end of an exchange (ends.py), the agent's or the upstream's.

Rule 1: what came is given before a fault that came after it.
Rule 2: a stream that was left leaves no trace: what still comes of it is acknowledged unread.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

import trio

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.proxy.peer import UNCOUNTED, Count
from trio_egress.proxy.refusal import Answer
from trio_egress.wire import http2
from trio_egress.wire.message import SWITCHING, Fields, RequestHead, ResponseHead, Trailers
from trio_egress.wire.websocket_opening import add_accept

if TYPE_CHECKING:
    from trio_egress.proxy.ends import Pipe
    from trio_egress.proxy.multiplex import Multiplex

Fault = PeerError | UpstreamError

STATUS_BYTES = 3


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
        self._said_end = False
        self._opening: RequestHead | None = None
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
                self.fail(self._connection.blame(fault))
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
            if not isinstance(head, ResponseHead):
                return None
            return add_accept(head, self._opening) if self._opening and head.status == SWITCHING else head
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

    def put_back(self, pieces: Iterable[bytes | Trailers]) -> None:
        """Before what else has come; its peer has heard already that it was taken."""
        again = [http2.Piece(self.number, one, 0) if isinstance(one, bytes) else one for one in pieces]
        self._inbox.extendleft(reversed(again))

    def open_pipe(self) -> Pipe:
        return StreamPipe(self)

    @property
    def quiet(self) -> bool:
        """Whether nothing waits, and it goes on."""
        return not self._inbox and self._fault is None

    async def receive(self) -> None:
        if not self._inbox and self._fault is None:
            await self._arrived.park()

    async def wait_word(self) -> None:
        while True:
            self.check()
            await self._arrived.park()

    async def wait_gone(self) -> None:
        with contextlib.suppress(PeerError, UpstreamError):
            await self.wait_word()

    # what goes

    def put_answer(self, head: ResponseHead, *, close: bool = False) -> None:
        self._head = head

    def put_request(self, head: RequestHead, host: str) -> None:
        if head.opens_websocket:
            self._opening = head
        self._head = (head, host)

    def put(self, data: bytes) -> None:
        self._out.append(data)

    def put_end(self, trailers: Trailers) -> None:
        if self._opening is None:  # in HTTP/1.1 that request ends with its head
            self._end = trailers

    def discard(self) -> None:
        self._head, self._end = None, None
        self._out.clear()

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
            self._send_end(end, count)
        self._said_end = self._said_end or end is not None
        self._connection.push()
        await self._connection.wait_sent()

    def _send_head(self, count: Count, *, end: bool) -> None:
        head, self._head = self._head, None
        frames = self._connection.frames
        if isinstance(head, ResponseHead):
            _claim(count, STATUS_BYTES + _weigh(head.fields))
            frames.answer(self.number, head, end=end)
        elif head is not None:
            request, host = head
            _claim(count, len(request.method) + len(host) + len(request.path) + _weigh(request.fields))
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

    def end_now(self) -> None:
        """Say that nothing more comes from here, once, and only where somebody hears it. Not a checkpoint."""
        if self._said_end or self._fault is not None or not self._connection.lives:
            return
        self._said_end = True
        self._send_end(Trailers(), UNCOUNTED)
        self._connection.push()

    def _send_end(self, end: Trailers, count: Count) -> None:
        if end.fields:
            _claim(count, _weigh(end.fields))
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


class StreamPipe:
    """The bytes of a stream in both directions, where they are no HTTP message any more (ends.py: Pipe)."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ended = False

    async def recv(self) -> bytes:
        while not self._ended:
            match self._stream.piece():
                case bytes() as raw if raw:
                    return raw
                case Trailers():
                    self._ended = True
                case None:
                    await self._stream.receive()
        return b""

    async def send(self, raw: bytes, count: Count) -> None:
        self._stream.put(raw)
        await self._stream.flush(count)

    def quiet(self) -> bool:
        return self._stream.quiet

    def end(self) -> None:
        self._stream.end_now()


def _weigh(fields: Fields) -> int:
    """What they say, whatever its compression makes of it."""
    return sum(len(name) + len(value) for name, value in fields)


def _claim(count: Count, size: int) -> None:
    """All of a head or of trailers, or none of it. Raises UsedUp."""
    claimed = 0
    try:
        while claimed < size:
            claimed += count.claim(size - claimed)
    except BaseException:
        count.took(claimed, 0)
        raise
    count.took(claimed, claimed)
