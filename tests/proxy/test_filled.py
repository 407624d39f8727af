"""Secrets put in and taken out as requests and answers go by, in HTTP/1.1 and HTTP/2 on either side."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from tests.proxy.conftest import receive_until
from tests.proxy.http2_peers import Headers, Secure, Talk, open_talk, serve_http2

from trio_egress.policy.destination import parse_destination
from trio_egress.policy.slots import parse_slot
from trio_egress.proxy.vault import Held, Vault

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams, World

HOST, OTHER = "api.example", "other.example"
VALUE = "real-Value/0123+456"
MARK = "placeholder-0123456789"
STARS = "*" * len(VALUE)
RULES = f"""
[[egress]]
destination = "{HOST}"
[[egress]]
destination = "{OTHER}"
tls = "intercept"
[[secret]]
name = "token"
from = {{ env = "TOKEN" }}
to = ["{HOST}"]
"""
HELD = Held(
    "token", (parse_destination(HOST),), (parse_slot("header:x-key"),), MARK, VALUE.encode(), "[token:0]"
)


@asynccontextmanager
async def open_streams(world: World, host: str = HOST) -> AsyncIterator[Talk]:
    async with open_agent(world, "h2", host) as stream, open_talk(stream) as talk:
        yield talk


@asynccontextmanager
async def open_agent(world: World, protocol: str, host: str = HOST) -> AsyncIterator[Secure]:
    world.gate = attrs.evolve(world.gate, vault=Vault([HELD]))
    context = world.client_tls()
    context.set_alpn_protocols([protocol])
    stream = trio.SSLStream(
        await world.agent(host, 443), context, server_hostname=host, https_compatible=True
    )
    await stream.do_handshake()
    try:
        yield stream
    finally:
        await trio.aclose_forcefully(stream)


def ask(path: str = "/", host: str = HOST) -> Headers:
    pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", path)]
    return [*pseudo, ("x-key", MARK), ("accept-encoding", "gzip"), ("range", "bytes=0-1")]


async def tell(talk: Talk, number: int) -> None:
    """All that was asked, in an interim answer, a head, a body in pieces and trailers."""
    message = await talk.wait(number)
    talk.h2.send_headers(number, [(":status", "103"), ("link", f"<{VALUE}>")])
    talk.h2.send_headers(number, [(":status", "200"), ("x-told", VALUE)])
    raw = json.dumps(message.heads[0]).encode()
    for at in range(0, len(raw), 7):
        await talk.send(number, raw[at : at + 7])
    talk.h2.send_headers(number, [("x-last", VALUE)], end_stream=True)
    await talk.flush()


async def test_a_stream_has_the_value_going_out_and_stars_coming_back(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    heard: list[dict[str, str]] = []

    async def serve(talk: Talk, number: int) -> None:
        await tell(talk, number)
        heard.append(talk.messages[number].heads[0])

    port = await upstreams.serve_tls(HOST, serve_http2(serve), ["h2"])
    async with open_world(RULES, {HOST: port, OTHER: port}) as world, open_streams(world) as talk:
        answer = await talk.wait(await talk.ask(ask()))
    assert heard[0]["x-key"] == VALUE
    assert heard[0]["accept-encoding"] == "identity"
    assert "range" not in heard[0]
    assert [head.get("link", head.get("x-told")) for head in answer.heads] == [f"<{STARS}>", STARS]
    assert json.loads(answer.body)["x-key"] == STARS
    assert answer.trailers == {"x-last": STARS}
    used = [r.facts["secrets_used"] for r in world.receipts() if "secrets_used" in r.facts]
    assert used == [["[token:0]"]] * 2


async def test_each_stream_is_judged_by_itself(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve_tls(OTHER, serve_http2(tell), ["h2"])
    async with (
        open_world(RULES, {HOST: port, OTHER: port}) as world,
        open_agent(world, "h2", OTHER) as stream,
        open_talk(stream) as talk,
    ):
        refused = await talk.wait(await talk.ask(ask(host=OTHER)))
        plain = [field for field in ask(host=OTHER) if field[0] != "x-key"]
        allowed = await talk.wait(await talk.ask(plain))
    assert (refused.status, json.loads(refused.body)["layer"]) == (403, "secret")
    assert "`to` and `as`" in json.loads(refused.body)["remedy"]
    assert allowed.heads[-1]["x-told"] == VALUE, "of an answer to a request without it nothing is changed"
    (block,) = [r for r in world.receipts() if r.verdict == "block"]
    assert block.facts["secrets_refused"] == ["token"]


PACKED = gzip.compress(VALUE.encode())
HALF = VALUE[:5].encode()
UNSEEN: dict[str, tuple[Headers, bytes, str]] = {
    "compressed": ([(":status", "200"), ("content-encoding", "gzip")], PACKED, "compressed"),
    "messages of Connect": (
        [(":status", "200"), ("connect-content-encoding", "gzip")],
        b"\1" + len(PACKED).to_bytes(4, "big") + PACKED,
        "compressed",
    ),
    "a part": ([(":status", "206"), ("content-range", "bytes 0-4/19")], HALF, "part"),
    "a part that says 200": ([(":status", "200"), ("content-range", "bytes 0-4/19")], HALF, "part"),
}


@pytest.mark.parametrize(("head", "body", "reason"), UNSEEN.values(), ids=UNSEEN)
async def test_an_answer_that_would_hide_a_value_is_refused(
    open_world: OpenWorld, upstreams: Upstreams, head: Headers, body: bytes, reason: str
) -> None:
    async def serve(talk: Talk, number: int) -> None:
        await talk.wait(number)
        await talk.answer(number, head, body)

    port = await upstreams.serve_tls(HOST, serve_http2(serve), ["h2"])
    async with open_world(RULES, {HOST: port, OTHER: port}) as world, open_streams(world) as talk:
        answer = await talk.wait(await talk.ask(ask()))
    assert answer.status == 502
    assert reason in json.loads(answer.body)["detail"]
    (outcome,) = [r for r in world.receipts() if r.phase == "outcome" and "secrets_used" in r.facts]
    assert reason in outcome.facts["reason"]


REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Key: {MARK}\r\n\r\n".encode()
ANSWERS = {
    "known length": f"Content-Length: {4 + len(VALUE)}\r\n\r\n<<{VALUE}>>",
    "chunked": (
        f"Transfer-Encoding: chunked\r\n\r\n4\r\n<<{VALUE[:2]}\r\n{len(VALUE):x}\r\n{VALUE[2:]}>>\r\n0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("told", ANSWERS.values(), ids=ANSWERS)
async def test_a_body_of_http_1_is_looked_through_however_it_is_framed(
    open_world: OpenWorld, upstreams: Upstreams, told: str
) -> None:
    async def serve(stream: Secure) -> None:
        for _ in range(2):  # one connection for both requests
            asked = await receive_until(stream, b"\r\n\r\n")
            assert f"X-Key: {VALUE}\r\n".encode() in asked
            await stream.send_all(f"HTTP/1.1 200 OK\r\n{told}".encode())

    port = await upstreams.serve_tls(HOST, serve, ["http/1.1"])
    async with open_world(RULES, {HOST: port, OTHER: port}) as world, open_agent(world, "http/1.1") as stream:
        for _ in range(2):
            await stream.send_all(REQUEST)
            end = b"0\r\n\r\n" if "chunked" in told else b">>"
            body = (await receive_until(stream, end)).partition(b"\r\n\r\n")[2]
            # However it is cut into chunks now.
            assert re.sub(rb"[0-9a-f]+\r\n|\r\n", b"", body).decode() == f"<<{STARS}>>"
    assert upstreams.accepted == 1


async def test_an_event_goes_on_before_the_next_one_comes(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    seen = trio.Event()

    async def serve(stream: Secure) -> None:
        await receive_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
        await seen.wait()
        await stream.send_all(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    port = await upstreams.serve_tls(HOST, serve, ["http/1.1"])
    async with open_world(RULES, {HOST: port, OTHER: port}) as world, open_agent(world, "http/1.1") as stream:
        await stream.send_all(REQUEST)
        await receive_until(stream, b"data: 1\n\n")
        seen.set()
        await receive_until(stream, b"data: 2\n\n")
