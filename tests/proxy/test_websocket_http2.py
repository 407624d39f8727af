"""WebSockets over HTTP/2 (RFC 8441), on either side or on both: judged, recorded and carried as in HTTP/1.1."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
import trio
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from tests.proxy.conftest import receive_exactly, receive_until
from tests.proxy.http2_peers import Headers, Secure, Talk, serve_http2
from tests.proxy.test_http2 import HOST, open_agent, open_stream, problem, request
from tests.proxy.test_websocket import answer, close, frame, said

from trio_egress.wire.websocket import Opcode, Part, Reader, Side, Writer
from trio_egress.wire.websocket_opening import compute_accept

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams, World

RULE = f'[[egress]]\ndestination = "{HOST}"\npaths = ["/v1/**"]\ntls = "intercept"\nwebsocket = {{ enabled = true }}\n'
H1, H2 = ["http/1.1"], ["h2"]
Handle = Callable[[Talk, int], Awaitable[None]]


def opening(path: str = "/v1/a", protocol: str = "websocket", **fields: str) -> Headers:
    head = request(path, "CONNECT", sec_websocket_version="13", **fields)
    return [*head[:1], (":protocol", protocol), *head[1:]]


async def open_websocket(talk: Talk, **fields: str) -> int:
    """Asked for, and opened."""
    number = talk.h2.get_next_available_stream_id()
    talk.h2.send_headers(number, opening(**fields))
    await talk.flush()
    await talk.until(lambda: bool(talk.messages[number].heads))
    return number


async def hear(talk: Talk, number: int, count: int) -> list[tuple[Opcode, bytes]]:
    """So many frames of a stream."""
    await talk.until(lambda: len(said(talk.messages[number].body)) >= count)
    return said(talk.messages[number].body)


async def echo_http1(stream: Secure) -> None:
    head = await receive_until(stream, b"\r\n\r\n")
    found = re.search(rb"(?i)sec-websocket-key: (\S+)", head)
    assert found is not None
    assert head.startswith(b"GET /v1/")
    chosen = "Sec-WebSocket-Protocol: chat\r\n" if b"chat" in head else ""
    await stream.send_all(answer(chosen, compute_accept(found[1])))
    reader, writer = Reader(Side.CLIENT), Writer()
    with contextlib.suppress(trio.BrokenResourceError):
        while raw := await stream.receive_some(65536):
            for event in reader.feed(bytes(raw)):
                if isinstance(event, Part):
                    await stream.send_all(writer.render(event))
                    if event.frame.opcode is Opcode.CLOSE:
                        return


def offering(handle: Handle, offers: int = 1) -> Callable[[Secure], Awaitable[None]]:
    """A server of HTTP/2 that opens WebSockets, or says that it doesn't."""

    return serve_http2(handle, {SettingCodes.ENABLE_CONNECT_PROTOCOL: offers})


async def echo_http2(talk: Talk, number: int) -> None:
    message = talk.messages[number]
    if message.heads[0][":method"] != "CONNECT":
        await talk.answer(number, [(":status", "204")])
        return
    assert message.heads[0][":protocol"] == "websocket"
    assert "sec-websocket-key" not in message.heads[0]
    talk.h2.send_headers(number, [(":status", "200")])
    await talk.flush()
    reader, writer, at = Reader(Side.CLIENT), Writer(), 0
    while True:
        while len(message.body) == at:
            if message.ended or message.reset is not None or talk.over:
                return
            await talk.wait_moved()
        raw, at = message.body[at:], len(message.body)
        for event in reader.feed(bytes(raw)):
            if isinstance(event, Part):
                await talk.send(number, writer.render(event), end=event.frame.opcode is Opcode.CLOSE)


def outcomes(world: World) -> list[tuple[str, str, object]]:
    return [
        (r.verdict, r.target, r.facts.get("status"))
        for r in world.receipts()
        if r.phase == "outcome" and r.facts.get("websocket")
    ]


OPENED = [("allow", f"https://{HOST}:443/v1/a", 101)]
HEARD = [(Opcode.TEXT, b"hello"), (Opcode.CLOSE, b"\x03\xe8")]


@pytest.mark.parametrize(
    ("handle", "protocols"), [(echo_http1, H1), (offering(echo_http2), H2)], ids=["HTTP/1.1", "HTTP/2"]
)
async def test_an_agent_of_http_2_has_a_websocket_whatever_its_upstream_speaks(
    open_world: OpenWorld,
    upstreams: Upstreams,
    handle: Callable[[Secure], Awaitable[None]],
    protocols: list[str],
) -> None:
    port = await upstreams.serve_tls(HOST, handle, protocols)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        number = await open_websocket(talk)
        assert talk.h2.remote_settings.enable_connect_protocol == 1
        assert talk.messages[number].heads == [{":status": "200"}]
        await talk.send(number, frame(Opcode.TEXT, b"hello") + close())
        assert await hear(talk, number, 2) == HEARD
        assert (await talk.wait(number)).ended or talk.messages[number].reset == ErrorCodes.NO_ERROR
    assert outcomes(world) == OPENED
    facts = next(r.facts for r in world.receipts() if "messages_up" in r.facts)
    assert (facts["messages_up"], facts["messages_down"], facts["close_up"]) == (1, 1, 1000)


