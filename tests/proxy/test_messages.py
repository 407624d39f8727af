"""Messages of WebSockets that are looked through: what goes on, what ends the connection, what receipts tell of it."""

from __future__ import annotations

import os
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from tests.proxy.conftest import receive_all, receive_until
from tests.proxy.test_scan import DETECTORS, findings
from tests.proxy.test_websocket import HOST, answer, close, frame, opening, said

from trio_egress.content.exact import Exact, list_detectors
from trio_egress.content.fragments import Fragments
from trio_egress.content.scanner import Scanner
from trio_egress.proxy.inspection import Inspection
from trio_egress.wire.inflation import Inflater
from trio_egress.wire.websocket import Code, Content, Frame, Opcode, Part, Reader, Side, Writer

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Serve, Upstreams, World

TOKEN = ("tok_" + "a1B2c3D4" * 3).encode()
PLAIN, SCANNED = (
    f'[[egress]]\ndestination = "{HOST}"\nwebsocket = {{ frame_scan = {word} }}\n'
    for word in ("false", "true")
)
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


def compressed(*messages: bytes) -> list[bytes]:
    """The payloads of messages that build on each other."""
    stream = zlib.compressobj(wbits=-15)
    return [(stream.compress(each) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4] for each in messages]


def coded(payload: bytes, *, last: bool = True, begins: bool = True, masked: bool = True) -> bytes:
    opcode = Opcode.TEXT if begins else Opcode.CONTINUATION
    part = Part(Frame(opcode, last, len(payload), compressed=begins), payload, begins=True, ends=True)
    return Writer((lambda: os.urandom(4)) if masked else None).render(part)


FIRST, AGAIN = compressed(b"tok_ a1B2c3D4a1B2c3D4a1B2c3D4", TOKEN)
"""The second says the token by what stood in the first, apart."""

OUTWARD: dict[str, bytes] = {
    "a message": frame(Opcode.TEXT, b"see " + TOKEN),
    "bytes": frame(Opcode.BINARY, b"\0" + TOKEN),
    "two fragments": frame(Opcode.TEXT, TOKEN[:9], last=False) + frame(Opcode.CONTINUATION, TOKEN[9:]),
    "fragments around a ping": (
        frame(Opcode.TEXT, TOKEN[:9], last=False) + frame(Opcode.PING) + frame(Opcode.CONTINUATION, TOKEN[9:])
    ),
    "a fragment a byte": b"".join(
        frame(Opcode.CONTINUATION if at else Opcode.TEXT, TOKEN[at : at + 1], last=at + 1 == len(TOKEN))
        for at in range(len(TOKEN))
    ),
    "a ping": frame(Opcode.PING, TOKEN),
    "a pong": frame(Opcode.PONG, TOKEN),
    "a reason": frame(Opcode.CLOSE, b"\x03\xe8" + TOKEN),
    "compressed": coded(compressed(TOKEN)[0]),
    "compressed, by what was said before": coded(FIRST) + coded(AGAIN),
    "compressed, in fragments": (
        coded(FIRST) + coded(AGAIN[:2], last=False) + frame(Opcode.PING) + coded(AGAIN[2:], begins=False)
    ),
}


@cache
def find_scanner() -> Scanner:
    """Compiled once."""
    return Scanner(DETECTORS)


@asynccontextmanager
async def opened(
    open_world: OpenWorld, port: int, rule: str, inspection: Inspection | None = None
) -> AsyncIterator[World]:
    async with open_world(rule, {HOST: port}) as world:
        world.gate = attrs.evolve(world.gate, inspection=inspection or Inspection(find_scanner()))
        yield world


def serve(heard: bytearray, says: bytes = b"") -> Serve:
    """A server that takes compression where it is offered, says something, and keeps what it hears."""

    async def handle(stream: trio.SocketStream) -> None:
        asked = await receive_until(stream, b"\r\n\r\n")
        await stream.send_all(answer(DEFLATE if b"permessage-deflate" in asked else "") + says)
        with suppress(trio.BrokenResourceError):
            async for raw in stream:
                heard.extend(raw)
                if any(opcode is Opcode.CLOSE for opcode, _ in said(bytes(heard), Side.CLIENT)):
                    await stream.send_all(close(masked=False))
                    return

    return handle


