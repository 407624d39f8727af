"""Both ends of HTTP/2 for tests, over h2 itself: a client that says what it is told to, and a server of one handler."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

import attrs
import h2.config
import h2.connection
import h2.events
import h2.exceptions
import trio
from h2.settings import SettingCodes

Secure = trio.SSLStream[trio.SocketStream]
Headers = list[tuple[str, str]]


@attrs.define
class Message:
    """What came on one stream."""

    heads: list[dict[str, str]] = attrs.field(factory=list)
    body: bytes = b""
    trailers: dict[str, str] | None = None
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.heads[-1][":status"])


class Talk:
    """One side of a connection. Its reader runs in the nursery of `open_talk`."""

    def __init__(self, stream: Secure, *, client: bool) -> None:
        self.stream = stream
        config = h2.config.H2Configuration(
            client_side=client,
            header_encoding="latin-1",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = h2.connection.H2Connection(config)
        self.messages: dict[int, Message] = defaultdict(Message)
        self.goaway: int | None = None
        self.over = False
        self.acknowledges = True
        self.asked: list[int] = []
        self._moved = trio.lowlevel.ParkingLot()
        self._sending = trio.Lock()

    async def begin(self, settings: Mapping[SettingCodes, int] = MappingProxyType({})) -> None:
        for code, value in settings.items():
            self.h2.local_settings[code] = value
        self.h2.local_settings.acknowledge()
        self.h2.initiate_connection()
        await self.flush()

    async def flush(self) -> None:
        async with self._sending:
            raw = self.h2.data_to_send()
            if raw:
                await self.stream.send_all(raw)

    async def say(self, raw: bytes) -> None:
        """Bytes of our own making."""
        async with self._sending:
            await self.stream.send_all(raw)

    async def ask(self, headers: Headers, body: bytes | None = None) -> int:
        """A request, ended where there is no body or a whole one."""
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, headers, end_stream=body is None)
        await self.flush()
        if body is not None:
            await self.send(number, body, end=True)
        return number

    async def send(self, number: int, data: bytes, *, end: bool = False) -> None:
        while True:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size, len(data))
            if room or not data:
                last = room == len(data)
                self.h2.send_data(number, data[:room], end_stream=end and last)
                data = data[room:]
                await self.flush()
                if last:
                    return
            else:
                await self._moved.park()

    async def answer(
        self, number: int, headers: Headers, body: bytes = b"", trailers: Headers | None = None
    ) -> None:
        self.h2.send_headers(number, headers, end_stream=not body and not trailers)
        await self.flush()
        if body:
            await self.send(number, body, end=not trailers)
        if trailers:
            self.h2.send_headers(number, trailers, end_stream=True)
            await self.flush()

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            assert not self.over, (dict(self.messages), self.goaway)
            await self._moved.park()

    async def wait(self, number: int) -> Message:
        """The whole message of a stream, or its reset."""
        message = self.messages[number]
        await self.until(lambda: message.ended or message.reset is not None)
        return message

    async def wait_moved(self) -> None:
        await self._moved.park()

    async def wait_over(self) -> None:
        while not self.over:
            await self._moved.park()

    async def read(self) -> None:
        try:
            while raw := await self.stream.receive_some(65536):
                for event in self.h2.receive_data(raw):
                    self._take(event)
                self._moved.unpark_all()
                await self.flush()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h2.exceptions.ProtocolError):
            pass
        self.over = True
        self._moved.unpark_all()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=int(number)):
                self.messages[number].heads.append(_read(event.headers))
                self.asked.append(number)
            case h2.events.ResponseReceived(stream_id=int(number)):
                self.messages[number].heads.append(_read(event.headers))
            case h2.events.InformationalResponseReceived(stream_id=int(number)):
                self.messages[number].heads.append(_read(event.headers))
            case h2.events.DataReceived(stream_id=int(number)):
                self.messages[number].body += event.data or b""
                if self.acknowledges:
                    self.h2.acknowledge_received_data(event.flow_controlled_length or 0, number)
            case h2.events.TrailersReceived(stream_id=int(number)):
                self.messages[number].trailers = _read(event.headers)
            case h2.events.StreamEnded(stream_id=int(number)):
                self.messages[number].ended = True
            case h2.events.StreamReset(stream_id=int(number)):
                self.messages[number].reset = int(event.error_code or 0)
            case h2.events.ConnectionTerminated():
                self.goaway = int(event.error_code or 0)


def _read(headers: object) -> dict[str, str]:
    assert isinstance(headers, list)
    return {str(name): str(value) for name, value in headers}


@asynccontextmanager
async def open_talk(stream: Secure, *, client: bool = True) -> AsyncIterator[Talk]:
    """A connection that speaks HTTP/2 as long as the body takes."""
    talk = Talk(stream, client=client)
    await talk.begin()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk.read)
        yield talk
        nursery.cancel_scope.cancel()


def serve_http2(
    handle: Callable[[Talk, int], Awaitable[None]],
    settings: Mapping[SettingCodes, int] = MappingProxyType({}),
) -> Callable[[Secure], Awaitable[None]]:
    """A server that hands over each request when its head is there, all of them at once."""

    async def answer(talk: Talk, number: int) -> None:
        with contextlib.suppress(h2.exceptions.ProtocolError):  # its client has gone
            await handle(talk, number)

    async def serve(stream: Secure) -> None:
        talk = Talk(stream, client=False)
        await talk.begin(settings)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk.read)
            seen = 0
            while True:
                if seen < len(talk.asked):
                    nursery.start_soon(answer, talk, talk.asked[seen])
                    seen += 1
                elif talk.over:
                    break
                else:
                    await talk.wait_moved()
            nursery.cancel_scope.cancel()

    return serve
