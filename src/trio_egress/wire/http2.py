"""HTTP/2 as a proxy needs it: the frames of one connection to messages, and back. h2 parses; nothing else imports it.

Rule 1: what breaks the protocol ends the connection (RFC 9113 5.4.1), and is raised as BadMessage; a message that is
        only malformed ends its stream, as an event. Both are refused as in HTTP/1.1, so that either can be sent on as
        the other.
Rule 2: what a peer may send ahead is bounded by windows, which open as what came is used.
Rule 3: who makes much work and says little is cut: frames without a message in them, streams that are asked for and
        given up at once (CVE-2023-44487), heads without an end (CVE-2024-27316; h2 holds at most 64 of their frames).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import Frame, GoAwayFrame

from trio_egress.values import frozen
from trio_egress.wire.http2_heads import (
    Raw,
    read_answer,
    read_request,
    read_trailers,
    render_answer,
    render_request,
    render_trailers,
)
from trio_egress.wire.message import (
    HEAD_BYTES,
    HEADER_COUNT,
    BadMessage,
    Body,
    RequestHead,
    ResponseHead,
    Trailers,
    describe_fault,
)

STREAMS = 256
"""At once of one agent connection (RFC 9113 6.5.2 advises 100 at least; nginx has 128)."""

FRAME_BYTES = 64 * 1024
"""Of one frame, a read's worth. What an agent sends has 16 KiB at most: a head may have 64 of them."""

OTHER_LENGTH = "a body has another length than its head says (RFC 9113 8.1.1)"

STREAM_WINDOW = 256 * 1024
CONNECTION_WINDOW = 16 << 20
"""What may be on the way of one stream and of all, before it is used: most streams never fill theirs."""

FLOOD_BYTES = 256 * 1024
FLOOD_RATIO = 8
"""So much may come that belongs to no message, and so many times what does (nginx has 1 MiB, and eight times, too).
The smallest frame has nine bytes."""

ABORTS = 256
"""Streams that a peer may give up, and half of those that it asked for: after that it has to connect again."""

NO_ERROR = ErrorCodes.NO_ERROR.value
INTERNAL_ERROR = ErrorCodes.INTERNAL_ERROR.value
REFUSED_STREAM = ErrorCodes.REFUSED_STREAM.value
CANCEL = ErrorCodes.CANCEL.value
ENHANCE_YOUR_CALM = ErrorCodes.ENHANCE_YOUR_CALM.value
PROTOCOL_ERROR = ErrorCodes.PROTOCOL_ERROR.value


@frozen
class Asked:
    """A request on a new stream."""

    stream: int
    head: RequestHead


@frozen
class Answered:
    """An answer's head, interim ones included."""

    stream: int
    head: ResponseHead


@frozen
class Piece:
    """Some of a body. `weight`: what it takes of the windows, in bytes, until it is acknowledged."""

    stream: int
    data: bytes
    weight: int


@frozen
class Ended:
    """The end of a message."""

    stream: int
    trailers: Trailers


@frozen
class Malformed:
    """A message that can't be taken."""

    stream: int
    fault: BadMessage


@frozen
class Aborted:
    """A stream that its peer gave up; `code` is its reason (RFC 9113 7)."""

    stream: int
    code: int

    @property
    def name(self) -> str:
        return name_code(self.code)


@frozen
class Leaving:
    """The peer takes no further streams, and none above `last` was looked at."""

    last: int
    code: int


@frozen
class Roomier:
    """More may be sent than before, on one stream or (0) on all."""

    stream: int


Event = Asked | Answered | Piece | Ended | Malformed | Aborted | Leaving | Roomier


class _Connection(h2.connection.H2Connection):
    """One that goes on after a GOAWAY: streams up to the last one that it names are still to be answered."""

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[h2.events.Event]]:
        event = h2.events.ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        return [], [event]


