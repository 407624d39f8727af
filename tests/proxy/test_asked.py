"""A WebSocket asked for at the explicit proxy's endpoint: judged, recorded, carried as if its client had gone there."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest
import trio
from tests.proxy.conftest import receive_all, receive_exactly, receive_until
from tests.proxy.test_websocket import answer, close, echo, frame, opening, said

from trio_egress.wire.websocket import Opcode

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams, World

HOST = "ws.example"
RULE = f"""[[egress]]
destination = "{HOST}"
paths = ["/chat"]
websocket = {{ proxy_path = "/ws?url=" }}
"""
HEARD = [(Opcode.TEXT, b"hello"), (Opcode.CLOSE, b"\x03\xe8")]


def ask_at(target: str, fields: str = "") -> bytes:
    whole = opening(fields).replace(HOST.encode(), b"127.0.0.1:8888", 1)
    return whole.replace(b"/chat", target.encode("latin-1"), 1)


async def ask(world: World, target: str, fields: str = "") -> trio.SocketStream:
    client = await world.client()
    await client.send_all(ask_at(target, fields))
    return client


async def ask_whole(world: World, raw: bytes) -> bytes:
    client = await world.client()
    await client.send_all(raw)
    found = await receive_all(client)
    await client.aclose()
    return found


def problem(raw: bytes) -> tuple[int, str]:
    head, _, body = raw.partition(b"\r\n\r\n")
    told = json.loads(body)
    return int(head.split()[1]), str(told.get("layer", told.get("origin")))


@pytest.mark.parametrize(
    "target", ["/ws?url=wss://ws.example/chat?a=b", "/ws?url=wss%3A%2F%2FWS.example%3A443%2Fchat%3Fa%3Db"]
)
async def test_a_client_without_tls_has_a_websocket_inside_tls(
    open_world: OpenWorld, upstreams: Upstreams, target: str
) -> None:
    heard: list[bytes] = []

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        head = await receive_until(stream, b"\r\n\r\n")
        heard.append(head)
        await stream.send_all(answer())
        await stream.send_all(frame(Opcode.TEXT, b"hello", masked=False))
        heard.append((await receive_exactly(stream, 2 + 4 + 2 + 2 + 4 + 2))[:2])
        await stream.send_all(close(masked=False))
        await stream.aclose()

    port = await upstreams.serve_tls(HOST, serve)
    async with open_world(RULE, {HOST: port}) as world:
        client = await ask(world, target, "Origin: http://page.example\r\n")
        head, _, early = (await receive_until(client, b"\r\n\r\n")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        await client.send_all(frame(Opcode.TEXT, b"hi") + close())
        assert said(early + await receive_all(client)) == HEARD
        await client.aclose()
    request, first = heard
    assert request.lower().startswith(b"get /chat?a=b http/1.1\r\nhost: ws.example")
    assert b"Origin: http://page.example\r\n" in request
    assert b"127.0.0.1" not in request
    assert first == b"\x81\x82"
    outcome = world.outcome()
    assert outcome.said == ("allow", "outcome", f"https://{HOST}:443/chat")
    assert (outcome.facts["messages_up"], outcome.facts["messages_down"]) == (1, 1)


async def test_one_in_the_clear_is_asked_for_the_same_way(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(echo)
    async with open_world(RULE, {HOST: port}) as world:
        client = await ask(world, "/ws?url=ws://ws.example/chat")
        await receive_until(client, b"\r\n\r\n")
        await client.send_all(frame(Opcode.TEXT, b"hello") + close())
        assert said(await receive_all(client)) == HEARD
        await client.aclose()
    assert world.outcome().target == f"http://{HOST}:80/chat"


DENIED = {
    "another host": ("wss://other.example/chat", (403, "default_deny")),
    "another path": ("wss://ws.example/other", (403, "path")),
    "another port": ("wss://ws.example:8443/chat", (403, "default_deny")),
    "an address": ("wss://127.0.0.1/chat", (403, "default_deny")),
    "an address in other words": ("wss://0x7f.1/chat", (403, "default_deny")),
    "the machine": ("ws://localhost/chat", (403, "default_deny")),
    "metadata": ("ws://169.254.169.254/chat", (403, "default_deny")),
    "itself": ("ws://127.0.0.1:8888/ws?url=wss://ws.example/chat", (403, "default_deny")),
    "no address": ("", (400, "malformed")),
    "another scheme": ("https://ws.example/chat", (400, "malformed")),
    "userinfo": ("wss://u:p@ws.example/chat", (400, "malformed")),
    "a fragment": ("wss://ws.example/chat%23a", (400, "malformed")),
    "a second one": ("wss://ws.example/chat&url=wss://other.example/", (400, "malformed")),
    "a line of its own": ("wss://ws.example/chat%0d%0aA:%20b", (400, "malformed")),
    "no name": ("wss://ws..example/chat", (400, "malformed")),
    "an escape in the host": ("wss://ws%252eexample/chat", (400, "malformed")),
}


@pytest.mark.parametrize(("address", "expected"), DENIED.values(), ids=DENIED)
async def test_what_is_not_allowed_goes_nowhere(
    open_world: OpenWorld, upstreams: Upstreams, address: str, expected: tuple[int, str]
) -> None:
    port = await upstreams.serve(echo)
    async with open_world(RULE, {HOST: port}) as world:
        assert problem(await ask_whole(world, ask_at(f"/ws?url={address}"))) == expected
    assert upstreams.accepted == 0
    assert world.block().layer == expected[1]
    assert "u:p" not in json.dumps(dict(world.block().facts), default=str)


OTHERWISE = {
    "no upgrade": b"GET /ws?url=wss://ws.example/chat HTTP/1.1\r\nHost: a\r\n\r\n",
    "a body": ask_at("/ws?url=ws://ws.example/chat", "Content-Length: 1\r\n") + b"x",
    "HTTP/1.0": ask_at("/ws?url=ws://ws.example/chat").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "POST": ask_at("/ws?url=ws://ws.example/chat").replace(b"GET", b"POST"),
    "another parameter": ask_at("/ws?uri=wss://ws.example/chat"),
    "no parameter": ask_at("/ws"),
}


@pytest.mark.parametrize("raw", OTHERWISE.values(), ids=OTHERWISE)
async def test_an_endpoint_opens_websockets_and_nothing_else(
    open_world: OpenWorld, upstreams: Upstreams, raw: bytes
) -> None:
    port = await upstreams.serve(echo)
    async with open_world(RULE, {HOST: port}) as world:
        head = await ask_whole(world, raw)
        assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 ")), head
    assert upstreams.accepted == 0
    assert world.block().layer == "malformed"


async def test_there_is_no_endpoint_that_the_policy_does_not_name(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    """The control: the same rule without its endpoint."""
    port = await upstreams.serve(echo)
    rule = RULE.replace('proxy_path = "/ws?url="', "enabled = true")
    async with open_world(rule, {HOST: port}) as world:
        head = await ask_whole(world, ask_at("/ws?url=ws://ws.example/chat"))
    assert b"this is an HTTP proxy" in head
    assert upstreams.accepted == 0
    assert world.block().layer == "malformed"


async def test_a_redirect_is_the_clients_to_follow(open_world: OpenWorld, upstreams: Upstreams) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: wss://other.example/\r\nContent-Length: 0\r\n\r\n"

    async def serve(stream: trio.SocketStream) -> None:
        await receive_until(stream, b"\r\n\r\n")
        await stream.send_all(moved)

    port = await upstreams.serve(serve)
    async with open_world(RULE, {HOST: port}) as world:
        head = await ask_whole(world, ask_at("/ws?url=ws://ws.example/chat"))
    assert head.startswith(b"HTTP/1.1 302 Found\r\nLocation: wss://other.example/\r\n")
    assert upstreams.accepted == 1
    assert world.outcome().facts["status"] == 302


async def test_an_upstream_with_another_name_is_told_nothing(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    told: list[bytes] = []

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            told.append(bytes(await stream.receive_some()))

    port = await upstreams.serve_tls("other.example", serve)
    async with open_world(RULE, {HOST: port}) as world:
        assert problem(await ask_whole(world, ask_at("/ws?url=wss://ws.example/chat"))) == (
            403,
            "certificate",
        )
    assert told == []
    assert world.outcome().layer == "certificate"


async def test_what_follows_on_the_connection_is_no_request(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(echo)
    more = b"GET http://ws.example/chat HTTP/1.1\r\nHost: ws.example\r\n\r\n"
    async with open_world(RULE, {HOST: port}) as world:
        head = await ask_whole(world, ask_at("/ws?url=ws://ws.example/other") + more)
    assert head.count(b"HTTP/1.1") == 1
    assert len(world.receipts()) == 1
    assert upstreams.accepted == 0
