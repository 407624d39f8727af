"""What is sent upstream for a request says the same to a second reader, and carries no field that ends at the proxy."""

from __future__ import annotations

import http.client
import io

from driver import fuzz, instrumented

from trio_egress.errors import PeerError

with instrumented():
    from trio_egress.wire.http1 import EXPECTS_NO_BODY, AgentSide, UpstreamSide
    from trio_egress.wire.message import HOP_BY_HOP, Framing, RequestHead, split_authority


def read(raw: bytes) -> tuple[RequestHead | None, AgentSide]:
    side = AgentSide()
    if raw:
        side.feed(raw)
    return side.head(), side


def check(raw: bytes) -> None:
    try:
        head, side = read(raw)
        if head is None or head.method == "CONNECT":
            return
        split_authority(head.authority or head.host or "")
    except PeerError:
        return
    body, left = (b"", side.leftover()) if isinstance(head.body, int) else read_chunks(side)
    sent = UpstreamSide()
    told = sent.render_head(head, "judged.example")
    if head.body is Framing.CHUNKED:
        told += sent.render_piece(body) if body else b""
    assert read_independently(told) == [(b"Host", b"judged.example"), *sent_fields(head)]
    again, _ = read(told)
    assert again is not None, told
    assert (again.method, again.path, again.body) == (head.method, head.path, head.body)
    assert again.host == "judged.example"
    assert again.fields == head.fields
    assert not {name.lower() for name, _ in again.fields} & (HOP_BY_HOP | {b"host"})
    assert left in raw


def sent_fields(head: RequestHead) -> list[tuple[bytes, bytes]]:
    chunked = [(b"Transfer-Encoding", b"chunked")] if head.body is Framing.CHUNKED else []
    asks = any(name.lower() == b"expect" for name, _ in head.fields)
    unread = head.body != 0 and (asks or head.method in EXPECTS_NO_BODY)
    return [*head.fields, *chunked, *([(b"Connection", b"close")] if unread else [])]


def read_independently(told: bytes) -> list[tuple[bytes, bytes]]:
    """The fields as the standard library's client reads them."""
    _, _, fields = told.partition(b"\r\n")
    parsed = http.client.parse_headers(io.BytesIO(fields))
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in parsed.items()]


def read_chunks(side: AgentSide) -> tuple[bytes, bytes]:
    body = b""
    try:
        while isinstance(piece := side.body(), bytes):
            body += piece
    except PeerError:
        return body, b""
    return body, side.leftover()


if __name__ == "__main__":
    fuzz(check, "http1")