async def test_an_agent_of_http_1_has_one_of_an_upstream_that_speaks_http_2_alone(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve_tls(HOST, offering(echo_http2), H2)
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_stream(world, "http/1.1")
        key = b"c2l4dGVlbiBieXRlcy4uLg=="
        await stream.send_all(
            b"GET /v1/a HTTP/1.1\r\nHost: api.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n"
        )
        head = await receive_until(stream, b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert compute_accept(key) in head
        await stream.send_all(frame(Opcode.TEXT, b"hello") + close())
        assert said(await receive_exactly(stream, 2 + 5 + 2 + 2)) == HEARD
        await stream.aclose()
    assert outcomes(world) == OPENED


async def test_nothing_is_asked_of_an_upstream_that_opens_none(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve_tls(HOST, offering(echo_http2, 0), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        first = await talk.wait(await talk.ask(request("/v1/b")))
        number = await open_websocket(talk)
        message = await talk.wait(number)
    assert first.status == 204
    assert problem(message) == (502, "upstream")
    assert b"RFC 8441" in message.body


async def test_other_requests_go_on_beside_it(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve_tls(HOST, offering(echo_http2), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        await talk.wait(await talk.ask(request("/v1/b")))
        number = await open_websocket(talk)
        assert (await talk.wait(await talk.ask(request("/v1/b")))).status == 204
        await talk.send(number, frame(Opcode.TEXT, b"hello") + close())
        assert await hear(talk, number, 2) == HEARD
    assert upstreams.accepted == 1
    assert outcomes(world) == OPENED


async def test_a_message_larger_than_every_window_comes_through(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve_tls(HOST, offering(echo_http2), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        number = await open_websocket(talk)
        large = bytes(range(256)) * 4096
        await talk.send(number, frame(Opcode.BINARY, large) + close())
        await talk.wait(number)
        parts = said(talk.messages[number].body)
        assert b"".join(data for opcode, data in parts if opcode is Opcode.BINARY) == large
    assert outcomes(world) == OPENED


async def test_a_subprotocol_is_chosen_end_to_end(open_world: OpenWorld, upstreams: Upstreams) -> None:
    rule = RULE.replace("enabled = true", 'subprotocols = ["chat", "other"]')
    port = await upstreams.serve_tls(HOST, echo_http1, H1)
    async with open_world(rule, {HOST: port}) as world, open_agent(world) as talk:
        number = await open_websocket(talk, sec_websocket_protocol="chat, other")
        head = talk.messages[number].heads[0]
        assert head == {":status": "200", "sec-websocket-protocol": "chat"}
        await talk.send(number, close())
        await talk.wait(number)
    assert {r.facts.get("subprotocol") for r in world.receipts()} == {None, "chat"}


DENIED = {
    "another path": (opening("/other"), (403, "path")),
    "another host": (
        [(n, "evil.example" if n == ":authority" else v) for n, v in opening()],
        (421, "name_mismatch"),
    ),
    "another version": ([(n, "8" if n.endswith("version") else v) for n, v in opening()], (400, "malformed")),
    "another protocol": (opening(protocol="connect-udp"), (501, "malformed")),
    "a length": (opening(content_length="5"), (400, "malformed")),
    "plain http": ([(n, "http" if n == ":scheme" else v) for n, v in opening()], (421, "name_mismatch")),
}


@pytest.mark.parametrize(("head", "expected"), DENIED.values(), ids=DENIED)
async def test_what_is_not_allowed_is_refused_on_its_stream(
    open_world: OpenWorld, upstreams: Upstreams, head: Headers, expected: tuple[int, str]
) -> None:
    port = await upstreams.serve_tls(HOST, echo_http1, H1)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        number = talk.h2.get_next_available_stream_id()
        talk.h2.send_headers(number, head)
        await talk.flush()
        assert problem(await talk.wait(number)) == expected
    assert upstreams.accepted == 0
    assert outcomes(world) == []


async def test_a_rule_without_websockets_refuses_them_in_http_2_too(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    """The control: the same opening under a rule that allows the same request, and no WebSocket."""
    port = await upstreams.serve_tls(HOST, echo_http1, H1)
    rule = RULE.replace("websocket = { enabled = true }\n", "")
    async with open_world(rule, {HOST: port}) as world, open_agent(world) as talk:
        number = await open_websocket(talk)
        assert problem(await talk.wait(number)) == (403, "protocol")
    assert upstreams.accepted == 0


@pytest.mark.parametrize("protocols", [H1, H2], ids=["HTTP/1.1", "HTTP/2"])
async def test_a_reset_ends_the_other_side_and_no_other_stream(
    open_world: OpenWorld, upstreams: Upstreams, protocols: list[str]
) -> None:
    handle = echo_http1 if protocols is H1 else offering(echo_http2)
    port = await upstreams.serve_tls(HOST, handle, protocols)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        first, second = await open_websocket(talk), await open_websocket(talk)
        talk.h2.reset_stream(first, ErrorCodes.CANCEL)
        await talk.flush()
        await talk.send(second, frame(Opcode.TEXT, b"hello") + close())
        assert await hear(talk, second, 2) == HEARD
    reasons = [
        r.facts["reason"] for r in world.receipts() if r.phase == "outcome" and "messages_up" in r.facts
    ]
    assert any("reset the stream (CANCEL)" in reason for reason in reasons)
    assert len(reasons) == 2


async def test_an_upstream_that_resets_its_stream_resets_the_agents(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def vanish(talk: Talk, number: int) -> None:
        talk.h2.send_headers(number, [(":status", "200")])
        await talk.flush()
        await talk.until(lambda: bool(talk.messages[number].body))
        talk.h2.reset_stream(number, ErrorCodes.CANCEL)
        await talk.flush()

    port = await upstreams.serve_tls(HOST, offering(vanish), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        number = await open_websocket(talk)
        await talk.send(number, frame(Opcode.TEXT, b"hello"))
        assert (await talk.wait(number)).reset is not None
    assert [verdict for verdict, _, _ in outcomes(world)] == ["allow"]


@pytest.mark.parametrize("agent_ends", [True, False])
@pytest.mark.parametrize("then", ["end", "reset", "nothing"])
async def test_a_stream_that_ended_with_its_close_is_not_ended_again(
    open_world: OpenWorld, upstreams: Upstreams, then: str, agent_ends: bool
) -> None:
    """By either side, in the frame that says it or in one of its own: h2 would call that a fault of ours."""

    async def serve(talk: Talk, number: int) -> None:
        message = talk.messages[number]
        if message.heads[0][":method"] != "CONNECT":
            await talk.answer(number, [(":status", "204")])
            return
        talk.h2.send_headers(number, [(":status", "200")])
        await talk.flush()
        await talk.until(lambda: bool(message.body))
        talk.h2.send_data(number, close(masked=False), end_stream=then == "end")
        if then == "reset":
            talk.h2.reset_stream(number, ErrorCodes.NO_ERROR)
        await talk.flush()

    port = await upstreams.serve_tls(HOST, offering(serve), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        number = await open_websocket(talk)
        await talk.send(number, close(), end=agent_ends)
        message = await talk.wait(number)
        assert message.ended or message.reset is not None
        assert (await talk.wait(await talk.ask(request("/v1/b")))).status == 204  # the connection lives
    assert outcomes(world) == OPENED


async def test_it_goes_on_where_the_upstream_takes_no_more_streams(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def leave(talk: Talk, number: int) -> None:
        # Made here: after one of its own, h2 sends nothing more. No error, and this stream is the last (RFC 9113 6.8).
        await talk.say(b"\0\0\x08\x07\0\0\0\0\0" + number.to_bytes(4, "big") + bytes(4))
        await echo_http2(talk, number)

    port = await upstreams.serve_tls(HOST, offering(leave), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        number = await open_websocket(talk)
        await talk.send(number, frame(Opcode.TEXT, b"hello") + close())
        assert await hear(talk, number, 2) == HEARD
    assert outcomes(world) == OPENED


async def test_what_is_said_before_it_is_open_goes_nowhere(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    heard: list[bytes] = []
    asked, more = trio.Event(), trio.Event()

    async def serve(stream: Secure) -> None:
        head = await receive_until(stream, b"\r\n\r\n")
        asked.set()
        await more.wait()
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)
        assert key is not None
        await stream.send_all(answer("", compute_accept(key[1])))
        with contextlib.suppress(trio.BrokenResourceError):
            heard.append(bytes(await stream.receive_some()))

    port = await upstreams.serve_tls(HOST, serve, H1)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        number = talk.h2.get_next_available_stream_id()
        talk.h2.send_headers(number, opening())
        await talk.flush()
        await asked.wait()
        await talk.send(number, frame(Opcode.TEXT, b"early"))
        await talk.wait(
            await talk.ask(request("/other"))
        )  # which is answered once what came before it was read
        more.set()
        assert (await talk.wait(number)).reset is not None
    assert heard in ([], [b""])
    assert any("before its WebSocket was open" in r.facts["reason"] for r in world.receipts())
