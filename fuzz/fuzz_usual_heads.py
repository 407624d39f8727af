"""A usual head, read or written without h11, is what h11 reads or writes, and its message goes on as with h11."""

from __future__ import annotations

import h11
from driver import fuzz, instrumented

from trio_egress.errors import PeerError

with instrumented():
    from trio_egress.wire.http1 import AgentSide, UpstreamSide
    from trio_egress.wire.message import Framing, RequestHead, ResponseHead, Trailers
    from trio_egress.wire.usual_heads import UsualHead, read_usual_request, read_usual_response

ASKED = RequestHead("GET", None, None, "/", "a.example", (), 0, True)


def check(raw: bytes) -> None:
    usual = read_usual_request(raw)
    if usual is not None:
        check_request(raw, usual)
    usual = read_usual_response(raw)
    if usual is not None:
        check_response(raw, usual)


def check_request(raw: bytes, usual: UsualHead) -> None:
    judge = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    judge.receive_data(raw)
    event = judge.next_event()
    assert isinstance(event, h11.Request)
    assert (event.method, event.target, event.http_version) == (*usual.line, b"1.1")
    assert (list(event.headers), event.headers.raw_items()) == (usual.fields, usual.raw)
    assert judge.trailing_data[0] == raw[usual.end :]
    side = AgentSide()
    side.feed(raw)
    try:
        head = side.head()
    except PeerError:
        return
    assert head is not None
    assert side.leftover() == raw[usual.end :]
    if head.method != "CONNECT":
        told = UpstreamSide().render_head(head, "judged.example")
        fields = [(b"Host", b"judged.example"), *split_fields(told)[1:]]
        request = h11.Request(method=head.method, target=head.path, headers=fields)
        assert told == h11.Connection(h11.CLIENT).send(request)
        for close in (False, True):
            check_answer(raw, close=close)


def check_answer(raw: bytes, *, close: bool) -> None:
    """Of this request, with a length: head, body and end are as h11 writes them all."""
    judge = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    judge.receive_data(raw)
    judge.next_event()
    fields = [(b"X-Any", b"1"), (b"Content-Length", b"3")]
    side = AgentSide()
    side.feed(raw)
    side.head()
    told = side.render_head(ResponseHead(200, b"OK", tuple(fields), 3, True), close=close)
    ending = [(b"Connection", b"close")] if close else []
    response = h11.Response(status_code=200, headers=[*fields, *ending], reason=b"OK")
    assert told == judge.send(response)
    assert side.render_piece(b"abc") == judge.send(h11.Data(data=b"abc"))
    assert side.render_end(Trailers()) == judge.send(h11.EndOfMessage())


def check_response(raw: bytes, usual: UsualHead) -> None:
    judge = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    judge.send(h11.Request(method="GET", target="/", headers=[(b"Host", b"a.example")]))
    judge.receive_data(raw)
    event = judge.next_event()
    assert isinstance(event, h11.Response)
    assert (b"%d" % event.status_code, bytes(event.reason)) == usual.line
    assert (list(event.headers), event.headers.raw_items()) == (usual.fields, usual.raw)
    side = UpstreamSide()
    side.render_head(ASKED, "a.example")
    side.feed(raw)
    try:
        head = side.head()
    except PeerError:
        return
    assert head is not None
    assert side.leftover() == judge.trailing_data[0] == raw[usual.end :]
    side = UpstreamSide()
    side.render_head(ASKED, "a.example")
    side.feed(raw)
    side.head()
    if head.body is Framing.UNTIL_CLOSE and raw[usual.end :]:
        data = judge.next_event()
        assert isinstance(data, h11.Data)
        assert side.body() == bytes(data.data)


def split_fields(told: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of a head that was written."""
    pairs = (line.partition(b": ") for line in told.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:])
    return [(name, value) for name, _, value in pairs]


if __name__ == "__main__":
    fuzz(check, "usual_heads")
