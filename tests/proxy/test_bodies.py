"""Requests that are judged by what their bodies ask for, over real sockets: what goes on, byte for byte, and what is
denied."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from tests.proxy.conftest import receive_all, receive_until
from tests.proxy.http2_peers import Talk, serve_http2
from tests.proxy.test_http2 import H2, open_agent, request

from trio_egress.proxy.bodies import Bodies
from trio_egress.wire.calls import BODY_BYTES

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams, World

HOST = "api.example"
OK = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"
"""Of no type: what only says that it was taken is no message of MCP."""

MCP = f'[[egress]]\ndestination = "{HOST}"\nmcp = {{ tools = ["search_*"] }}\n'
GRAPHQL = f'[[egress]]\ndestination = "{HOST}"\ngraphql = {{ queries = ["viewer"] }}\n'
PLAIN = f'[[egress]]\ndestination = "{HOST}"\n'
DENYING = f'{PLAIN}{PLAIN}deny = true\nmcp = {{ tools = ["delete_*"] }}\n'


@asynccontextmanager
async def reading(
    open_world: OpenWorld, port: int, rules: str = MCP, **limits: object
) -> AsyncIterator[World]:
    async with open_world(rules, {HOST: port}, **limits) as world:
        world.gate = attrs.evolve(world.gate, bodies=Bodies())
        yield world


def call(tool: str = "search_web", identity: object = 1) -> bytes:
    message = {"jsonrpc": "2.0", "id": identity, "method": "tools/call", "params": {"name": tool}}
    return json.dumps(message).encode()


def post(body: bytes, *fields: str, path: str = "/", kind: str = "application/json") -> bytes:
    head = [
        f"POST {path} HTTP/1.1",
        f"Host: {HOST}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *fields,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def chunked(*pieces: bytes) -> bytes:
    head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head.encode() + chunks + b"0\r\n\r\n"


async def ask(world: World, *raw: bytes) -> bytes:
    agent = await world.agent(HOST, 80)
    for piece in raw:
        await agent.send_all(piece)
        await trio.lowlevel.checkpoint()
    await agent.send_eof()
    answer = await receive_all(agent)
    await agent.aclose()
    return answer


class Listener:
    """An upstream that keeps what it is sent, and says ok."""

    def __init__(self) -> None:
        self.heard = b""

    async def serve(self, stream: trio.SocketStream) -> None:
        head = await receive_until(stream, b"\r\n\r\n")
        head, _, body = head.partition(b"\r\n\r\n")
        lower = head.lower()
        if b"chunked" in lower:
            while not body.endswith(b"0\r\n\r\n"):
                body += await stream.receive_some()
        else:
            size = int(lower.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            while len(body) < size:
                body += await stream.receive_some()
        self.heard = body
        await stream.send_all(OK)


def dechunk(raw: bytes) -> bytes:
    body = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        body, raw = body + raw[: int(size, 16)], raw[int(size, 16) + 2 :]
    return body


async def test_an_allowed_call_goes_on_byte_for_byte(open_world: OpenWorld, upstreams: Upstreams) -> None:
    upstream = Listener()
    port = await upstreams.serve(upstream.serve)
    body = b' {"params" : {"name":"se\\u0061rch_web"},\n"jsonrpc":"2.0","id":1,"method":"tools/call"}'
    async with reading(open_world, port) as world:
        assert (await ask(world, post(body))).endswith(b"ok")
    assert upstream.heard == body
    intent = world.receipts()[0]
    assert intent.facts["calls"] == [{"kind": "jsonrpc", "method": "tools/call", "name": "search_web"}]


async def test_a_call_that_no_rule_allows_is_denied_in_the_words_of_json_rpc(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(Listener().serve)
    async with reading(open_world, port) as world:
        answer = await ask(world, post(call("delete_all", "seven")))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Type: application/json\r\n" in head
    told = json.loads(body)
    assert (told["jsonrpc"], told["id"]) == ("2.0", "seven")
    assert "doesn't allow tools/call delete_all" in told["error"]["message"]
    assert told["error"]["data"]["rule"] == f"egress[0] {HOST}"
    assert upstreams.accepted == 0
    block = world.block()
    assert block.layer == "operation"
    assert block.facts["calls"] == [{"kind": "jsonrpc", "method": "tools/call", "name": "delete_all"}]


@pytest.mark.parametrize("size", [1, 2, 7, 30])
async def test_a_call_is_found_however_its_body_is_cut(
    open_world: OpenWorld, upstreams: Upstreams, size: int
) -> None:
    upstream = Listener()
    port = await upstreams.serve(upstream.serve)
    body = call()
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    async with reading(open_world, port) as world:
        raw = chunked(*pieces)
        assert b"ok" in await ask(world, *(raw[at : at + 50] for at in range(0, len(raw), 50)))
        denied = chunked(
            *[(call("delete_all"))[at : at + size] for at in range(0, len(call("delete_all")), size)]
        )
        assert b"doesn't allow tools/call delete_all" in await ask(world, denied)
    assert dechunk(upstream.heard) == body
    assert upstreams.accepted == 1


ATTACKS = {
    "a second method": (
        b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"delete"}}',
        (),
    ),
    "a second method, escaped": (
        b'{"jsonrpc":"2.0","id":1,"method":"ping","m\\u0065thod":"tools/call","params":{"name":"delete"}}',
        (),
    ),
    "another case": (
        b'{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"delete"}}',
        (),
    ),
    "a second name": (call()[:-2] + b',"name":"delete"}}', ()),
    "a name in another case": (call()[:-2] + b',"NAME":"delete"}}', ()),
    "the method in another case": (call("delete").replace(b"tools/call", b"Tools/Call"), ()),
    "a batch": (b"[" + call() + b"," + call("delete", 2) + b"]", ()),
    "too deep": (call()[:-2] + b',"arguments":' + b'{"a":' * 100 + b"1" + b"}" * 102, ()),
    "not a number": (call()[:-2] + b',"arguments":{"a":NaN}}}', ()),
    "a byte order mark": (b"\xef\xbb\xbf" + call(), ()),
    "UTF-16": (call().decode().encode("utf-16-le"), ()),
    "a BOM of UTF-16": (call().decode().encode("utf-16"), ()),
    "half a surrogate": (call()[:-2] + b',"arguments":{"a":"\\ud800"}}}', ()),
    "no id": (call(identity=None), ()),
    "an id that is a fraction": (call(identity=1.5), ()),
    "a coding that is none": (call(), ("Content-Encoding: rot13",)),
    "a coding that it isn't": (call(), ("Content-Encoding: gzip",)),
    "a coding that hides": (gzip.compress(call("delete")), ("Content-Encoding: gzip",)),
    "two codings": (gzip.compress(call("delete")), ("Content-Encoding: identity", "Content-Encoding: gzip")),
    "a second text behind the first": (
        gzip.compress(call()) + gzip.compress(b"x"),
        ("Content-Encoding: gzip",),
    ),
    "a bomb": (gzip.compress(call() + b" " * (BODY_BYTES + 1)), ("Content-Encoding: gzip",)),
    "a charset": (call(), ("Content-Type: application/json; charset=utf-16",)),
}


@pytest.mark.parametrize(("body", "fields"), ATTACKS.values(), ids=ATTACKS)
async def test_what_could_hide_a_call_is_denied(
    open_world: OpenWorld, upstreams: Upstreams, body: bytes, fields: tuple[str, ...]
) -> None:
    port = await upstreams.serve(Listener().serve)
    async with reading(open_world, port) as world:
        answer = await ask(world, post(body, *fields))
    assert b" 403 " in answer[:16] or b" 4" in answer[:16] or b'"error"' in answer, answer
    assert upstreams.accepted == 0
    assert world.block().layer in ("malformed", "operation", "limit")


@pytest.mark.parametrize(("body", "fields"), ATTACKS.values(), ids=ATTACKS)
async def test_without_the_rule_each_of_them_would_reach_the_server(
    open_world: OpenWorld, upstreams: Upstreams, body: bytes, fields: tuple[str, ...]
) -> None:
    """The control: nothing but the reading stops them."""
    upstream = Listener()
    port = await upstreams.serve(upstream.serve)
    async with reading(open_world, port, PLAIN) as world:
        assert b"ok" in await ask(world, post(body, *fields))
    assert upstream.heard == body


async def test_a_compressed_call_is_read_and_goes_on_compressed(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    upstream = Listener()
    port = await upstreams.serve(upstream.serve)
    body = gzip.compress(call())
    async with reading(open_world, port) as world:
        assert b"ok" in await ask(world, post(body, "Content-Encoding: gzip"))
    assert upstream.heard == body


async def test_a_body_of_the_greatest_size_goes_on_and_a_longer_one_does_not(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    upstream = Listener()
    port = await upstreams.serve(upstream.serve)
    body = call() + b" " * (BODY_BYTES - len(call()))
    async with reading(open_world, port) as world:
        assert b"ok" in await ask(world, post(body))
        assert upstream.heard == body
        assert b" 413 " in await ask(world, post(body + b" "))
    assert upstreams.accepted == 1
    assert world.receipts()[-1].layer == "limit"


async def test_a_client_that_waits_for_leave_gets_it_and_the_upstream_hears_nothing_of_that(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    heads: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        raw = await receive_until(stream, b"}}")
        heads.append(raw.partition(b"\r\n\r\n")[0])
        await stream.send_all(OK)

    port = await upstreams.serve(serve)
    async with reading(open_world, port) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(post(b" " * len(call()), "Expect: 100-continue")[: -len(call())])
        assert (await receive_until(agent, b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        await agent.send_all(call())
        assert (await receive_all(agent)).endswith(b"ok")
        await agent.aclose()
    assert b"expect" not in heads[0].lower()


async def test_a_client_that_goes_away_in_its_body_is_on_record(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(Listener().serve)
    async with reading(open_world, port) as world:
        await ask(world, post(call())[:-1])
    assert upstreams.accepted == 0
    assert world.block().layer == "malformed"


async def test_a_body_that_never_ends_is_not_waited_for(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(Listener().serve)
    async with reading(open_world, port, idle_seconds=0.05) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(post(call())[:-1])
        with suppress(trio.BrokenResourceError):
            await receive_all(agent)
        await agent.aclose()
    assert "nothing more of a body came" in world.block().facts["reason"]


async def test_what_is_denied_is_found_in_what_a_plain_rule_allows(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    upstream = Listener()
    port = await upstreams.serve(upstream.serve)
    async with reading(open_world, port, DENYING) as world:
        assert b"ok" in await ask(world, post(call("search")))
        assert b"ok" in await ask(world, post(b'{"any": "json"}'))
        assert b'"error"' in await ask(world, post(call("delete_all")))
        assert b" 400 " in await ask(world, post(call("delete_all")[:-1]))
    layers = [receipt.layer for receipt in world.receipts() if receipt.verdict == "block"]
    assert layers == ["deny_rule", "malformed"]


@pytest.mark.parametrize(
    ("raw", "allowed"),
    [
        (post(b'{"query":"{viewer{login}}"}'), True),
        (post(b'{"query":"{viewer:deleteAll}"}'), False),
        (post(b'{"query":"{...F} fragment F on Query {deleteAll}"}'), False),
        (post(b'[{"query":"{viewer}"},{"query":"mutation {drop}"}]'), False),
        (post(b'{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"00"}}}'), False),
        (post(b'{"query":"{viewer}"}', path="/?query=%7Bdrop%7D"), False),
        (post(b"query=%7Bviewer%7D", kind="application/x-www-form-urlencoded"), False),
        (f"GET /?query=%7Bviewer%7D HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode(), True),
        (f"GET /?query=%7Bdrop%7D HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode(), False),
        (f"GET /?id=7 HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode(), False),
    ],
)
async def test_graphql_is_judged_by_its_root_fields(
    open_world: OpenWorld, upstreams: Upstreams, raw: bytes, allowed: bool
) -> None:
    port = await upstreams.serve(Listener().serve)
    async with reading(open_world, port, GRAPHQL) as world:
        assert (b" 202 Accepted" in await ask(world, raw)) is allowed
    assert upstreams.accepted == allowed


async def test_calls_over_http2_are_judged_each(open_world: OpenWorld, upstreams: Upstreams) -> None:
    heard: list[bytes] = []

    async def serve(talk: Talk, number: int) -> None:
        heard.append((await talk.wait(number)).body)
        await talk.answer(number, [(":status", "202")], b"ok")

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with reading(open_world, port) as world, open_agent(world) as talk:
        asking = request("/", "POST", content_type="application/json")
        cut = talk.h2.get_next_available_stream_id()
        talk.h2.send_headers(cut, asking)
        for at in range(0, len(call()), 9):
            await talk.send(cut, call()[at : at + 9], end=at + 9 >= len(call()))
        assert (await talk.wait(cut)).body == b"ok"
        denied = await talk.wait(await talk.ask(asking, call("delete_all")))
        assert "doesn't allow tools/call delete_all" in json.loads(denied.body)["error"]["message"]
    assert heard == [call()]
