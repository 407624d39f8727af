"""Usual heads: what is read in one pass h11 reads the same; all else is left to it."""

from __future__ import annotations

import random

import h11
import pytest

from trio_egress.errors import PeerError
from trio_egress.wire.http1 import AgentSide, UpstreamSide
from trio_egress.wire.message import BadMessage, Framing, RequestHead, ResponseHead, Trailers
from trio_egress.wire.usual_heads import UsualHead, read_usual_request, read_usual_response

GET = b"GET /a?b=1 HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost:a.example\r\nContent-Length: 3\r\n\r\nabc"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
ASKED = RequestHead("GET", None, None, "/", "a.example", (), 0, True)


def judge_request(raw: bytes) -> tuple[h11.Connection, h11.Event]:
    judge = h11.Connection(h11.SERVER)
    judge.receive_data(raw)
    event = judge.next_event()
    assert isinstance(event, h11.Request)
    return judge, event


def judge_response(raw: bytes) -> tuple[h11.Connection, h11.Event]:
    judge = h11.Connection(h11.CLIENT)
    judge.send(h11.Request(method="GET", target="/", headers=[("Host", "a.example")]))
    judge.receive_data(raw)
    event = judge.next_event()
    assert isinstance(event, h11.Response)
    return judge, event


def assert_same(raw: bytes, usual: UsualHead | None, *, request: bool) -> None:
    if usual is None:
        return
    judge, event = judge_request(raw) if request else judge_response(raw)
    if isinstance(event, h11.Request):
        assert (event.method, event.target) == usual.line
    else:
        assert isinstance(event, h11.Response)
        assert (b"%d" % event.status_code, bytes(event.reason)) == usual.line
    assert event.http_version == b"1.1"
    assert (list(event.headers), event.headers.raw_items()) == (usual.fields, usual.raw)
    assert judge.trailing_data[0] == raw[usual.end :]


@pytest.mark.parametrize("raw", [GET, POST, GET + GET, b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n\x16"])
def test_a_usual_request_is_read_as_h11_reads_it(raw: bytes) -> None:
    usual = read_usual_request(raw)
    assert usual is not None
    assert_same(raw, usual, request=True)


@pytest.mark.parametrize(
    "raw", [OK, b"HTTP/1.1 404 \r\n\r\nrest", b"HTTP/1.1 599 It  is \r\nX:\r\nY: a b\r\n\r\n"]
)
def test_a_usual_answer_is_read_as_h11_reads_it(raw: bytes) -> None:
    usual = read_usual_response(raw)
    assert usual is not None
    assert_same(raw, usual, request=False)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b"\r\n\r\n", b"\r\n"),
        (b"\r\n", b"\n"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"HTTP/1.1", b"http/1.1"),
        (b"GET ", b"GET  "),
        (b"GET", b"get"),
        (b"GET", b"\r\nGET"),
        (b"/a?b=1", b"/a b"),
        (b"/a?b=1", b"/\xc3\xa9"),
        (b"Host: a.example\r\n", b""),
        (b"Host: a.example", b"Host: a.example\r\nHost: a.example"),
        (b"Accept:", b"Accept :"),
        (b"Accept:", b" Accept:"),
        (b"Accept:", b":"),
        (b"*/*", b"*/*\t"),
        (b"*/*", b"*/* "),
        (b"*/*", b" */*"),
        (b"*/*", b"\xa0"),
        (b"*/*", b"a\rb"),
        (b"*/*", b"a\0b"),
        (b"*/*", b"a\r\n b"),
        (b"Accept: */*", b"Transfer-Encoding: chunked"),
        (b"Accept: */*", b"Expect: 100-continue"),
        (b"Accept: */*", b"Upgrade: websocket"),
        (b"Accept: */*", b"Content-Length: +3"),
        (b"Accept: */*", b"Content-Length: 3, 3"),
        (b"Accept: */*", b"Content-Length: 3\r\nContent-Length: 3"),
        (b"Accept: */*", b"Content-Length: 1234567890123456789"),
        (b"Accept: */*", b"Content-Length:"),
    ],
)
def test_what_is_not_of_the_usual_form_is_left_to_h11(was: bytes, becomes: bytes) -> None:
    assert read_usual_request(GET) is not None
    assert read_usual_request(GET.replace(was, becomes)) is None


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1 100 Continue", b"HTTP/1.1 200", b"HTTP/1.0 200 OK", b"HTTP/1.1 600 x"]
)
def test_an_unusual_status_line_is_left_to_h11(line: bytes) -> None:
    assert read_usual_response(OK.replace(b"HTTP/1.1 200 OK", line)) is None


PIECES = [
    *(
        b"GET",
        b"POST",
        b"CONNECT",
        b"get",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"200",
        b"204",
        b"304",
        b"OK",
        b"/",
        b"a:443",
    ),
    *(
        b" ",
        b"  ",
        b"\t",
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b":",
        b": ",
        b",",
        b"\0",
        b"\x7f",
        b"\xff",
    ),
    *(
        b"Host",
        b"Content-Length",
        b"Transfer-Encoding",
        b"Connection",
        b"Upgrade",
        b"X-a",
        b"3",
        b"03",
        b"close",
    ),
]


