"""HTTP/1.1 heads and bodies: every refusal, every field that ends here, every split."""

from __future__ import annotations

import collections

import pytest

from trio_egress.wire.http1 import AgentSide, UpstreamSide
from trio_egress.wire.message import BadMessage, Framing, RequestHead, ResponseHead, Trailers, split_authority

GET = b"GET /a?b=c HTTP/1.1\r\nHost: api.example\r\nX-Y: z\r\n\r\n"


def parse(raw: bytes, **limits: int) -> RequestHead:
    side = AgentSide(**limits)
    side.feed(raw)
    head = side.head()
    assert head is not None
    return head


def parse_answer(raw: bytes, method: str = "GET") -> ResponseHead:
    side = UpstreamSide()
    side.render_head(request(method), "api.example")
    side.feed(raw)
    head = side.head()
    assert head is not None
    return head


def request(method: str = "GET", body: int | Framing = 0) -> RequestHead:
    return RequestHead(method, None, None, "/", None, (), body, True)


def refuse(raw: bytes, status: int = 400, **limits: int) -> str:
    with pytest.raises(BadMessage) as caught:
        parse(raw, **limits)
    assert caught.value.status == status
    return str(caught.value)


# requests


def test_request_is_parsed_into_what_judges_it() -> None:
    assert parse(GET) == RequestHead(
        method="GET",
        scheme=None,
        authority=None,
        path="/a?b=c",
        host="api.example",
        fields=((b"X-Y", b"z"),),
        body=0,
        persists=True,
    )


@pytest.mark.parametrize("size", range(len(GET)))
def test_request_may_be_split_anywhere(size: int) -> None:
    side = AgentSide()
    for raw in (GET[:size], GET[size:-1]):
        if raw:
            side.feed(raw)
        assert side.head() is None
    side.feed(GET[-1:])
    assert side.head() == parse(GET)


@pytest.mark.parametrize("size", range(len(GET)))
def test_request_that_is_cut_short_is_refused(size: int) -> None:
    side = AgentSide()
    if size:
        side.feed(GET[:size])
        assert side.head() is None
    side.feed(b"")
    with pytest.raises(BadMessage):
        side.head()


@pytest.mark.parametrize(
    ("line", "scheme", "authority", "path"),
    [
        (b"GET / HTTP/1.1", None, None, "/"),
        (b"GET //evil.example/a HTTP/1.1", None, None, "//evil.example/a"),
        (b"GET http://a.example HTTP/1.1", "http", "a.example", "/"),
        (b"GET http://a.example?b HTTP/1.1", "http", "a.example", "/?b"),
        (b"GET HTTP://a.example:81/b?c HTTP/1.1", "http", "a.example:81", "/b?c"),
        (b"GET https://a.example/ HTTP/1.1", "https", "a.example", "/"),
        (b"OPTIONS * HTTP/1.1", None, None, "*"),
        (b"OPTIONS http://a.example HTTP/1.1", "http", "a.example", "*"),
        (b"CONNECT a.example:443 HTTP/1.1", None, "a.example:443", ""),
    ],
)
def test_four_forms_of_a_target(line: bytes, scheme: str | None, authority: str | None, path: str) -> None:
    head = parse(line + b"\r\nHost: x\r\n\r\n")
    assert (head.scheme, head.authority, head.path) == (scheme, authority, path)


@pytest.mark.parametrize(
    "target",
    [
        b"*",
        b"a",
        b"a.example:80",
        b"http:a",
        b"http://a.example#b",
        b"http://a.example/b#c",
        b"?a",
        b"/a#b",
        b"/a?b#c",
        b"http:///a",
    ],
)
def test_target_of_no_form_is_refused(target: bytes) -> None:
    assert "request target" in refuse(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"2.0", b"3.0"])
