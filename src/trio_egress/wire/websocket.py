"""WebSocket frames as a relay needs them (RFC 6455): bytes of one side in, what may be passed on out.

A table says which frame may follow which. Messages are told beneath their compression; frames are passed on as they
were cut, their payload as it came.

Rule 1: what isn't allowed raises BadFrame, with the close code that says why, and nothing else is raised.
Rule 2: what a frame carries is told, and has been checked (UTF-8, size), before the part of the frame that carries it.
Rule 3: nothing is held but the head of a frame and a control frame; a piece of content has at most PIECE_BYTES.
Rule 4: what follows a close frame is dropped, and never passed on (RFC 6455 5.5.1).
"""

from __future__ import annotations

import codecs
import enum
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import attrs

from trio_egress.errors import PeerError
from trio_egress.values import frozen
from trio_egress.wire.inflation import PIECE_BYTES, Inflater, NotDeflated

CONTROL_BYTES: Final = 125
"""Of a control frame's payload (RFC 6455 5.5)."""

KEY_BYTES: Final = 4
"""Of a masking key (RFC 6455 5.3)."""

LENGTH_MOST: Final = (1 << 63) - 1
"""The highest bit of a long length is 0 (RFC 6455 5.2)."""


class Side(enum.Enum):
    """Who sends. Only a client masks (RFC 6455 5.1)."""

    CLIENT = "client"
    SERVER = "server"


class Opcode(enum.IntEnum):
    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class Code(enum.IntEnum):
    """Close codes that are said here (RFC 6455 7.4.1)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL = 1002
    NO_UTF8 = 1007
    POLICY = 1008
    TOO_BIG = 1009
    BAD_GATEWAY = 1014


class Stage(enum.Enum):
    """What a side is in the middle of."""

    BETWEEN = "between two messages"
    TEXT = "in a text message"
    BINARY = "in a binary message"
    CLOSED = "after its close frame"


TABLE: Mapping[tuple[Stage, Opcode, bool], Stage] = {
    (Stage.BETWEEN, Opcode.TEXT, True): Stage.BETWEEN,
    (Stage.BETWEEN, Opcode.TEXT, False): Stage.TEXT,
    (Stage.BETWEEN, Opcode.BINARY, True): Stage.BETWEEN,
    (Stage.BETWEEN, Opcode.BINARY, False): Stage.BINARY,
    (Stage.TEXT, Opcode.CONTINUATION, False): Stage.TEXT,
    (Stage.TEXT, Opcode.CONTINUATION, True): Stage.BETWEEN,
    (Stage.BINARY, Opcode.CONTINUATION, False): Stage.BINARY,
    (Stage.BINARY, Opcode.CONTINUATION, True): Stage.BETWEEN,
    **{
        (stage, opcode, True): stage
        for stage in (Stage.BETWEEN, Stage.TEXT, Stage.BINARY)
        for opcode in (Opcode.PING, Opcode.PONG)
    },
    **{(stage, Opcode.CLOSE, True): Stage.CLOSED for stage in (Stage.BETWEEN, Stage.TEXT, Stage.BINARY)},
}
"""Stage, opcode, and whether the frame is its message's last: where that leads. What isn't here is an error."""


class BadFrame(PeerError):
    """What a side may not send; `code` is what it is told (RFC 6455 7.4.1)."""

    def __init__(self, reason: str, code: Code = Code.PROTOCOL) -> None:
        super().__init__(reason)
        self.code = code


class TooBig(BadFrame):
    """A message that is larger than somebody said messages may be."""

    def __init__(self, most: int) -> None:
        super().__init__(f"a message has more than {most} bytes", Code.TOO_BIG)


@frozen
class Frame:
    """The head of a frame. `length`: of its payload; `compressed`: the first reserved bit, where it was agreed on."""

    opcode: Opcode
    last: bool
    length: int
    compressed: bool = False

    @property
    def is_control(self) -> bool:
        return self.opcode >= Opcode.CLOSE


@frozen
class Part:
    """A piece of a frame's payload as it is to be passed on. A control frame has one."""

    frame: Frame
    payload: bytes
    begins: bool
    ends: bool


@frozen
class Content:
    """A piece of a message, beneath its compression. `kind`: of the message."""

    kind: Opcode
    data: bytes


@frozen
class Closing:
    """What a close frame says, before the part that carries it. `code`: None where it says none."""

    code: int | None
    reason: str


Event = Part | Content | Closing