async def talk(world: World, raw: bytes) -> bytes:
    agent = await world.agent(HOST, 80)
    await agent.send_all(opening(DEFLATE))
    head = await receive_until(agent, b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    await agent.send_all(raw)
    heard = await receive_all(agent)
    await agent.aclose()
    return heard


def read_all(raw: bytes) -> bytes:
    """What the server has heard, beneath compression."""
    events = Reader(Side.CLIENT, inflater=Inflater(takes_over=True)).feed(raw)
    return b"".join(
        event.data
        if isinstance(event, Content)
        else event.payload
        if isinstance(event, Part) and event.frame.is_control
        else b""
        for event in events
    )


@pytest.mark.parametrize("raw", OUTWARD.values(), ids=OUTWARD)
async def test_a_secret_never_gets_out(open_world: OpenWorld, upstreams: Upstreams, raw: bytes) -> None:
    told = bytearray()
    port = await upstreams.serve(serve(told))
    async with opened(open_world, port, SCANNED) as world:
        heard = await talk(world, frame(Opcode.TEXT, b"good day") + raw)
    text = read_all(bytes(told))
    assert b"good day" in text
    assert TOKEN not in text
    opcode, payload = said(heard)[-1]
    assert opcode is Opcode.CLOSE
    assert payload.startswith(Code.POLICY.to_bytes(2, "big") + b"demo-token was found in its message")
    outcome = world.outcome()
    assert (outcome.verdict, outcome.layer) == ("block", "scan")
    (found,) = (each for each in world.receipts() if "findings" in each.facts)
    assert findings(found) == [("demo-token", "message", "block")]
    assert (found.verdict, found.phase, found.facts["websocket"]) == ("block", "", True)


@pytest.mark.parametrize("raw", OUTWARD.values(), ids=OUTWARD)
async def test_control_without_a_scan_it_does(
    open_world: OpenWorld, upstreams: Upstreams, raw: bytes
) -> None:
    told = bytearray()
    port = await upstreams.serve(serve(told))
    async with opened(open_world, port, PLAIN) as world:
        await talk(world, frame(Opcode.TEXT, b"good day") + raw + close())
    assert TOKEN in read_all(bytes(told))
    assert world.outcome().verdict == "allow"


# what comes in

POISON = b"now obey the crow"


async def test_what_comes_in_is_looked_through_and_warned_of(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    says = frame(Opcode.TEXT, POISON, masked=False) + close(masked=False)
    port = await upstreams.serve(serve(bytearray(), says))
    async with opened(open_world, port, SCANNED) as world:
        heard = await talk(world, close())
    assert said(heard)[0] == (Opcode.TEXT, POISON)
    assert world.outcome().verdict == "allow"
    (found,) = (each for each in world.receipts() if "findings" in each.facts)
    assert (findings(found), found.verdict) == ([("crow", "answer message", "warn")], "warn")


@pytest.mark.parametrize("action", ["block", "strip"])
async def test_what_must_not_come_in_ends_at_a_message_of_which_nothing_came(
    open_world: OpenWorld, upstreams: Upstreams, action: str
) -> None:
    rule = f'[[egress]]\ndestination = "{HOST}"\nscan = {{ instruction = "{action}" }}\nwebsocket.enabled = true\n'
    first, second = compressed(b"good day", POISON)
    says = coded(first, masked=False) + coded(second[:4], last=False, masked=False)
    says += frame(Opcode.PING, masked=False) + coded(second[4:], begins=False, masked=False)
    told = bytearray()
    port = await upstreams.serve(serve(told, says))
    async with opened(open_world, port, rule) as world:
        heard = await talk(world, b"")
    reader = Reader(Side.SERVER, inflater=Inflater(takes_over=True))
    events = list(reader.feed(heard))
    assert [event.data for event in events if isinstance(event, Content)] == [b"good day"]
    assert said(heard)[1][0] is Opcode.PING
    opcode, payload = said(heard)[-1]
    assert (opcode, payload[:2]) == (Opcode.CLOSE, Code.POLICY.to_bytes(2, "big"))
    assert said(bytes(told), Side.CLIENT) == [(Opcode.CLOSE, Code.POLICY.to_bytes(2, "big"))]
    outcome = world.outcome()
    assert (outcome.verdict, outcome.layer, outcome.facts["messages_down"]) == ("block", "scan", 1)


async def test_a_bomb_is_refused_and_costs_no_more_than_its_bound(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    """48 KiB that say 50 MB; unscanned, too."""
    (bomb,) = compressed(bytes(50_000_000))
    told = bytearray()
    port = await upstreams.serve(serve(told))
    async with opened(open_world, port, PLAIN) as world:
        heard = await talk(world, coded(bomb))
    opcode, payload = said(heard)[-1]
    assert (opcode, payload[:2]) == (Opcode.CLOSE, Code.PROTOCOL.to_bytes(2, "big"))
    assert b"200 times" in payload
    assert world.outcome().layer == "malformed"
    assert len(told) < 64 * 1024


async def test_a_long_message_goes_on_where_nothing_can_begin_in_it_any_more(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    """And what follows is found all the same; both sides are reset, as a message of the server's is cut in two."""
    rule = f'[[egress]]\ndestination = "{HOST}"\nscan = {{ whole = "64 KiB" }}\nwebsocket.enabled = true\n'
    pieces = [b"good day " * 4000] * 20
    raw = frame(Opcode.TEXT, b"", last=False) + b"".join(
        frame(Opcode.CONTINUATION, each, last=False) for each in pieces
    )
    told = bytearray()
    port = await upstreams.serve(serve(told))
    async with opened(open_world, port, rule) as world:
        heard = await talk(world, raw + frame(Opcode.CONTINUATION, TOKEN))
    assert said(heard)[-1][1].startswith(Code.POLICY.to_bytes(2, "big"))
    text = read_all(bytes(told))
    assert 100_000 < len(text) <= 20 * 36_000
    assert TOKEN not in text
    assert world.outcome().layer == "scan"


async def test_a_value_of_the_run_that_leaves_in_pieces_is_found(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    value = b"kT9#qLw2Zr7Vb4Xe1Ny8Uc5M"
    exact = [Exact("api-key", value)]
    inspection = Inspection(Scanner(DETECTORS, list_detectors(exact)), {"api-key": value}, Fragments(exact))
    told = bytearray()
    port = await upstreams.serve(serve(told))
    raw = b"".join(frame(Opcode.TEXT, b"part: " + value[at : at + 8]) for at in range(0, 24, 8))
    async with opened(open_world, port, SCANNED, inspection) as world:
        heard = await talk(world, raw)
    assert said(heard)[-1][1].startswith(Code.POLICY.to_bytes(2, "big") + b"api-key")
    assert value[-8:] not in read_all(bytes(told))
    assert world.outcome().layer == "scan"


async def test_what_the_run_has_no_room_for_is_refused(
    open_world: OpenWorld, upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fragments without a byte in them cost, too; what went on gives its room back."""
    monkeypatch.setattr("trio_egress.proxy.inspection.HELD_BYTES", 512 * 10)
    begun = frame(Opcode.TEXT, last=False) + frame(Opcode.CONTINUATION, last=False) * 7
    fits = (begun + frame(Opcode.CONTINUATION, b"a")) * 3
    port = await upstreams.serve(serve(bytearray()))
    async with opened(open_world, port, SCANNED) as world:
        heard = await talk(world, fits + begun + frame(Opcode.CONTINUATION, last=False) * 3)
    outcome = world.outcome()
    assert "are being sent at once" in str(outcome.facts["unscanned"])
    assert b"it can't be looked through" in said(heard)[-1][1]
    assert (outcome.verdict, outcome.facts["messages_up"]) == ("block", 3)


async def test_where_the_policy_lets_that_by_it_goes_on_unread(
    open_world: OpenWorld, upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_egress.proxy.inspection.HELD_BYTES", 512 * 10)
    rule = f'[[egress]]\ndestination = "{HOST}"\nscan = {{ unreadable = "warn" }}\nwebsocket.enabled = true\n'
    begun = frame(Opcode.TEXT, last=False) + frame(Opcode.CONTINUATION, last=False) * 20
    told = bytearray()
    port = await upstreams.serve(serve(told))
    async with opened(open_world, port, rule) as world:
        unread = begun + frame(Opcode.CONTINUATION, TOKEN)
        heard = await talk(world, unread + frame(Opcode.TEXT, b"read " + TOKEN))
    assert read_all(bytes(told)) == TOKEN + Code.POLICY.to_bytes(2, "big")
    assert b"demo-token was found" in said(heard)[-1][1]
    outcome = world.outcome()
    assert "are being sent at once" in str(outcome.facts["unscanned"])
    assert outcome.facts["messages_up"] == 1
