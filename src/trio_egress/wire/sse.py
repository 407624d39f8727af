"""Events of a text/event-stream (WHATWG HTML 9.2), each with the bytes in which it came.

Rule 1: the bytes of all events, and the rest, are the stream: what is passed on event by event is what came.
Rule 2: a line ends with LF, CR or CRLF, wherever the stream is cut; an empty one ends an event.
Rule 3: what some reader takes for a field and another doesn't raises BadMessage, as does an event that is too long.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from trio_egress.values import frozen
from trio_egress.wire.message import BadMessage

EVENT_BYTES: Final = 4 << 20
"""One event (as one text of JSON, strict_json.py)."""

_FIELDS: Final = frozenset((b"data", b"event", b"id", b"retry"))
_MARK: Final = b"\xef\xbb\xbf"
_END = re.compile(rb"\r\n|\r|\n")


@frozen
class Event:
    """`data` is empty where an event has none: clients see nothing of it."""

    raw: bytes = attrs.field(repr=False)
    kind: bytes = b"message"
    data: bytes = attrs.field(default=b"", repr=False)


class EventStream:
    """One stream, from its first byte on."""

    def __init__(self) -> None:
        self._raw = bytearray()
        self._line = bytearray()
        self._data: list[bytes] = []
        self._kind = b""
        self._after_cr = False
        self._first = True

    def feed(self, raw: bytes) -> list[Event]:
        """The events that are complete now. Raises BadMessage."""
        events: list[Event] = []
        if not raw:
            return events
        begin = at = 0
        if self._after_cr and raw[:1] == b"\n":
            at = 1
        self._after_cr = raw.endswith(b"\r")
        while (found := _END.search(raw, at)) is not None:
            line = bytes(self._line) + raw[at : found.start()]
            self._line.clear()
            at = found.end()
            if line:
                self._take(line)
                continue
            self._raw += raw[begin:at]
            begin = at
            events.append(self._make_event())
        self._line += raw[at:]
        self._raw += raw[begin:]
        if len(self._raw) > EVENT_BYTES:
            raise BadMessage(f"an event of more than {EVENT_BYTES} bytes", 413)
        return events

    def finish(self) -> Event:
        """What came after the last event: by the standard no event, but to some readers one."""
        if self._line:
            self._take(bytes(self._line))
        return self._make_event()

    def _make_event(self) -> Event:
        event = Event(bytes(self._raw), self._kind or b"message", b"\n".join(self._data))
        self._raw.clear()
        self._data, self._kind = [], b""
        return event

    def _take(self, line: bytes) -> None:
        if self._first and line.startswith(_MARK):
            raise BadMessage("a stream of events begins with a byte order mark, which readers skip or don't")
        self._first = False
        name, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._kind = value
        elif name not in _FIELDS and name.strip(b" \t\0").lower() in _FIELDS:
            raise BadMessage("a field of an event is spelt in a way that some readers know and some don't")