class Reader:
    """One side of a connection. `most`: bytes of a message; None where that is no matter.

    `inflater`: where compression was agreed on.
    """

    def __init__(self, side: Side, *, most: int | None = None, inflater: Inflater | None = None) -> None:
        self._masked = side is Side.CLIENT
        self._most = most
        self._inflater = inflater
        self._pending = bytearray()
        self._frame: Frame | None = None
        self._key = b""
        self._left = 0
        self._begun = False
        self._kind = Opcode.TEXT
        self._compressed = False
        self._raw_bytes = 0
        self._content_bytes = 0
        self._text = codecs.getincrementaldecoder("utf-8")()
        self.stage = Stage.BETWEEN

    def feed(self, raw: bytes) -> Iterator[Event]:
        """What these bytes say; iterate to the end before the next call. Raises BadFrame; feed nothing after that."""
        self._pending += raw
        while self.stage is not Stage.CLOSED:
            if self._frame is None:
                self._frame = self._read_head()
                if self._frame is None:
                    return
            if self._frame.is_control:
                if len(self._pending) < self._frame.length:
                    return
                yield from self._read_control(self._frame)
            else:
                if not self._pending and self._left:
                    return
                yield from self._read_data(self._frame)
        self._pending.clear()

    def _read_head(self) -> Frame | None:
        head = self._pending
        if len(head) < 2:
            return None
        masked, length = bool(head[1] & 0x80), head[1] & 0x7F
        frame = self._check_head(head[0], length, masked=masked)
        at = 2
        if length >= 126:
            size = 2 if length == 126 else 8
            if len(head) < 2 + size:
                return None
            at += size
            length = int.from_bytes(head[2:at], "big")
            if length < (126 if size == 2 else 1 << 16) or length > LENGTH_MOST:
                raise BadFrame("a frame's length isn't in the shortest form")
        if masked:
            if len(head) < at + KEY_BYTES:
                return None
            self._key = bytes(head[at : at + KEY_BYTES])
            at += KEY_BYTES
        del head[:at]
        if length != frame.length:
            frame = attrs.evolve(frame, length=length)
        self._begin(frame)
        return frame

    def _check_head(self, first: int, length: int, *, masked: bool) -> Frame:
        """What the first two bytes say. Raises BadFrame."""
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            raise BadFrame(f"a frame has the reserved opcode {first & 0x0F:#x}") from None
        last, compressed = bool(first & 0x80), bool(first & 0x40)
        if first & 0x30 or (compressed and self._inflater is None):
            raise BadFrame("a frame has a reserved bit that was not agreed on")
        if compressed and opcode not in (Opcode.TEXT, Opcode.BINARY):
            raise BadFrame("a frame that begins no message says that it is compressed (RFC 7692 6.1)")
        if masked is not self._masked:
            raise BadFrame("a client's frame isn't masked" if self._masked else "a server's frame is masked")
        frame = Frame(opcode, last, length, compressed)
        if (self.stage, opcode, last) not in TABLE:
            raise BadFrame(_explain(self.stage, frame))
        if frame.is_control and length > CONTROL_BYTES:
            raise BadFrame(f"a control frame has more than {CONTROL_BYTES} bytes")
        return frame

    def _begin(self, frame: Frame) -> None:
        if frame.is_control:
            return
        self._left = frame.length
        self._begun = False
        if frame.opcode is not Opcode.CONTINUATION:
            self._kind, self._compressed = frame.opcode, frame.compressed
            self._raw_bytes = self._content_bytes = 0
        self._raw_bytes += frame.length
        if self._most is not None and self._raw_bytes > self._most:
            raise TooBig(self._most)

    def _read_control(self, frame: Frame) -> Iterator[Event]:
        payload = bytes(self._pending[: frame.length])
        del self._pending[: frame.length]
        if self._masked:
            payload = mask(payload, self._key)
        if frame.opcode is Opcode.CLOSE:
            yield _parse_close(payload)
        self._frame = None
        self.stage = TABLE[self.stage, frame.opcode, True]
        yield Part(frame, payload, begins=True, ends=True)

    def _read_data(self, frame: Frame) -> Iterator[Event]:
        """As much of a data frame as there is."""
        taken = min(self._left, len(self._pending), PIECE_BYTES)
        payload = bytes(self._pending[:taken])
        del self._pending[:taken]
        if self._masked:
            payload = mask(payload, self._key, frame.length - self._left)
        self._left -= taken
        ends = not self._left
        begins, self._begun = not self._begun, True
        yield from self._read_content(payload, last=ends and frame.last)
        if ends:
            self._frame = None
            self.stage = TABLE[self.stage, frame.opcode, frame.last]
        yield Part(frame, payload, begins=begins, ends=ends)

    def _read_content(self, payload: bytes, *, last: bool) -> Iterator[Content]:
        if not self._compressed or self._inflater is None:
            pieces: Iterator[bytes] = iter((payload,))
        else:
            pieces = self._inflater.feed(payload, last=last)
        try:
            for data in pieces:
                if data:
                    yield self._check_content(data)
        except NotDeflated as fault:
            raise BadFrame(str(fault)) from None
        if last and self._kind is Opcode.TEXT:
            self._decode(b"", last=True)

    def _check_content(self, data: bytes) -> Content:
        self._content_bytes += len(data)
        if self._most is not None and self._content_bytes > self._most:
            raise TooBig(self._most)
        if self._kind is Opcode.TEXT:
            self._decode(data, last=False)
        return Content(self._kind, data)

    def _decode(self, data: bytes, *, last: bool) -> None:
        if not last and data.isascii() and not self._text.getstate()[0]:
            return
        try:
            self._text.decode(data, last)
        except UnicodeDecodeError:
            raise BadFrame("a text message isn't UTF-8", Code.NO_UTF8) from None