def test_other_versions_are_refused(version: bytes) -> None:
    refuse(b"GET / HTTP/" + version + b"\r\nHost: x\r\n\r\n", 505)


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (b"", 0),
        (b"Content-Length: 0\r\n", 0),
        (b"Content-Length: 12\r\n", 12),
        (b"Content-Length: 12, 12\r\nContent-Length: 12\r\n", 12),
        (b"Content-Length: 9007199254740991\r\n", 2**53 - 1),
        (b"Expect: 100-Continue\r\n", 0),
        (b"Transfer-Encoding: Chunked\r\n", Framing.CHUNKED),
    ],
)
def test_framing_of_a_request(fields: bytes, body: int | Framing) -> None:
    assert parse(b"POST / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n").body == body


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"Content-Length: 1\r\nContent-Length: 2\r\n", 400),
        (b"Content-Length: -1\r\n", 400),
        (b"Content-Length: 0x1\r\n", 400),
        (b"Content-Length: 9007199254740992\r\n", 413),
        (b"Expect: 100-continue\r\nContent-Length: 9007199254740992\r\n", 413),
        (b"Content-Length: 9223372036854775807\r\n", 413),
        (b"Content-Length: 18446744073709551621\r\n", 413),
        (b"X: a\x01b\r\n", 400),
        (b"X: a\x7fb\r\n", 400),
        (b"Expect: 200-ok\r\n", 417),
        (b"Expect: 100-continue, x\r\n", 417),
        (b"Expect: 100-continue\r\nExpect: 100-continue\r\n", 417),
        (b"Transfer-Encoding: gzip, chunked\r\n", 501),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501),
        (b"Host: y\r\n", 400),
        (b"X : y\r\n", 400),
        (b"X: a\0b\r\n", 400),
        (b"\r\n X: y\r\n", 400),
    ],
)
def test_doubtful_fields_are_refused(fields: bytes, status: int) -> None:
    raw = b"POST / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n"
    if fields.startswith(b"\r\n"):
        raw = b"POST / HTTP/1.1\r\n Host: x\r\n\r\n"
    refuse(raw, status)


def test_refusal_never_quotes_the_payload() -> None:
    for raw in (
        b"secret secret secret\r\n\r\n",
        b"GET /secret\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nsecret\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: secret\r\n\r\n",
    ):
        assert "secret" not in refuse(raw)


