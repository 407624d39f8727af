"""A request of HTTP/2 that is taken says the same in HTTP/1.1; bytes are events of a connection or a BadMessage."""

from __future__ import annotations

import attrs
import hpack
from driver import fuzz, instrumented

with instrumented():
    from trio_egress.wire.http1 import AgentSide, UpstreamSide
    from trio_egress.wire.http2 import Asked, Frames
    from trio_egress.wire.message import HOP_BY_HOP, BadMessage, Framing, RequestHead

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes.fromhex("000000040000000000")
FIELDS = b"fields"


def check(raw: bytes) -> None:
    """`raw` follows a connection's preface; one that begins with `fields` is a head instead: a field a line, name and
    value parted by a tab (mutations of compressed heads seldom say anything)."""
    if raw.startswith(FIELDS):
        told = [tuple(line.split(b"\t", 1)) for line in raw[len(FIELDS) :].split(b"\n") if b"\t" in line]
        block = hpack.Encoder().encode([(pair[0], pair[-1]) for pair in told])[: 1 << 14]
        raw = frame(1, 4 | (len(raw) % 2), 1, block)
    read_as_client(raw)
    for one in read(raw):
        passes_on(one.head)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def read(raw: bytes) -> list[Asked]:
    """The requests; read in two pieces they are the same."""
    found = []
    for pieces in ((raw,), (raw[: len(raw) // 2], raw[len(raw) // 2 :])):
        frames, events = Frames(client=False), []
        frames.feed(PREFACE + SETTINGS)
        try:
            for piece in pieces:
                events += frames.feed(piece)
        except BadMessage:
            events = [] if len(pieces) == 1 else events
        assert isinstance(frames.take(), bytes)
        found.append([event for event in events if isinstance(event, Asked)])
    assert found[0] == found[1] or not found[0]
    return found[0]


def read_as_client(raw: bytes) -> None:
    """As an upstream's word, once something was asked."""
    head = RequestHead("GET", None, None, "/", None, (), 0, persists=True)
    frames = Frames(client=True)
    try:
        frames.feed(SETTINGS)
        frames.ask(head, "judged.example", end=True)
        frames.feed(raw)
    except BadMessage:
        return


def passes_on(head: RequestHead) -> None:
    """What is sent to an upstream of HTTP/1.1."""
    if head.method == "CONNECT":
        return
    opens = bool(head.upgrades)
    assert not opens or (head.upgrades == ("websocket",) and head.switches and head.body == 0)
    side = AgentSide()
    told = UpstreamSide().render_head(attrs.evolve(head, opens_websocket=opens), "judged.example")
    side.feed(told)
    again = side.head()
    assert again is not None, told
    assert (again.upgrades, again.switches) == (head.upgrades, head.switches)
    assert (again.method, again.path, again.host) == (head.method, head.path, "judged.example")
    assert again.fields == head.fields
    assert again.body == head.body or head.body is Framing.CHUNKED
    assert side.leftover() == b""
    assert not {name for name, _ in again.fields} & (HOP_BY_HOP | {b"host"})


if __name__ == "__main__":
    fuzz(check, "http2")