class Writer:
    """Frames to one side. `make_key`: makes a masking key for each frame of a client; None for a server's frames.

    A key that the other side chose ends here: nobody but us says which bytes stand on the wire (RFC 6455 10.3).
    """

    def __init__(self, make_key: Callable[[], bytes] | None = None) -> None:
        self._make_key = make_key
        self._key = b""
        self._sent = 0
        self.in_frame = False
        """Whether a data frame was begun that hasn't ended: nothing else may come in between."""
        self.closed = False
        """Whether a close frame was rendered."""

    def render(self, part: Part) -> bytes:
        """A part; those of one frame in their order."""
        head = b""
        if part.begins:
            head, self._sent = self._render_head(part.frame), 0
        payload = part.payload
        if self._make_key is not None:
            payload = mask(payload, self._key, self._sent)
        self._sent += len(payload)
        self.in_frame = not part.ends
        self.closed = self.closed or part.frame.opcode is Opcode.CLOSE
        return head + payload

    def render_close(self, code: Code, reason: str = "") -> bytes:
        """A close frame of our own; a reason that is too long is cut. Not within a frame."""
        said = code.to_bytes(2, "big") + cut_text(reason, CONTROL_BYTES - 2)
        return self.render(Part(Frame(Opcode.CLOSE, True, len(said)), said, begins=True, ends=True))

    def _render_head(self, frame: Frame) -> bytes:
        first = frame.opcode | (0x80 if frame.last else 0) | (0x40 if frame.compressed else 0)
        masked = 0 if self._make_key is None else 0x80
        self._key = b"" if self._make_key is None else self._make_key()
        if frame.length < 126:
            head = bytes((first, masked | frame.length))
        elif frame.length < 1 << 16:
            head = bytes((first, masked | 126)) + frame.length.to_bytes(2, "big")
        else:
            head = bytes((first, masked | 127)) + frame.length.to_bytes(8, "big")
        return head + self._key


def mask(data: bytes, key: bytes, sent: int = 0) -> bytes:
    """Mask or unmask a piece of a payload, `sent` bytes of which came before it (RFC 6455 5.3).

    One number of a whole piece: byte by byte it takes fifty times as long.
    """
    size = len(data)
    at = sent % KEY_BYTES
    turned = key[at:] + key[:at]
    whole = turned * (size // KEY_BYTES) + turned[: size % KEY_BYTES]
    return (int.from_bytes(data, "little") ^ int.from_bytes(whole, "little")).to_bytes(size, "little")


def is_sendable(code: int) -> bool:
    """Whether a close frame may say this code (RFC 6455 7.4, and those registered since)."""
    return (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999


def cut_text(text: str, most: int) -> bytes:
    """As much of a text as `most` bytes of UTF-8 hold, in whole characters."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore").encode("utf-8")


def _parse_close(payload: bytes) -> Closing:
    if not payload:
        return Closing(None, "")
    if len(payload) == 1:
        raise BadFrame("a close frame has half of a code")
    code = int.from_bytes(payload[:2], "big")
    if not is_sendable(code):
        raise BadFrame(f"a close frame has the code {code}, which nobody may send")
    try:
        return Closing(code, payload[2:].decode("utf-8"))
    except UnicodeDecodeError:
        raise BadFrame("the reason of a close frame isn't UTF-8", Code.NO_UTF8) from None


def _explain(stage: Stage, frame: Frame) -> str:
    if frame.is_control:
        return f"a {frame.opcode.name.lower()} frame is cut in fragments"
    if frame.opcode is Opcode.CONTINUATION:
        return "a frame goes on with a message that was not begun"
    return f"a message begins {stage.value}"
