"""What a request asks for, by its body or its query: what is read, and what could be read in two ways."""

from __future__ import annotations

import json

import pytest

from trio_egress.model import Call, CallKind
from trio_egress.wire.calls import NOTHING_ASKED, SOMETHING_ELSE, read_asked
from trio_egress.wire.graphql import BATCH_ITEMS
from trio_egress.wire.message import BadMessage, Fields

JSON: Fields = ((b"Content-Type", b"application/json"),)
PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
PINGS = Call(CallKind.JSONRPC, "ping")


def graphql(*fields: str, kind: str = "query") -> Call:
    return Call(CallKind.GRAPHQL, kind, None, fields)


READ = {
    (PING, ""): (PINGS,),
    (b"[" + PING + b',{"jsonrpc":"2.0","method":"b"}]', ""): (PINGS, Call(CallKind.JSONRPC, "b")),
    (b'{"jsonrpc":"2.0","id":1,"result":{}}', ""): (Call(CallKind.JSONRPC),),
    (b'{"query":"{a}"}', ""): (graphql("a"),),
    (b'[{"query":"{a}"},{"query":"mutation {b}"}]', ""): (graphql("a"), graphql("b", kind="mutation")),
    (PING, "sessionId=7"): (PINGS,),
    (b'{"query":"{a}"}', "id=7"): (graphql("a"),),
    (b"", "query=%7Ba%7D"): (graphql("a"),),
    (b"", "query={a+b}&variables=%7B%7D&extra=1"): (graphql("a", "b"),),
    (b"", ""): (),
    (b"", "sessionId=7&id=8"): (),
    (b"", "method=tools/call"): SOMETHING_ELSE.calls,
    (b"", "JSONRPC=2.0"): SOMETHING_ELSE.calls,
    (b'{"name": "x"}', ""): SOMETHING_ELSE.calls,
    (b'["x"]', ""): SOMETHING_ELSE.calls,
    (b"1", ""): SOMETHING_ELSE.calls,
}

REFUSED = {
    (PING[:-1], ""): 400,
    (b'{"method":"tools/call","params":[]}', ""): 400,
    (b'{"Method":"tools/call"}', ""): 400,
    (b'{"jsonrpc":"2.0","id":1,"method":"a","query":"{b}"}', ""): 400,
    (b'[{"query":"{a}"},' + PING + b"]", ""): 400,
    (b'{"query":"{a}","QUERY":"{b}"}', ""): 400,
    (b"[" + b",".join([b'{"query":"{a}"}'] * (BATCH_ITEMS + 1)) + b"]", ""): 400,
    (b'{"query":"{a}"}', "query={b}"): 400,
    (b'{"query":"{a}"}', "Q%75ery={b}"): 400,
    (b'{"query":"{a}"}', "extensions={}"): 400,
    (PING, "method=tools/call"): 400,
    (b"", "query={a}&query={b}"): 400,
    (b"", "query={a};query={b}"): 400,
    (b"", "query={a}&QUERY={b}"): 400,
    (b"", "query=%FF"): 400,
    (b"", "Query={a}"): 400,
    (b"", "documentId=7"): 400,
    (b"", "extensions=%7B%22persistedQuery%22%3A%7B%7D%7D"): 400,
    (b"", "query={a}&variables=%7B"): 400,
    (b"", "query={a}&operationName=B"): 400,
}


@pytest.mark.parametrize(("asked", "calls"), READ.items(), ids=repr)
def test_what_is_asked_is_read(asked: tuple[bytes, str], calls: tuple[Call, ...]) -> None:
    assert read_asked(JSON, asked[1], asked[0]).calls == calls


@pytest.mark.parametrize(("asked", "status"), REFUSED.items(), ids=repr)
def test_what_can_be_read_in_two_ways_is_refused(asked: tuple[bytes, str], status: int) -> None:
    with pytest.raises(BadMessage) as caught:
        read_asked(JSON, asked[1], asked[0])
    assert caught.value.status == status


@pytest.mark.parametrize(
    "kind",
    [
        b"application/json",
        b"Application/JSON; charset=UTF-8",
        b'application/json;charset="utf-8"',
        b"application/json-rpc",
        b"application/graphql+json",
    ],
)
def test_json_is_of_these_types(kind: bytes) -> None:
    assert read_asked(((b"content-TYPE", kind),), "", PING).calls == (PINGS,)


@pytest.mark.parametrize(
    "kinds",
    [
        (),
        (b"",),
        (b"text/plain",),
        (b"application/graphql",),
        (b"application/x-www-form-urlencoded",),
        (b"multipart/form-data; boundary=x",),
        (b"application/json", b"application/json"),
        (b"application/json; charset=utf-16",),
        (b"application/json; charset=utf-8; charset=utf-7",),
        (b"application/json, text/plain",),
    ],
)
def test_a_body_of_another_type_is_refused(kinds: tuple[bytes, ...]) -> None:
    with pytest.raises(BadMessage) as caught:
        read_asked(tuple((b"Content-Type", kind) for kind in kinds), "", PING)
    assert caught.value.status == 415


def test_messages_come_with_their_calls() -> None:
    (message,) = read_asked(JSON, "", PING).messages
    assert message.id == 1
    assert read_asked(JSON, "", b"").messages == NOTHING_ASKED.messages == ()


def test_graphql_is_something_else_where_nobody_asks_for_it() -> None:
    for raw, query in ((b'{"query":"{"}', ""), (b'{"id":1,"query":"free text"}', ""), (b"", "query=free")):
        found = read_asked(JSON, query, raw, graphql=False)
        assert found == (SOMETHING_ELSE if raw else NOTHING_ASKED)


def test_arguments_come_with_a_call() -> None:
    raw = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a", "arguments": {"b": "c"}}}
    ).encode()
    (call,) = read_asked(JSON, "", raw).calls
    assert call.arguments == (("b", "c"),)
