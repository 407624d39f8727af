"""What answers of servers of MCP are read as: never anything else than some client reads them as."""

from __future__ import annotations

import pytest

from trio_egress.wire.jsonrpc import Kind
from trio_egress.wire.mcp_answer import Reading, find_reading, read_failure, read_type
from trio_egress.wire.message import BadMessage, Fields, Framing, ResponseHead


def answer(*kinds: bytes, status: int = 200, coding: bytes = b"") -> ResponseHead:
    fields: Fields = tuple((b"Content-TYPE", kind) for kind in kinds)
    coded: Fields = ((b"Content-Encoding", coding),) if coding else ()
    return ResponseHead(status, b"", fields + coded, Framing.CHUNKED, persists=True)


@pytest.mark.parametrize(
    "more",
    [
        b"",
        b";",
        b"; charset=utf-8",
        b' ; CHARSET="UTF-8"',
        b";charset=utf8 ;x=1",
        b'; profile="a;b"',
        b"; charset=utf-8;",
    ],
)
@pytest.mark.parametrize("status", [200, 202, 206, 299])
def test_a_type_may_have_parameters_and_any_case(more: bytes, status: int) -> None:
    assert find_reading(answer(b"application/json" + more, status=status)) is Reading.MESSAGE
    assert find_reading(answer(b"Application/JSON" + more, status=status)) is Reading.MESSAGE
    assert find_reading(answer(b"text/event-stream" + more, status=status)) is Reading.EVENTS
    assert find_reading(answer(b"Text/Event-Stream" + more, status=status)) is Reading.EVENTS


MALFORMED = {
    "two in one": [b"application/json, text/plain"],
    "two fields": [b"application/json", b"text/plain"],
    "the same twice": [b"application/json", b"application/json"],
    "a list in a parameter": [b"text/plain; a=b, application/json"],
    "half a parameter": [b"application/json; x"],
    "no type": [b"json"],
    "an empty one": [b""],
    "words after it": [b"application/json text"],
    "an open quotation": [b'application/json; x="'],
    "an escape": [b'application/json; x="\\""'],
    "another charset": [b"text/event-stream; charset=utf-7"],
    "another charset, quoted": [b'application/json; charset="utf-16"'],
    "a second charset": [b"text/event-stream; charset=utf-8; charset=cp037"],
    "a charset by RFC 2231": [b"text/event-stream; charset*=utf-8''utf-7"],
    "a charset in parts": [b"text/event-stream; charset*0=utf-7"],
}


@pytest.mark.parametrize("kinds", MALFORMED.values(), ids=MALFORMED)
def test_what_readers_read_differently_is_refused(kinds: list[bytes]) -> None:
    with pytest.raises(BadMessage):
        find_reading(answer(*kinds))


@pytest.mark.parametrize("kind", [b"application/json", b"text/event-stream"])
def test_a_coding_that_nobody_asked_for_is_refused(kind: bytes) -> None:
    with pytest.raises(BadMessage, match="coded"):
        find_reading(answer(kind, coding=b"gzip"))


@pytest.mark.parametrize(
    "kind", [b"application/jsonx", b"application/problem+json", b"text/event-streams", b"text/html"]
)
def test_a_success_of_another_type_has_no_body(kind: bytes) -> None:
    assert find_reading(answer(kind)) is Reading.NOTHING
    assert find_reading(answer()) is Reading.NOTHING


def test_what_was_taken_may_be_told_in_words() -> None:
    assert find_reading(answer(status=202)) is Reading.WORDS
    assert find_reading(answer(b"text/plain", status=202)) is Reading.WORDS
    assert find_reading(answer(status=202, coding=b"gzip")) is Reading.NOTHING


@pytest.mark.parametrize("status", [300, 307, 400, 404, 500, 599, 600, 999])
def test_errors_are_read_where_some_client_does(status: int) -> None:
    assert find_reading(answer(status=status)) is Reading.UNREAD
    assert find_reading(answer(b"text/plain", status=status, coding=b"gzip")) is Reading.UNREAD
    for kinds in ([b"Application/JSON"], [b"application/jsonx"], [b"text/html", b"application/json"]):
        assert find_reading(answer(*kinds, status=status)) is Reading.FAILURE
        assert find_reading(answer(*kinds, status=status, coding=b"br")) is Reading.NOTHING
    assert find_reading(answer(b"text/event-stream;x", status=status)) is Reading.WORDS


@pytest.mark.parametrize(
    "raw", [b"", b"Unauthorized", b'"no"', b'{"error":"invalid_token"}', b'{"detail":[{"msg":"x"}]}']
)
def test_what_is_no_message_is_none(raw: bytes) -> None:
    assert read_failure(raw) is None


def test_a_message_is_one() -> None:
    message = read_failure(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}')
    assert message is not None
    assert message.kind is Kind.ERROR


@pytest.mark.parametrize(
    "raw",
    [
        b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""},"method":"x"}',
        b'{"JsonRpc":"2.0","id":1,"method":"x"}',
        b'{"\\u006asonrpc":"1.0","id":1,"method":"x"}',
        b'[{"jsonrpc":"2.0","id":1,"method":"x"}]',
        b'{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}',
        b'\xef\xbb\xbf{"detail":"x"}',
        b'{"detail":',
    ],
)
def test_what_might_be_one_is_refused(raw: bytes) -> None:
    with pytest.raises(BadMessage):
        read_failure(raw)


def test_a_type_that_is_made_to_be_read_for_ever_is_malformed() -> None:
    """Spaces that could belong to either of two parameters were tried in each way: 9**7 of them took a second."""
    value = b"a/b" + (b";" + b" " * 40) * 100 + b"!"
    with pytest.raises(BadMessage, match="malformed"):
        read_type(((b"Content-Type", value),))


@pytest.mark.parametrize(
    ("kind", "reading"),
    [
        (b"text/event-stream; charset=utf-7", Reading.NOTHING),
        (b"application/json; charset=cp037", Reading.NOTHING),
        (b"application/json; x=1; CHARSET*='utf-16", Reading.NOTHING),
        (b'application/problem+json; charset="UTF-8"', Reading.FAILURE),
        (b"text/event-stream;charset=utf8", Reading.WORDS),
        (b"text/html; charset=iso-8859-1", Reading.UNREAD),
    ],
)
@pytest.mark.parametrize("status", [302, 400, 503])
def test_what_is_no_success_is_read_in_utf_8_alone(kind: bytes, reading: Reading, status: int) -> None:
    assert find_reading(answer(kind, status=status)) is reading
