"""WebSockets on a redirected connection, as transcripts: from the handshake to the last receipt."""

from __future__ import annotations

import base64
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio
from tests.proxy.conftest import receive_all, receive_head, receive_until, reset

from trio_egress.wire.inflation import Inflater
from trio_egress.wire.websocket import Code, Frame, Opcode, Part, Reader, Side, Writer
from trio_egress.wire.websocket_opening import compute_accept

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams, World

HOST = "ws.example"
RULE = f'[[egress]]\ndestination = "{HOST}"\nwebsocket = {{ enabled = true }}\n'
KEY = base64.b64encode(b"sixteen bytes...")


def opening(fields: str = "") -> bytes:
    """The request of a client."""
    return (
        f"GET /chat HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Key: {KEY.decode()}\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    ).encode()


def answer(fields: str = "", accept: bytes = compute_accept(KEY)) -> bytes:
    return (
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Accept: {accept.decode()}\r\n{fields}\r\n"
    ).encode()


def frame(opcode: Opcode, payload: bytes = b"", *, last: bool = True, masked: bool = True) -> bytes:
    writer = Writer((lambda: os.urandom(4)) if masked else None)
    return writer.render(Part(Frame(opcode, last, len(payload)), payload, begins=True, ends=True))


def close(code: int = 1000, *, masked: bool = True) -> bytes:
    return frame(Opcode.CLOSE, code.to_bytes(2, "big"), masked=masked)


async def echo(stream: trio.SocketStream) -> None:
    """A server that answers each frame by the same one."""
    await receive_until(stream, b"\r\n\r\n")
    await stream.send_all(answer())
    reader, writer = Reader(Side.CLIENT), Writer()
    with suppress(trio.BrokenResourceError):  # where it is cut, perhaps in a frame
        async for raw in stream:
            for event in reader.feed(bytes(raw)):
                if isinstance(event, Part):
                    await stream.send_all(writer.render(event))
                    if event.frame.opcode is Opcode.CLOSE:
                        return


async def open_client(world: World) -> trio.SocketStream:
    agent = await world.agent(HOST, 80)
    await agent.send_all(opening())
    assert (await receive_head(agent)).startswith(b"HTTP/1.1 101 ")
    return agent


def said(raw: bytes, side: Side = Side.SERVER) -> list[tuple[Opcode, bytes]]:
    """The frames of one side."""
    reader = Reader(side, inflater=Inflater(takes_over=True))
    parts = [each for each in reader.feed(raw) if isinstance(each, Part)]
    return [(each.frame.opcode, each.payload) for each in parts]


async def test_messages_go_both_ways_and_are_counted(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(echo)
    async with open_world(RULE, {HOST: port}) as world:
        agent = await open_client(world)
        await agent.send_all(frame(Opcode.TEXT, b"hel", last=False) + frame(Opcode.PING, b"?"))
        await agent.send_all(frame(Opcode.CONTINUATION, b"lo") + close())
        heard = said(await receive_all(agent))
        await agent.aclose()
    assert heard == [
        (Opcode.TEXT, b"hel"),
        (Opcode.PING, b"?"),
        (Opcode.CONTINUATION, b"lo"),
        (Opcode.CLOSE, b"\x03\xe8"),
    ]
    outcome = world.outcome()
    assert outcome.said == ("allow", "outcome", f"http://{HOST}:80/chat")
    counts = {name: outcome.facts[name] for name in outcome.facts if name.endswith(("_up", "_down"))}
    assert counts.pop("bytes_up") > counts.pop("bytes_down") > 100
    assert counts == {
        f"{name}_{way}": number
        for way in ("up", "down")
        for name, number in (("frames", 4), ("messages", 1), ("message_bytes", 5), ("close", 1000))
    }
    assert (outcome.facts["status"], outcome.facts["websocket"]) == (101, True)


# what ends it


def receipts_of(world: World) -> list[tuple[str, str]]:
    return [(receipt.verdict, receipt.layer) for receipt in world.receipts()]


BAD_FRAMES: dict[str, tuple[bytes, Code]] = {
    "unmasked": (frame(Opcode.TEXT, b"a", masked=False), Code.PROTOCOL),
    "reserved opcode": (b"\x83\x80" + bytes(4), Code.PROTOCOL),
    "reserved control opcode": (b"\x8b\x80" + bytes(4), Code.PROTOCOL),
    "reserved bit": (b"\xa1\x80" + bytes(4), Code.PROTOCOL),
    "compressed, which nobody agreed on": (b"\xc1\x80" + bytes(4), Code.PROTOCOL),
    "a long ping": (frame(Opcode.PING, bytes(126)), Code.PROTOCOL),
    "a ping in fragments": (frame(Opcode.PING, last=False), Code.PROTOCOL),
    "a continuation of nothing": (frame(Opcode.CONTINUATION, b"a"), Code.PROTOCOL),
    "a message in a message": (
        frame(Opcode.TEXT, b"a", last=False) + frame(Opcode.TEXT, b"b"),
        Code.PROTOCOL,
    ),
    "a length that could be shorter": (b"\x81\xfe\x00\x01" + bytes(5), Code.PROTOCOL),
    "a length beyond all": (b"\x81\xff\xff" + bytes(11), Code.PROTOCOL),
    "no UTF-8": (frame(Opcode.TEXT, b"\xff"), Code.NO_UTF8),
    "half of a character": (frame(Opcode.TEXT, b"\xc3"), Code.NO_UTF8),
    "half of a code": (frame(Opcode.CLOSE, b"\x03"), Code.PROTOCOL),
    "a code that nobody may say": (close(1005), Code.PROTOCOL),
    "a reason that isn't UTF-8": (frame(Opcode.CLOSE, b"\x03\xe8\xff"), Code.NO_UTF8),
}


@pytest.mark.parametrize(("raw", "code"), BAD_FRAMES.values(), ids=BAD_FRAMES)
async def test_a_bad_frame_of_the_agent_goes_no_further(
    open_world: OpenWorld, upstreams: Upstreams, raw: bytes, code: Code
) -> None:
    heard = bytearray()

    async def serve(stream: trio.SocketStream) -> None:
        await receive_until(stream, b"\r\n\r\n")
        await stream.send_all(answer())
        heard.extend(await receive_all(stream))

    port = await upstreams.serve(serve)
    async with open_world(RULE, {HOST: port}) as world:
        agent = await open_client(world)
        await agent.send_all(frame(Opcode.TEXT, b"before") + raw)
        ((opcode, payload),) = said(await receive_all(agent))
        await agent.aclose()
    assert (opcode, payload[:2]) == (Opcode.CLOSE, code.to_bytes(2, "big"))
    assert b"the agent broke the WebSocket protocol" in payload
    told = said(bytes(heard), Side.CLIENT)
    assert told[0] == (Opcode.TEXT, b"before")
    assert told[-1] == (Opcode.CLOSE, Code.GOING_AWAY.to_bytes(2, "big"))
    assert receipts_of(world) == [("allow", "rule"), ("block", "malformed")]


async def test_a_masked_frame_of_the_server_never_gets_to_the_agent(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await receive_until(stream, b"\r\n\r\n")
        await stream.send_all(
            answer() + frame(Opcode.TEXT, b"good", masked=False) + frame(Opcode.TEXT, b"bad")
        )
        with suppress(trio.BrokenResourceError):  # it is reset, or closed
            await receive_all(stream)

    port = await upstreams.serve(serve)
    async with open_world(RULE, {HOST: port}) as world:
        agent = await open_client(world)
        heard = said(await receive_all(agent))
        await agent.aclose()
    assert heard[0] == (Opcode.TEXT, b"good")
    assert heard[1][1][:2] == Code.BAD_GATEWAY.to_bytes(2, "big")
    assert receipts_of(world)[-1] == ("block", "malformed")


BAD_ANSWERS = {
    "an accept of another key": answer(accept=compute_accept(b"another")),
    "no accept": b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "another protocol": answer().replace(b"Upgrade: websocket", b"Upgrade: h2c"),
    "no option": answer().replace(b"Connection: Upgrade\r\n", b""),
    "a subprotocol that was not offered": answer("Sec-WebSocket-Protocol: chat\r\n"),
    "an extension that was not offered": answer("Sec-WebSocket-Extensions: permessage-deflate\r\n"),
    "no HTTP": b"\x81\x02hi\r\n\r\n",
}


@pytest.mark.parametrize("raw", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
async def test_an_answer_that_is_none_is_a_fault_of_the_upstream(
    open_world: OpenWorld, upstreams: Upstreams, raw: bytes
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await receive_until(stream, b"\r\n\r\n")
        await stream.send_all(raw + frame(Opcode.TEXT, b"never", masked=False))
        with suppress(trio.BrokenResourceError):  # it is reset, or closed
            await receive_all(stream)

    port = await upstreams.serve(serve)
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(opening())
        heard = await receive_all(agent)
        await agent.aclose()
    assert heard.startswith(b"HTTP/1.1 502 ")
    assert b"never" not in heard
    assert "the upstream's answer" in str(world.outcome().facts["reason"])


async def test_a_101_that_nobody_asked_for_switches_nothing(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await receive_until(stream, b"\r\n\r\n")
        await stream.send_all(answer() + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        with suppress(trio.BrokenResourceError):  # it is reset, or closed
            await receive_all(stream)

    port = await upstreams.serve(serve)
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(f"GET /chat HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert (await receive_all(agent)).startswith(b"HTTP/1.1 502 ")
        await agent.aclose()


PLAIN = f"GET /chat HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
FIRST_REQUESTS = {
    "control": (PLAIN, "403 Forbidden", ["/chat", "/smuggled"]),
    "403": (opening(), "403 Forbidden", ["/chat"]),
    "200": (opening(), "200 OK", ["/chat"]),
    "426": (opening(), "426 Upgrade Required", ["/chat"]),
}


@pytest.mark.parametrize(("first", "status", "targets"), FIRST_REQUESTS.values(), ids=FIRST_REQUESTS)
async def test_nothing_behind_a_refused_upgrade_is_read_as_http(
    open_world: OpenWorld, upstreams: Upstreams, first: bytes, status: str, targets: list[str]
) -> None:
    """Control: without an upgrade the second request is judged, and answered."""
    smuggled = f"GET /smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    reply = f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno".encode()

    async def serve(stream: trio.SocketStream) -> None:
        async for _ in stream:
            await stream.send_all(reply)

    port = await upstreams.serve(serve)
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(first + smuggled)
        await agent.send_eof()
        assert (await receive_all(agent)).count(status.encode()) == len(targets)
        await agent.aclose()
    outcomes = [each.target for each in world.receipts() if each.phase == "outcome"]
    assert outcomes == [f"http://{HOST}:80{path}" for path in targets]


async def test_who_speaks_before_the_answer_is_cut_off(open_world: OpenWorld, upstreams: Upstreams) -> None:
    heard = bytearray()

    async def serve(stream: trio.SocketStream) -> None:
        await receive_until(stream, b"\r\n\r\n")
        await stream.send_all(answer())
        with pytest.raises(trio.BrokenResourceError):
            heard.extend(await receive_all(stream))

    port = await upstreams.serve(serve)
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(opening() + frame(Opcode.TEXT, b"early"))
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(agent)
        await agent.aclose()
    assert not heard
    assert receipts_of(world)[-1] == ("block", "malformed")


BAD_OPENINGS = {
    "no key": opening().replace(b"Sec-WebSocket-Key", b"X"),
    "a short key": opening().replace(KEY, b"AAAA"),
    "two keys": opening(f"Sec-WebSocket-Key: {KEY.decode()}\r\n"),
    "version 8": opening().replace(b"Version: 13", b"Version: 8"),
    "no option": opening().replace(b"Connection: Upgrade\r\n", b""),
    "HTTP/1.0": opening().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "POST": opening().replace(b"GET", b"POST"),
    "a body": opening("Content-Length: 1\r\n") + b"a",
    "a subprotocol twice": opening("Sec-WebSocket-Protocol: a, a\r\n"),
    "two origins": opening("Origin: https://a.example\r\nOrigin: https://b.example\r\n"),
}


@pytest.mark.parametrize("raw", BAD_OPENINGS.values(), ids=BAD_OPENINGS)
async def test_what_does_not_ask_for_a_websocket_as_one_does_is_refused(
    open_world: OpenWorld, upstreams: Upstreams, raw: bytes
) -> None:
    port = await upstreams.serve(echo)
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(raw)
        assert (await receive_all(agent)).startswith(b"HTTP/1.1 400 ")
        await agent.aclose()
    assert upstreams.accepted == 0
    assert world.block().layer == "malformed"


async def test_a_rule_without_websockets_denies_one(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(echo)
    async with open_world(f'[[egress]]\ndestination = "{HOST}"\n', {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(opening())
        assert b"doesn't allow an upgrade to websocket" in await receive_all(agent)
        await agent.aclose()
    assert (upstreams.accepted, world.block().layer) == (0, "protocol")


# what a rule says

ORIGIN = "https://app.example"
KEY_WORD = "insecure-api-key.a1B2c3D4"
"""As a browser's client says its credential, having no other field for it."""


def with_table(table: str, **limits: str) -> str:
    said = "".join(f"limits = {{ {key} = {value} }}\n" for key, value in limits.items())
    return f'[[egress]]\ndestination = "{HOST}"\nwebsocket = {{ {table} }}\n{said}'


BOUNDS: dict[str, tuple[str, bytes, Code, str, str]] = {
    "binary": (
        with_table("binary = false"),
        frame(Opcode.BINARY, b"a"),
        Code.POLICY,
        "rule",
        "binary messages are not allowed",
    ),
    "an empty binary": (
        with_table("binary = false"),
        frame(Opcode.BINARY),
        Code.POLICY,
        "rule",
        "binary messages are not allowed",
    ),
    "a large message": (
        with_table("message = 6"),
        frame(Opcode.TEXT, b"1234", last=False) + frame(Opcode.CONTINUATION, b"567"),
        Code.TOO_BIG,
        "limit",
        "more than 6 bytes",
    ),
    "many messages": (
        with_table('messages = "2/day"'),
        frame(Opcode.TEXT, b"b") + frame(Opcode.TEXT, b"c"),
        Code.POLICY,
        "limit",
        "allows 2/day messages",
    ),
}


@pytest.mark.parametrize(("rule", "raw", "code", "layer", "reason"), BOUNDS.values(), ids=BOUNDS)
async def test_what_a_rule_does_not_allow_is_cut_with_a_code_and_a_reason(
    open_world: OpenWorld,
    upstreams: Upstreams,
    rule: str,
    raw: bytes,
    code: Code,
    layer: str,
    reason: str,
) -> None:
    port = await upstreams.serve(echo)
    async with open_world(rule, {HOST: port}) as world:
        agent = await open_client(world)
        await agent.send_all(frame(Opcode.TEXT, b"before"))
        assert await agent.receive_some() == frame(Opcode.TEXT, b"before", masked=False)
        await agent.send_all(raw)
        opcode, payload = said(await receive_all(agent))[-1]
        await agent.aclose()
    assert (opcode, payload[:2]) == (Opcode.CLOSE, code.to_bytes(2, "big"))
    assert reason.encode() in payload
    outcome = world.outcome()
    assert (outcome.verdict, outcome.layer) == ("block", layer)
    assert reason in str(outcome.facts["reason"])


@pytest.mark.parametrize("rule", [with_table("enabled = true"), with_table("message = 7, seconds = 3600")])
async def test_control_what_it_allows_goes_on(open_world: OpenWorld, upstreams: Upstreams, rule: str) -> None:
    port = await upstreams.serve(echo)
    async with open_world(rule, {HOST: port}) as world:
        agent = await open_client(world)
        await agent.send_all(b"".join(raw for _, raw, *_ in BOUNDS.values()) + close())
        assert len(said(await receive_all(agent))) == 7
        await agent.aclose()
    assert world.outcome().verdict == "allow"


async def test_a_connection_ends_when_its_time_is_over(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(echo)
    async with open_world(with_table("seconds = 1"), {HOST: port}) as world:
        agent = await open_client(world)
        ((opcode, payload),) = said(await receive_all(agent))
        await agent.aclose()
    assert (opcode, payload[:2]) == (Opcode.CLOSE, Code.POLICY.to_bytes(2, "big"))
    assert b"allows a WebSocket 1 s" in payload
    assert world.outcome().layer == "limit"


async def test_a_budget_that_is_spent_ends_a_connection(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(echo)
    async with open_world(with_table("enabled = true", bytes_up='"1 KiB"'), {HOST: port}) as world:
        agent = await open_client(world)
        with suppress(trio.BrokenResourceError):
            while True:
                await agent.send_all(frame(Opcode.TEXT, bytes(100)))
        heard = bytearray()
        with suppress(trio.BrokenResourceError):
            async for raw in agent:
                heard.extend(raw)
        await agent.aclose()
    outcome = world.outcome()
    assert outcome.facts["bytes_up"] == 1024
    assert "allows 1024 bytes up" in str(outcome.facts["reason"])
    assert outcome.layer == "limit"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (f"Origin: {ORIGIN}\r\nSec-WebSocket-Protocol: chat\r\n", 101),
        (f"Origin: {ORIGIN}\r\nSec-WebSocket-Protocol: chat, {KEY_WORD}\r\n", 403),
        (f"Origin: {ORIGIN}\r\n", 403),
        ("Sec-WebSocket-Protocol: chat\r\n", 403),
        ("Origin: https://b.example\r\nSec-WebSocket-Protocol: chat\r\n", 403),
    ],
)
async def test_who_asks_and_what_for_stands_in_the_receipt(
    open_world: OpenWorld, upstreams: Upstreams, fields: str, status: int
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await receive_until(stream, b"\r\n\r\n")
        await stream.send_all(answer("Sec-WebSocket-Protocol: chat\r\n") + close(masked=False))
        with suppress(trio.BrokenResourceError):
            await receive_all(stream)

    rule = with_table(f'origins = ["{ORIGIN}"], subprotocols = ["chat"]')
    port = await upstreams.serve(serve)
    async with open_world(rule, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(opening(fields))
        assert (await receive_until(agent, b"\r\n\r\n")).startswith(f"HTTP/1.1 {status} ".encode())
        if status == 101:
            await agent.send_all(close())
        await receive_all(agent)
        await agent.aclose()
    first, *_, last = world.receipts() * 2 if status == 403 else world.receipts()
    asked = dict(field.split(": ") for field in fields.strip().split("\r\n"))
    origin = asked.get("Origin")
    words = asked.get("Sec-WebSocket-Protocol", "").replace(",", "").split()
    assert first.facts.get("ws_origin") == (origin if origin in (None, ORIGIN) else "?")
    assert first.facts["ws_protocols"] == sorted("?" if word == KEY_WORD else word for word in words)
    assert KEY_WORD not in repr(world.receipts())
    if status == 101:
        assert last.facts["subprotocol"] == "chat"
    else:
        assert (first.verdict, first.layer) == ("block", "header")


# faults of peers


async def test_an_agent_that_resets_in_a_message_ends_its_connection_and_is_recorded(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(echo)
    async with open_world(RULE, {HOST: port}) as world:
        agent = await open_client(world)
        await agent.send_all(frame(Opcode.TEXT, b"a", last=False) + b"\x80")
        assert await agent.receive_some() == frame(Opcode.TEXT, b"a", last=False, masked=False)
        reset(agent)
        await world.wait_idle()
    outcome = world.outcome()
    assert (outcome.verdict, outcome.facts["frames_up"]) == ("allow", 1)
    assert "reset the connection" in str(outcome.facts["reason"])


async def test_a_server_that_ends_in_a_frame_ends_the_connection(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await receive_until(stream, b"\r\n\r\n")
        await stream.send_all(answer() + b"\x81\x7e\x01\x00half")

    port = await upstreams.serve(serve)
    async with open_world(RULE, {HOST: port}) as world:
        agent = await open_client(world)
        assert await receive_all(agent) == b"\x81\x7e\x01\x00half"
        await agent.aclose()
        await world.wait_idle()
    outcome = world.outcome()
    assert outcome.facts["reason"] == "both sides ended without a close frame"
    assert outcome.facts["frames_down"] == 0


async def test_a_run_that_ends_records_what_a_connection_has_carried(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(echo)
    async with open_world(RULE, {HOST: port}) as world:
        agent = await open_client(world)
        await agent.send_all(frame(Opcode.TEXT, b"hello"))
        assert await agent.receive_some() == frame(Opcode.TEXT, b"hello", masked=False)
        world.cancel()
        await agent.aclose()
    facts = world.outcome().facts
    assert (facts["messages_up"], facts["messages_down"], facts["reason"]) == (1, 1, "the run ended")


async def test_a_flood_of_the_smallest_frames_leaves_others_their_turn(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await receive_until(stream, b"\r\n\r\n")
        await stream.send_all(answer())
        reader = Reader(Side.CLIENT)
        async for raw in stream:
            if Opcode.CLOSE in [
                each.frame.opcode for each in reader.feed(bytes(raw)) if isinstance(each, Part)
            ]:
                await stream.send_all(close(masked=False))
                return

    port = await upstreams.serve(serve)
    async with open_world(RULE, {HOST: port}) as world:
        agent = await open_client(world)
        await agent.send_all(frame(Opcode.PONG) * 20_000 + close())
        assert said(await receive_all(agent))[-1][0] is Opcode.CLOSE
        await agent.aclose()
    assert world.outcome().facts["frames_up"] == 20_001


async def test_what_is_not_compressed_end_to_end_is_not_compressed_at_all(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    """Another extension is not offered for the agent, and parameters are."""
    asked = bytearray()

    async def serve(stream: trio.SocketStream) -> None:
        asked.extend(await receive_until(stream, b"\r\n\r\n"))
        await stream.send_all(answer() + close(masked=False))
        with suppress(trio.BrokenResourceError):
            await receive_all(stream)

    port = await upstreams.serve(serve)
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        offers = "x-mux; a=1, permessage-deflate; client_max_window_bits"
        await agent.send_all(opening(f"Sec-WebSocket-Extensions: {offers}\r\n"))
        await receive_until(agent, b"\r\n\r\n")
        await agent.send_all(close())
        await receive_all(agent)
        await agent.aclose()
    assert b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" in asked
    assert b"x-mux" not in asked
    assert "compressed" not in world.outcome().facts