class Frames:
    """One side of a connection: bytes in, events out; messages in, bytes out. `client`: the upstream is the peer."""

    def __init__(
        self, *, client: bool, head_bytes: int = HEAD_BYTES, header_count: int = HEADER_COUNT
    ) -> None:
        self._h2 = _Connection(h2.config.H2Configuration(client_side=client, header_encoding=None))
        self._client = client
        self._head_bytes = head_bytes
        self._header_count = header_count
        self._methods: dict[int, str] = {}
        self._opening: set[int] = set()
        self._left: dict[int, int] = {}
        """Of bodies of known length: h2 doesn't look where trailers end them."""

        self._settled = False
        self._came = self._meant = self._asked = self._aborted = 0
        self._h2.local_settings[SettingCodes.MAX_HEADER_LIST_SIZE] = head_bytes
        self._h2.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = STREAM_WINDOW
        self._h2.local_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = STREAMS
        self._h2.local_settings[SettingCodes.ENABLE_PUSH] = 0
        if not client:
            self._h2.local_settings[SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
        if client:
            self._h2.local_settings[SettingCodes.MAX_FRAME_SIZE] = FRAME_BYTES
            self._h2.max_inbound_frame_size = FRAME_BYTES
        self._h2.local_settings.acknowledge()
        self._h2.decoder.max_header_list_size = head_bytes
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW)

    def feed(self, raw: bytes) -> list[Event]:
        """Bytes of the peer. Raises BadMessage, after which `take` has the last word to it."""
        self._came += len(raw)
        try:
            found = self._h2.receive_data(raw)
        except h2.exceptions.InvalidBodyLengthError:
            raise BadMessage(OTHER_LENGTH) from None
        except h2.exceptions.ProtocolError as error:
            raise BadMessage(f"not HTTP/2: {describe_fault(error)}") from None
        events = [event for one in found for event in self._read(one)]
        if self._came > FLOOD_BYTES + FLOOD_RATIO * self._meant:
            self._cut("most of what came on the connection belongs to no message")
        if self._aborted > ABORTS and 2 * self._aborted > self._asked:
            self._cut("most streams of the connection were given up as soon as they were asked for")
        return events

    def take(self) -> bytes:
        """What is to be sent."""
        return self._h2.data_to_send()

    def ask(self, head: RequestHead, host: str, *, end: bool) -> int | None:
        """A request's head, for the authority `host`; the number of its stream, None where the peer takes no more."""
        try:
            stream = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream, render_request(head, host), end_stream=end)
        except (h2.exceptions.TooManyStreamsError, h2.exceptions.NoAvailableStreamIDError):
            return None
        self._methods[stream] = head.method
        if head.opens_websocket:
            self._opening.add(stream)
        return stream

    def answer(self, stream: int, head: ResponseHead, *, end: bool) -> None:
        self._h2.send_headers(stream, render_answer(head), end_stream=end)

    def send(self, stream: int, data: bytes, *, end: bool) -> None:
        """At most `room` bytes of a body."""
        self._meant += len(data)
        self._h2.send_data(stream, data, end_stream=end)

    def send_trailers(self, stream: int, trailers: Trailers) -> None:
        self._h2.send_headers(stream, render_trailers(trailers), end_stream=True)

    def room(self, stream: int) -> int:
        """How many bytes of a body may be sent now, in one frame."""
        return min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size, FRAME_BYTES)

    @property
    def takes_websockets(self) -> bool | None:
        """Whether the peer opens WebSockets (RFC 8441 3); None as long as it hasn't said."""
        return bool(self._h2.remote_settings.enable_connect_protocol) if self._settled else None

    @property
    def most_streams(self) -> int:
        """How many the peer takes at once."""
        return self._h2.remote_settings.max_concurrent_streams

    def acknowledge(self, stream: int, weight: int) -> None:
        """So much of it is used; whether the stream or the connection is still open makes no difference."""
        if weight:
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self._h2.acknowledge_received_data(weight, stream)

    def abort(self, stream: int, code: int) -> None:
        """Give a stream up, if there is anything left of it."""
        self._methods.pop(stream, None)
        self._left.pop(stream, None)
        self._opening.discard(stream)
        with contextlib.suppress(
            h2.exceptions.ProtocolError
        ):  # it has ended on both sides, or the connection has
            self._h2.reset_stream(stream, code)

    def close(self, code: int = NO_ERROR) -> None:
        """Say that the connection ends."""
        self._h2.close_connection(code)

    def _cut(self, reason: str) -> None:
        self._h2.close_connection(ENHANCE_YOUR_CALM)
        raise BadMessage(reason, 429)

    def _read(self, event: h2.events.Event) -> Iterable[Event]:
        match event:
            case h2.events.RequestReceived(stream_id=int(stream), headers=headers):
                self._asked += 1
                yield self._read_head(stream, headers or [], ended=event.stream_ended is not None)
            case h2.events.ResponseReceived(stream_id=int(stream), headers=headers):
                yield self._read_head(stream, headers or [], ended=event.stream_ended is not None)
            case h2.events.InformationalResponseReceived(stream_id=int(stream), headers=headers):
                yield self._read_head(stream, headers or [], ended=False)
            case h2.events.DataReceived(stream_id=int(stream), data=data):
                self._meant += len(data or b"")
                if (left := self._left.pop(stream, 0) - len(data or b"")) > 0:
                    self._left[stream] = left
                yield Piece(stream, bytes(data or b""), event.flow_controlled_length or 0)
                if event.stream_ended is not None:
                    yield Ended(stream, Trailers())
            case h2.events.TrailersReceived(stream_id=int(stream), headers=headers):
                yield self._read_trailers(stream, headers or [])
            case h2.events.StreamReset(stream_id=int(stream)):
                self._aborted += event.remote_reset
                self._left.pop(stream, None)
                yield Aborted(stream, int(event.error_code or 0))
            case h2.events.ConnectionTerminated():
                yield Leaving(event.last_stream_id or 0, int(event.error_code or 0))
            case h2.events.WindowUpdated(stream_id=number):
                yield Roomier(number or 0)
            case h2.events.RemoteSettingsChanged():
                self._settled = True
                yield Roomier(0)

    def _read_head(self, stream: int, headers: Raw, *, ended: bool) -> Event:
        raw = list(headers)
        self._meant += sum(len(name) + len(value) for name, value in raw)
        try:
            self._check_size(raw)
            if self._client:
                method, opens = self._methods.get(stream, ""), stream in self._opening
                answer = read_answer(method, raw, ended=ended, opens=opens)
                self._expect(stream, answer.body)
                return Answered(stream, answer)
            request = read_request(raw, ended=ended)
            self._expect(stream, request.body)
            return Asked(stream, request)
        except BadMessage as fault:
            return Malformed(stream, fault)

    def _expect(self, stream: int, body: Body) -> None:
        if isinstance(body, int) and body:
            self._left[stream] = body

    def _read_trailers(self, stream: int, headers: Raw) -> Event:
        raw = list(headers)
        self._meant += sum(len(name) + len(value) for name, value in raw)
        try:
            self._check_size(raw)
            if self._left.pop(stream, 0):
                raise BadMessage(OTHER_LENGTH)
            return Ended(stream, read_trailers(raw))
        except BadMessage as fault:
            return Malformed(stream, fault)

    def _check_size(self, raw: list[tuple[bytes, bytes]]) -> None:
        if len(raw) > self._header_count:
            raise BadMessage(f"a head has more than {self._header_count} fields", 431)
        if sum(len(name) + len(value) for name, value in raw) > self._head_bytes:
            raise BadMessage(f"a head has more than {self._head_bytes} bytes", 431)


def name_code(code: int) -> str:
    """RFC 9113 7."""
    try:
        return ErrorCodes(code).name
    except ValueError:
        return f"error {code}"