def make_like(raw: bytes, chance: random.Random) -> bytes:
    """Something that could be taken for it: cut, joined and spiced anywhere."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(raw) + 1)
        raw = raw[:at] + chance.choice(PIECES) + raw[at + chance.choice((0, 0, 1, 2)) :]
    return raw


def test_whatever_is_read_of_heads_that_are_nearly_usual_h11_reads_the_same() -> None:
    chance, read = random.Random(7), 0
    for _ in range(4000):
        request, response = make_like(chance.choice((GET, POST)), chance), make_like(OK, chance)
        for raw, usual in ((request, read_usual_request(request)), (response, read_usual_response(response))):
            assert_same(raw, usual, request=raw is request)
            read += usual is not None
    assert read > 1000


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("asked", [GET, GET.replace(b"Accept: */*", b"Connection: close"), POST])
@pytest.mark.parametrize(
    "fields",
    [
        ((b"Content-Length", b"3"), (b"X-a", b"b")),
        ((b"X-a", b"b"),),
        ((b"Content-Length", b"3"), (b"X-a", b"\xe9")),
        ((b"Content-Length", b"3"), (b"X-a", b"a\tb")),
    ],
)
def test_an_answer_is_written_as_h11_writes_it_to_its_end(
    asked: bytes, fields: tuple[tuple[bytes, bytes], ...], close: bool
) -> None:
    side = AgentSide()
    side.feed(asked)
    side.head()
    judge, _ = judge_request(asked)
    ending = [(b"Connection", b"close")] if close else []
    response = h11.Response(status_code=200, headers=[*fields, *ending], reason=b"OK")
    assert side.render_head(ResponseHead(200, b"OK", fields, 3, True), close=close) == judge.send(response)
    assert side.render_piece(b"abc") == judge.send(h11.Data(data=b"abc"))
    assert side.render_end(Trailers()) == judge.send(h11.EndOfMessage())


@pytest.mark.parametrize(
    ("name", "value"), [(b"X-a", b"a\r\nX-b: c"), (b"X-a\r\nX-b", b"a"), (b"X-a", b"a\nb"), (b"", b"a")]
)
def test_a_field_that_would_be_two_is_written_by_nobody(name: bytes, value: bytes) -> None:
    side = AgentSide()
    side.feed(GET)
    side.head()
    told = ((name, value), (b"Content-Length", b"0"))
    with pytest.raises(h11.LocalProtocolError):
        side.render_head(ResponseHead(200, b"OK", told, 0, True))
    head = RequestHead("GET", None, None, "/", "a.example", ((name, value),), 0, True)
    with pytest.raises(h11.LocalProtocolError):
        UpstreamSide().render_head(head, "a.example")


def test_bodies_go_on_with_h11_where_somebody_looks_at_them() -> None:
    side = AgentSide()
    side.feed(POST + b"GET")
    assert side.head() is not None
    assert side.body() == b"abc"
    assert side.body() == Trailers()
    assert side.leftover() == b"GET"


def test_an_answer_until_the_close_is_read_to_its_end() -> None:
    side = UpstreamSide()
    side.render_head(ASKED, "a.example")
    assert side.head() is None
    side.feed(b"HTTP/1.1 200 OK\r\n\r\nabc")
    head = side.head()
    assert head is not None
    assert head.body is Framing.UNTIL_CLOSE
    assert side.body() == b"abc"
    side.feed(b"")
    assert side.body() == Trailers()


def test_an_answer_that_ends_inside_its_body_is_refused_as_before() -> None:
    side = UpstreamSide()
    side.render_head(ASKED, "a.example")
    side.feed(OK[:-1])
    assert side.head() is not None
    assert side.body() == b"ab"
    side.feed(b"")
    with pytest.raises(PeerError, match="ended inside a message"):
        side.body()


def test_the_bounds_of_a_head_hold_for_usual_ones() -> None:
    for raw in (GET.replace(b"*/*", b"a" * 70_000), GET.replace(b"Accept", b"A: b\r\n" * 128 + b"Accept")):
        side = AgentSide()
        side.feed(raw)
        with pytest.raises(BadMessage) as refused:
            side.head()
        assert refused.value.status == 431


def test_an_answer_may_be_asked_for_before_the_request_is_written() -> None:
    side = UpstreamSide()
    assert side.head() is None
    told = RequestHead("POST", None, None, "/", "a.example", ((b"Content-Length", b"3"),), 3, True)
    assert side.render_head(told, "a.example").startswith(b"POST / HTTP/1.1\r\nHost: a.example\r\n")
    assert side.render_piece(b"abc") == b"abc"
    assert side.render_end(Trailers()) == b""
    side.feed(OK)
    assert side.head() is not None


def test_bytes_that_come_before_a_request_are_h11s_to_judge() -> None:
    side = UpstreamSide()
    side.feed(OK)
    judge = h11.Connection(h11.CLIENT)
    judge.receive_data(OK)
    assert isinstance(judge.next_event(), h11.Response)
    assert side.head() is not None
    assert side.leftover() == judge.trailing_data[0]