def test_http_1_0_may_be_without_host_and_chunks_but_not_with_chunks() -> None:
    head = parse(b"GET / HTTP/1.0\r\n\r\n")
    assert head.host is None
    assert not head.persists
    assert "HTTP/1.0" in refuse(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_close_ends_persistence() -> None:
    assert not parse(GET[:-2] + b"Connection: x, Close\r\n\r\n").persists


def test_upgrades_are_told() -> None:
    assert parse(GET[:-2] + b"Upgrade: WebSocket, h2c\r\nUpgrade: ,\r\n\r\n").upgrades == ("websocket", "h2c")


def test_head_is_bounded_in_bytes_whole_or_not() -> None:
    base = b"GET / HTTP/1.1\r\nHost: x\r\nX: "
    assert parse(base + b"x" * 90 + b"\r\n\r\n", head_bytes=100)
    assert "100 bytes" in refuse(base + b"x" * 100 + b"\r\n\r\n", 431, head_bytes=100)
    refuse(base + b"x" * 100, 431, head_bytes=100)
    refuse(b"GET /" + b"x" * 100 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431, head_bytes=100)


def test_head_is_bounded_in_fields() -> None:
    raw = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 9
    assert parse(raw + b"\r\n", header_count=10)
    assert "more than 10 fields" in refuse(raw + b"X: y\r\n\r\n", 431, header_count=10)


def test_hop_by_hop_fields_are_dropped_and_framing_is_not() -> None:
    fields = (
        b"Connection: X-Mine, Host, Content-Length, close\r\nx-mine: 1\r\nKeep-Alive: 1\r\nTE: trailers\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: A\r\nProxy-Connection: close\r\nProxy-Authorization: x\r\n"
        b"Content-Length: 2\r\nCookie: c\r\n"
    )
    head = parse(b"POST / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n")
    assert head.fields == ((b"Content-Length", b"2"), (b"Cookie", b"c"))
    assert head.host == "x"


def test_what_is_left_over_is_the_next_ones() -> None:
    side = AgentSide()
    side.feed(GET + b"GET /next")
    side.head()
    assert side.leftover() == b"GET /next"


# what goes upstream


def test_request_is_rendered_for_the_judged_host() -> None:
    assert UpstreamSide().render_head(parse(GET), "api.example:80") == (
        b"GET /a?b=c HTTP/1.1\r\nHost: api.example:80\r\nX-Y: z\r\n\r\n"
    )


def test_length_is_rendered_in_its_usual_digits() -> None:
    head = parse(b"POST / HTTP/1.1\r\nHost: x\r\nCONTENT-Length: 0012\r\n\r\n")
    assert head.fields == ((b"CONTENT-Length", b"12"),)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("body", [3, Framing.CHUNKED])
def test_body_that_nobody_expects_is_the_connections_last(method: str, body: int | Framing) -> None:
    """A server that doesn't read it would take it for the next request."""
    close = b"\r\nConnection: close\r\n"
    fields = ((b"Content-Length", b"3"),) if body == 3 else ()
    head = RequestHead(method, None, None, "/", None, fields, body, True)
    assert close in UpstreamSide().render_head(head, "x")
    assert close not in UpstreamSide().render_head(request(method), "x")
    post = RequestHead("POST", None, None, "/", None, fields, body, True)
    assert close not in UpstreamSide().render_head(post, "x")


@pytest.mark.parametrize("body", [3, Framing.CHUNKED])
@pytest.mark.parametrize("name", [b"Expect", b"expect"])
def test_body_whose_server_is_asked_first_is_the_connections_last(name: bytes, body: int | Framing) -> None:
    close = b"\r\nConnection: close\r\n"
    fields = (*(((b"Content-Length", b"3"),) if body == 3 else ()), (name, b"100-continue"))
    side = UpstreamSide()
    assert close in side.render_head(RequestHead("POST", None, None, "/", None, fields, body, True), "x")
    assert side.last
    bare = RequestHead("POST", None, None, "/", None, ((name, b"100-continue"),), 0, True)
    assert close not in UpstreamSide().render_head(bare, "x")


def test_chunked_body_is_rendered_anew() -> None:
    agent, upstream = AgentSide(), UpstreamSide()
    agent.feed(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    head = agent.head()
    assert head is not None
    assert agent.body() is None
    assert upstream.render_head(head, "x").endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    agent.feed(b"3;x=y\r\nabc\r\n0\r\nX-Sum: 1\r\nHost: y\r\n\r\nrest")
    data = agent.body()
    assert data == b"abc"
    assert upstream.render_piece(b"abc") == b"3\r\nabc\r\n"
    end = agent.body()
    assert end == Trailers(((b"X-Sum", b"1"),))
    assert isinstance(end, Trailers)
    assert upstream.render_end(end) == b"0\r\nX-Sum: 1\r\n\r\n"
    assert agent.leftover() == b"rest"


@pytest.mark.parametrize(
    "raw", [b"x\r\n", b"3\r\nabcd\r\n", b"-1\r\n", b"3 \r\nabcX", b"99999999999999999999999\r\n"]
)
def test_bad_chunks_are_refused(raw: bytes) -> None:
    side = AgentSide()
    side.feed(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + raw)
    side.head()
    with pytest.raises(BadMessage):
        collections.deque(iter(side.body, None))


@pytest.mark.parametrize(
    ("trailers", "status"),
    [(b"X: y\r\n" * 11, 431), (b"X: " + b"y" * 200 + b"\r\n", 431), (b"X: a\x01b\r\n", 400)],
)
def test_trailers_are_bounded_like_a_head(trailers: bytes, status: int) -> None:
    side = AgentSide(head_bytes=100, header_count=10)
    side.feed(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + trailers + b"\r\n")
    side.head()
    with pytest.raises(BadMessage) as caught:
        side.body()
    assert caught.value.status == status


def test_chunks_that_end_too_soon_are_refused() -> None:
    side = AgentSide()
    side.feed(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab")
    side.head()
    assert side.body() == b"ab"
    side.feed(b"")
    with pytest.raises(BadMessage, match="ended inside a message"):
        side.body()


# answers


@pytest.mark.parametrize(
    ("raw", "method", "body", "persists"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", 5, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", Framing.CHUNKED, True),
        (b"HTTP/1.1 200 OK\r\n\r\n", "GET", Framing.UNTIL_CLOSE, False),
        (b"HTTP/1.1 200 OK\r\nTrailer: X\r\nHost: x\r\n\r\n", "GET", Framing.UNTIL_CLOSE, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", 5, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", "GET", 5, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", 0, True),
        (b"HTTP/1.1 204 No\r\n\r\n", "GET", 0, True),
        (b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", "GET", 0, True),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "GET", 0, True),
    ],
)
def test_framing_of_an_answer(raw: bytes, method: str, body: int | Framing, persists: bool) -> None:
    head = parse_answer(raw, method)
    assert (head.body, head.persists) == (body, persists)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ],
)
def test_answer_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_answer(raw)


def test_answer_that_never_comes_is_refused() -> None:
    side = UpstreamSide()
    side.render_head(request(), "x")
    assert side.head() is None
    side.feed(b"")
    with pytest.raises(BadMessage, match="ended inside a message"):
        side.head()


def test_answer_keeps_its_phrase_and_spelling() -> None:
    side = AgentSide()
    side.feed(GET)
    side.head()
    head = parse_answer(b"HTTP/1.1 299 Quite So\r\nx-CaSe: 1\r\nContent-Length: 0\r\nKeep-Alive: x\r\n\r\n")
    assert side.render_head(head) == b"HTTP/1.1 299 Quite So\r\nx-CaSe: 1\r\nContent-Length: 0\r\n\r\n"


def test_answer_may_say_that_it_is_the_last() -> None:
    side = AgentSide()
    side.feed(GET)
    side.head()
    head = parse_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert side.render_head(head, close=True).endswith(b"Connection: close\r\n\r\n")


def test_interim_answers_are_not_for_http_1_0() -> None:
    hints = parse_answer(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n")
    for raw, told in ((GET, b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"), (b"GET / HTTP/1.0\r\n\r\n", b"")):
        side = AgentSide()
        side.feed(raw)
        side.head()
        assert side.render_head(hints) == told


def test_http_1_0_gets_a_bare_body_without_trailers() -> None:
    side = AgentSide()
    side.feed(b"GET / HTTP/1.0\r\n\r\n")
    side.head()
    head = parse_answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert side.render_head(head) == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    assert side.render_piece(b"abc") == b"abc"
    assert side.render_end(Trailers(((b"X", b"y"),))) == b""


def test_trailers_have_no_place_after_a_body_of_known_length() -> None:
    """HTTP/2 may have them there (RFC 9113 8.1)."""
    side = AgentSide()
    side.feed(GET)
    side.head()
    side.render_head(parse_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"))
    assert side.render_piece(b"ok") == b"ok"
    assert side.render_end(Trailers(((b"X", b"y"),))) == b""


# authorities


@pytest.mark.parametrize(
    ("raw", "host", "port"),
    [
        ("a.example", "a.example", None),
        ("a.example:", "a.example", None),
        ("a.example:80", "a.example", 80),
        ("[::1]", "[::1]", None),
        ("[::1]:8080", "[::1]", 8080),
        ("a:65535", "a", 65535),
        ("[::1", "[::1", None),
    ],
)
def test_authority_is_split(raw: str, host: str, port: int | None) -> None:
    assert split_authority(raw) == (host, port)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        ":80",
        "a@b",
        "a:b",
        "a:0",
        "a:65536",
        "a:-1",
        "a:+1",
        "a: 1",
        "a:1:2",
        "::1",
        "[::1]x",
        "[::1]x:80",
        "a:１",
        "a:000080",
        "a:080",
    ],
)
def test_authority_that_is_none_is_refused(raw: str) -> None:
    with pytest.raises(BadMessage):
        split_authority(raw)
