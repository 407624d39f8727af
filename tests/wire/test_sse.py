"""A stream of events: every way to end a line, every split point, and what readers take for different things."""

from __future__ import annotations

import pytest

from trio_egress.wire.message import BadMessage
from trio_egress.wire.sse import EVENT_BYTES, Event, EventStream

STREAMS = {
    b"data: a\n\n": [(b"message", b"a")],
    b"data:a\r\rdata: b\r\n\r\ndata:  c\n\n": [(b"message", b"a"), (b"message", b"b"), (b"message", b" c")],
    b"event: endpoint\ndata: /messages\n\n": [(b"endpoint", b"/messages")],
    b": ping\n\ndata: {\ndata: }\nid: 7\nretry: 9\n\n": [(b"message", b""), (b"message", b"{\n}")],
    b"data\n\ndata\ndata\n\n": [(b"message", b""), (b"message", b"\n")],
    b"\n\r\n\rdata: a\n\n": [(b"message", b"")] * 3 + [(b"message", b"a")],
    b"other: x\ndata: a\n\n": [(b"message", b"a")],
    b"data: a\r\n\r\n\r\ndata: b\r\r\n": [(b"message", b"a"), (b"message", b""), (b"message", b"b")],
    "data: \u2028\x0b\n\n".encode(): [(b"message", "\u2028\x0b".encode())],
}


def read(pieces: list[bytes]) -> list[Event]:
    stream = EventStream()
    events = [event for piece in pieces for event in stream.feed(piece)]
    return [*events, stream.finish()]


@pytest.mark.parametrize(("raw", "expected"), STREAMS.items())
def test_events_are_the_same_wherever_the_stream_is_cut(
    raw: bytes, expected: list[tuple[bytes, bytes]]
) -> None:
    cuts = [[raw], [raw[at : at + 1] for at in range(len(raw))]]
    cuts += [[raw[:at], raw[at:]] for at in range(len(raw) + 1)]
    for pieces in cuts:
        *events, rest = read(pieces)
        assert [(event.kind, event.data) for event in events] == expected
        assert rest.data == b""
        assert b"".join(event.raw for event in (*events, rest)) == raw


def test_an_event_is_given_as_soon_as_it_ends() -> None:
    stream = EventStream()
    assert [event.data for event in stream.feed(b"data: a\n\ndata: b\n")] == [b"a"]
    assert [event.data for event in stream.feed(b"\n")] == [b"b"]
    assert [event.data for event in stream.feed(b"data: c\r\r")] == [b"c"]
    assert [event.data for event in stream.feed(b"\ndata: d\n\n")] == [b"d"]


def test_what_comes_after_the_last_event_is_told_too() -> None:
    *events, rest = read([b"data: a\n\nevent: x\ndata: b"])
    assert [event.data for event in events] == [b"a"]
    assert (rest.kind, rest.data) == (b"x", b"b")


@pytest.mark.parametrize(
    "raw", [b"\xef\xbb\xbfdata: a\n\n", b"Data: a\n\n", b" data: a\n\n", b"data : a\n\n", b"EVENT: a\n\n"]
)
def test_what_some_readers_take_for_a_field_is_refused(raw: bytes) -> None:
    for pieces in ([raw], [raw[at : at + 1] for at in range(len(raw))]):
        with pytest.raises(BadMessage):
            read(pieces)


def test_an_event_has_a_greatest_size() -> None:
    stream = EventStream()
    for _ in range(EVENT_BYTES >> 20):
        stream.feed(b"d" * (1 << 20))
    with pytest.raises(BadMessage):
        stream.feed(b"d")
