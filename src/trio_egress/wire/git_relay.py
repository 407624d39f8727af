"""What the proxy and the process that ends SSH for git say to each other about one connection: frames, both ways.

A frame is a kind (one byte), the length of its body (four bytes, big-endian), and the body, a JSON object of texts and
lists of texts. The bytes of SSH itself go by other descriptors.

Rule 1: what may be said is TABLE; anything else, whoever says it, is an error.
Rule 2: no frame has a body of more than FRAME_BYTES, and one is refused by its length alone.
Rule 3: bytes that don't belong there raise PeerError, and nothing else is raised by `feed`.
"""

from __future__ import annotations

import enum
import json
import struct
from collections.abc import Mapping
from typing import Final

import attrs

from trio_egress.errors import PeerError
from trio_egress.values import frozen

FRAME_BYTES: Final = 256 * 1024
"""A key of 64 KiB, as JSON."""
TRIED_MOST: Final = 64
"""Attempts at something else than git, in one connection."""
TEXT_CHARS: Final = 4096

Value = str | list[str]


class Side(enum.Enum):
    RELAY = "relay"
    PROXY = "proxy"


class Stage(enum.Enum):
    """Where the conversation about a connection has got to."""

    OPEN = "nothing is asked yet"
    ASKED = "a command waits for its answer"
    GOING = "a command is carried"
    OVER = "all is said"


class Kind(enum.Enum):
    """What is said, with the fields that it has."""

    TRIED = b"T"
    ASK = b"A"
    GO = b"G"
    NO = b"N"
    ENDED = b"E"


FIELDS: Mapping[Kind, Mapping[str, type]] = {
    Kind.TRIED: {"what": str},
    Kind.ASK: {"user": str, "command": str, "protocol": str},
    Kind.GO: {"user": str, "command": str, "protocol": str, "key": str, "host": str, "host_keys": list},
    Kind.NO: {"reason": str},
    Kind.ENDED: {"status": str, "reason": str},
}

TABLE: Mapping[tuple[Side, Stage, Kind], Stage] = {
    (Side.RELAY, Stage.OPEN, Kind.TRIED): Stage.OPEN,
    (Side.RELAY, Stage.ASKED, Kind.TRIED): Stage.ASKED,
    (Side.RELAY, Stage.GOING, Kind.TRIED): Stage.GOING,
    (Side.RELAY, Stage.OVER, Kind.TRIED): Stage.OVER,
    (Side.RELAY, Stage.OPEN, Kind.ASK): Stage.ASKED,
    (Side.PROXY, Stage.ASKED, Kind.GO): Stage.GOING,
    (Side.PROXY, Stage.ASKED, Kind.NO): Stage.OVER,
    (Side.RELAY, Stage.GOING, Kind.ENDED): Stage.OVER,
}
"""What each side may say, and where that leads; what isn't here is an error. One connection carries one command."""

_HEAD = struct.Struct(">cI")
_KINDS = {kind.value: kind for kind in Kind}


@frozen
class Message:
    kind: Kind
    fields: Mapping[str, Value] = attrs.field(repr=False)

    def text(self, name: str) -> str:
        value = self.fields[name]
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        value = self.fields[name]
        return value if isinstance(value, list) else []


class Talk:
    """One side's view of what is said about a connection."""

    def __init__(self, own: Side) -> None:
        self._own = own
        self._other = Side.PROXY if own is Side.RELAY else Side.RELAY
        self._pending = b""
        self._tried = 0
        self.stage = Stage.OPEN

    def say(self, kind: Kind, **fields: Value) -> bytes:
        """The frame to be sent. Raises ValueError for what may not be said now: a bug of ours."""
        after = TABLE.get((self._own, self.stage, kind))
        if after is None:
            raise ValueError(f"{kind.name} may not be said where {self.stage.value}")
        _check(kind, fields)
        body = json.dumps(fields).encode("ascii")
        if len(body) > FRAME_BYTES:
            raise ValueError(f"a frame of {len(body)} bytes is over the bound of {FRAME_BYTES}")
        self.stage = after
        return _HEAD.pack(kind.value, len(body)) + body

    def feed(self, raw: bytes) -> list[Message]:
        """What the other side has said by now. Raises PeerError; nothing may be fed after that."""
        self._pending += raw
        found: list[Message] = []
        while len(self._pending) >= _HEAD.size:
            letter, size = _HEAD.unpack_from(self._pending)
            kind = _KINDS.get(letter)
            if kind is None or size > FRAME_BYTES:
                raise PeerError(f"a frame {letter!r} of {size} bytes, which is none")
            if len(self._pending) < _HEAD.size + size:
                break
            body, self._pending = self._pending[_HEAD.size :][:size], self._pending[_HEAD.size + size :]
            found.append(self._hear(kind, body))
        return found

    def _hear(self, kind: Kind, body: bytes) -> Message:
        after = TABLE.get((self._other, self.stage, kind))
        if after is None:
            raise PeerError(f"{kind.name} was said where {self.stage.value}")
        self._tried += kind is Kind.TRIED
        if self._tried > TRIED_MOST:
            raise PeerError(f"more than {TRIED_MOST} attempts at something else than git in one connection")
        message = Message(kind, _parse(kind, body))
        self.stage = after
        return message


def _parse(kind: Kind, body: bytes) -> Mapping[str, Value]:
    try:
        fields = json.loads(body.decode("ascii"))
        _check(kind, fields)
    except (ValueError, RecursionError) as error:
        raise PeerError(f"the body of {kind.name} can't be read: {error}") from None
    return {name: fields[name] for name in FIELDS[kind]}


def _check(kind: Kind, fields: object) -> None:
    expected = FIELDS[kind]
    if not isinstance(fields, dict) or fields.keys() != expected.keys():
        raise ValueError(f"it has other fields than {', '.join(expected)}")
    for name, type_ in expected.items():
        value = fields[name]
        texts = value if isinstance(value, list) else [value]
        if type(value) is not type_ or not all(type(text) is str for text in texts):
            raise ValueError(f"{name} is no {'text' if type_ is str else 'list of texts'}")
        if name != "key" and any(len(text) > TEXT_CHARS for text in texts):
            raise ValueError(f"{name} is longer than {TEXT_CHARS} characters")
