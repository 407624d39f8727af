"""An answer is one answer, in whatever pieces it comes; what an agent is told says the same to Python's own client."""

from __future__ import annotations

import http.client
import io
import warnings
from collections.abc import Iterator

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.wire.http1 import AgentSide, UpstreamSide
    from trio_egress.wire.message import HOP_BY_HOP, BadMessage, Framing, RequestHead, ResponseHead, Trailers

REQUEST = b"GET / HTTP/1.1\r\nHost: judged.example\r\n\r\n"
Answer = tuple[ResponseHead, bytes, Trailers]


class Channel(io.BytesIO):
    """What http.client takes for a socket."""

    def makefile(self, *_: object) -> Channel:
        return self


def check(raw: bytes) -> None:
    answer = read(raw, len(raw) or 1)
    assert read(raw, 7) == answer
    if answer is None:
        return
    head, body, trailers = answer
    assert not {name.lower() for name, _ in head.fields} & HOP_BY_HOP
    agent = AgentSide()
    agent.feed(REQUEST)
    agent.head()
    told = agent.render_head(head)
    if isinstance(head.body, int):
        told += body
    else:
        told += (agent.render_piece(body) if body else b"") + agent.render_end(trailers)
    status, theirs = read_independently(told)
    assert (status, theirs) == (head.status, body), told


def read(raw: bytes, step: int) -> Answer | None:
    """The final answer; None where there is none."""
    side = UpstreamSide()
    side.render_head(RequestHead("GET", None, None, "/", None, (), 0, persists=True), "judged.example")
    pieces = iter([raw[at : at + step] for at in range(0, len(raw), step)])
    try:
        while (head := side.head()) is None or head.status < 200:
            if head is None:
                side.feed(next(pieces, b""))
        return read_body(side, head, pieces)
    except BadMessage:
        return None


def read_body(side: UpstreamSide, head: ResponseHead, pieces: Iterator[bytes]) -> Answer | None:
    if head.body is Framing.CHUNKED:
        body = b""
        while not isinstance(piece := side.body(), Trailers):
            body += piece or b""
            if piece is None:
                side.feed(next(pieces, b""))
        return head, body, piece
    rest = side.leftover() + b"".join(pieces)
    if isinstance(head.body, int):
        return (head, rest[: head.body], Trailers()) if len(rest) >= head.body else None
    return head, rest, Trailers()


def read_independently(told: bytes) -> tuple[int, bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = http.client.HTTPResponse(Channel(told), method="GET")  # type: ignore[arg-type]
        answer.begin()
        return answer.status, answer.read()


if __name__ == "__main__":
    fuzz(check, "answer")
