"""HTTP/2 inside TLS that ends at the boundary: each request is judged, whatever speaks it on either side."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.lowlevel
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from tests.proxy.conftest import receive_all, receive_exactly, receive_until
from tests.proxy.http2_peers import Headers, Message, Secure, Talk, open_talk, serve_http2

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams, World

HOST = "api.example"
RULE = f'[[egress]]\ndestination = "{HOST}"\nmethods = ["GET", "HEAD", "POST"]\npaths = ["/v1/**"]\n'
H2 = ["h2"]
OK: Headers = [(":status", "200"), ("content-length", "2")]


def request(path: str = "/v1/a", method: str = "GET", authority: str = HOST, **fields: str) -> Headers:
    pseudo = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path)]
    return pseudo + [(name.replace("_", "-"), value) for name, value in fields.items()]


@asynccontextmanager
async def open_agent(world: World, protocol: str = "h2") -> AsyncIterator[Talk]:
    stream = await open_stream(world, protocol)
    assert stream.selected_alpn_protocol() == protocol
    try:
        async with open_talk(stream) as talk:
            yield talk
    finally:
        await trio.aclose_forcefully(stream)


async def open_stream(world: World, protocol: str) -> Secure:
    context = world.client_tls()
    context.set_alpn_protocols([protocol])
    transport = await world.agent(HOST, 443)
    stream = trio.SSLStream(transport, context, server_hostname=HOST, https_compatible=True)
    await stream.do_handshake()
    return stream


async def echo(talk: Talk, number: int) -> None:
    """The answer says what the server has read."""
    message = await talk.wait(number)
    told = {"head": message.heads[0], "body": message.body.decode(), "trailers": message.trailers}
    raw = json.dumps(told).encode()
    await talk.answer(number, [(":status", "200"), ("content-length", str(len(raw)))], raw)


def problem(message: Message) -> tuple[int, str]:
    told = json.loads(message.body)
    return message.status, str(told.get("layer", told.get("origin")))


# what is allowed


async def test_requests_go_on_as_they_were_on_one_connection(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve_tls(HOST, serve_http2(echo), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        first = await talk.wait(await talk.ask(request(x_key="1", te="trailers", cookie="a=b")))
        second = await talk.wait(await talk.ask(request("/v1/b", "POST"), b"x" * 100_000))
    said = json.loads(first.body)
    assert said["head"] == {
        ":method": "GET",
        ":scheme": "https",
        ":authority": HOST,
        ":path": "/v1/a",
        "x-key": "1",
        "te": "trailers",
        "cookie": "a=b",
    }
    assert json.loads(second.body)["body"] == "x" * 100_000
    assert upstreams.accepted == 1
    requests = [r for r in world.receipts() if r.target.startswith("https://")]
    assert sorted(r.said for r in requests) == [
        ("allow", "intent", "https://api.example:443/v1/a"),
        ("allow", "intent", "https://api.example:443/v1/b"),
        ("allow", "outcome", "https://api.example:443/v1/a"),
        ("allow", "outcome", "https://api.example:443/v1/b"),
    ]
    assert {r.facts.get("http") for r in requests if r.phase == "intent"} == {"2"}
    outcome = next(r for r in requests if r.phase == "outcome" and r.target.endswith("/v1/b"))
    assert outcome.facts["status"] == 200
    assert outcome.facts["bytes_up"] > 100_000


async def test_an_upstream_of_http_1_is_asked_in_that(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async def serve(stream: Secure) -> None:
        told = b"POST /v1/a HTTP/1.1\r\nHost: api.example\r\nx-key: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        whole = told + b"2\r\nhi\r\n0\r\n\r\n"
        assert await receive_exactly(stream, len(whole)) == whole
        await stream.send_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-End: 1\r\n\r\n"
        )

    port = await upstreams.serve_tls(HOST, serve, ["http/1.1"])
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        answer = await talk.wait(await talk.ask(request(method="POST", x_key="1"), b"hi"))
    assert (answer.status, answer.body, answer.trailers) == (200, b"ok", {"x-end": "1"})


async def test_an_upstream_of_nothing_but_http_2_is_asked_in_that(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve_tls(HOST, serve_http2(echo), H2)
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_stream(world, "http/1.1")
        for _ in range(2):
            await stream.send_all(b"POST /v1/a HTTP/1.1\r\nHost: api.example\r\nContent-Length: 2\r\n\r\nhi")
            head = await receive_until(stream, b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split()[0])
            said = json.loads(await receive_exactly(stream, length))
            assert (said["body"], said["head"]["content-length"]) == ("hi", "2")
        await stream.aclose()
    assert upstreams.accepted == 2, "once for HTTP/1.1, which it refuses, and once for all"


async def test_trailers_go_both_ways(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async def serve(talk: Talk, number: int) -> None:
        asked = await talk.wait(number)
        assert asked.trailers == {"x-up": "1"}
        await talk.answer(number, [(":status", "200")], b"ok", [("grpc-status", "0")])

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        number = talk.h2.get_next_available_stream_id()
        talk.h2.send_headers(number, request(method="POST"))
        await talk.send(number, b"hi")
        talk.h2.send_headers(number, [("x-up", "1")], end_stream=True)
        await talk.flush()
        answer = await talk.wait(number)
    assert (answer.body, answer.trailers) == (b"ok", {"grpc-status": "0"})


async def test_trailers_after_a_body_of_known_length_are_left_out_where_the_other_side_has_no_place_for_them(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    """HTTP/1.1 has them after chunks alone (RFC 9112 7.1.2)."""

    async def serve(talk: Talk, number: int) -> None:
        await talk.wait(number)
        await talk.answer(number, OK, b"ok", [("x-end", "1")])

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_stream(world, "http/1.1")
        for _ in range(2):
            await stream.send_all(b"GET /v1/a HTTP/1.1\r\nHost: api.example\r\n\r\n")
            assert (await receive_until(stream, b"ok")).endswith(b"\r\n\r\nok")
        await stream.aclose()
    told = [receipt.facts.get("status") for receipt in world.receipts() if receipt.phase == "outcome"]
    assert told.count(200) == 2


async def test_the_same_of_a_request(open_world: OpenWorld, upstreams: Upstreams) -> None:
    whole = b"POST /v1/a HTTP/1.1\r\nHost: api.example\r\ncontent-length: 2\r\n\r\nhi"

    async def serve(stream: Secure) -> None:
        assert await receive_exactly(stream, len(whole)) == whole
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    port = await upstreams.serve_tls(HOST, serve, ["http/1.1"])
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        number = talk.h2.get_next_available_stream_id()
        talk.h2.send_headers(number, request(method="POST", content_length="2"))
        await talk.send(number, b"hi")
        talk.h2.send_headers(number, [("x-up", "1")], end_stream=True)
        await talk.flush()
        answer = await talk.wait(number)
    assert answer.body == b"ok"


@pytest.mark.parametrize("body", [b"", b"o"])
@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
async def test_trailers_do_not_end_an_answer_before_its_length(
    open_world: OpenWorld, upstreams: Upstreams, protocol: str, body: bytes
) -> None:
    """h2 takes that."""

    async def serve(talk: Talk, number: int) -> None:
        await talk.wait(number)
        talk.h2.send_headers(number, OK)
        talk.h2.send_data(number, body)
        talk.h2.send_headers(number, [("x-end", "1")], end_stream=True)
        await talk.flush()

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}) as world:
        if protocol == "h2":
            async with open_agent(world) as talk:
                answer = await talk.wait(await talk.ask(request()))
            assert answer.reset is not None or answer.status == 502
        else:
            stream = await open_stream(world, protocol)
            await stream.send_all(b"GET /v1/a HTTP/1.1\r\nHost: api.example\r\n\r\n")
            with contextlib.suppress(trio.BrokenResourceError):
                assert not (await receive_all(stream)).endswith(b"ok")
            await trio.aclose_forcefully(stream)
    reasons = [str(each.facts.get("reason")) for each in world.receipts() if each.phase == "outcome"]
    assert any("another length than its head says" in reason for reason in reasons)


async def test_nor_a_request(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async def serve(stream: Secure) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await receive_all(stream)

    port = await upstreams.serve_tls(HOST, serve, ["http/1.1"])
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        number = talk.h2.get_next_available_stream_id()
        talk.h2.send_headers(number, request(method="POST", content_length="2"))
        await talk.send(number, b"h")
        talk.h2.send_headers(number, [("x-up", "1")], end_stream=True)
        await talk.flush()
        answer = await talk.wait(number)
    assert answer.reset is not None


async def send_in_trailers(talk: Talk, size: int) -> Message:
    """A request of one byte, and `size` bytes in the value of its trailer."""
    number = talk.h2.get_next_available_stream_id()
    talk.h2.send_headers(number, request(method="POST"))
    await talk.send(number, b"x")
    talk.h2.send_headers(number, [("x-up", "u" * size)], end_stream=True)
    await talk.flush()
    return await talk.wait(number)


async def test_all_that_a_message_says_is_counted(open_world: OpenWorld, upstreams: Upstreams) -> None:
    """Of the names of pseudo-header fields, which say nothing, none is."""

    async def serve(talk: Talk, number: int) -> None:
        await talk.wait(number)
        talk.h2.send_headers(number, [(":status", "103"), ("link", "</a>")])
        await talk.answer(number, [(":status", "200")], b"ok", [("x-down", "d" * 500)])

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        assert (await send_in_trailers(talk, 700)).status == 200
    (outcome,) = [r for r in world.receipts() if r.phase == "outcome" and r.target.startswith("https://")]
    assert outcome.facts["bytes_up"] == len(f"POST{HOST}/v1/a") + len("x") + len("x-up") + 700
    assert outcome.facts["bytes_down"] == len("103link</a>") + len("200") + len("ok") + len("x-down") + 500


async def test_trailers_are_cut_where_a_limit_is_used_up(open_world: OpenWorld, upstreams: Upstreams) -> None:
    came: list[Message] = []

    async def serve(talk: Talk, number: int) -> None:
        came.append(await talk.wait(number))
        await talk.answer(number, [(":status", "200")], b"ok", [("x-down", "d" * 900)])

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    limits = "limits = { bytes_up = 1000, bytes_down = 500 }\n"
    async with open_world(RULE + limits, {HOST: port}) as world, open_agent(world) as talk:
        problems = [problem(await send_in_trailers(talk, size)) for size in (990, 15_000)]
        answered = await send_in_trailers(talk, 100)
    assert problems == [(403, "limit")] * 2
    assert (answered.body, answered.trailers) == (b"ok", None)
    assert answered.reset is not None
    assert [message.trailers for message in came] == [None, None, {"x-up": "u" * 100}]
    outcomes = [r for r in world.receipts() if r.phase == "outcome" and r.target.startswith("https://")]
    assert {outcome.layer for outcome in outcomes} == {"limit"}
    assert sum(outcome.facts["bytes_up"] for outcome in outcomes) <= 1000
    assert sum(outcome.facts["bytes_down"] for outcome in outcomes) <= 500


async def test_an_answer_of_a_head_alone_stays_one(open_world: OpenWorld, upstreams: Upstreams) -> None:
    """A gRPC server's refusal (`Trailers-Only`): its client wants the end with the head."""

    async def serve(talk: Talk, number: int) -> None:
        await talk.answer(number, [(":status", "200"), ("grpc-status", "5")])

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        answer = await talk.wait(await talk.ask(request()))
    assert (answer.heads[0]["grpc-status"], answer.body, answer.trailers) == ("5", b"", None)


async def test_both_sides_talk_at_once(open_world: OpenWorld, upstreams: Upstreams) -> None:
    """A stream both ways, a message at a time: nothing waits for more."""

    async def serve(talk: Talk, number: int) -> None:
        talk.h2.send_headers(number, [(":status", "200")])
        await talk.flush()
        for count in range(1, 6):
            await talk.until(lambda: len(talk.messages[number].body) >= count)  # noqa: B023
            await talk.send(number, b"%d" % count, end=count == 5)

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        number = talk.h2.get_next_available_stream_id()
        talk.h2.send_headers(number, request(method="POST"))
        for count in range(1, 6):
            await talk.send(number, b"x", end=count == 5)
            await talk.until(lambda: len(talk.messages[number].body) >= count)  # noqa: B023
        answer = await talk.wait(number)
    assert answer.body == b"12345"


async def test_interim_answers_and_those_without_a_body(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async def serve(talk: Talk, number: int) -> None:
        head = talk.messages[number].heads[0]
        if head[":path"] == "/v1/hints":
            await talk.until(lambda: True)
            talk.h2.send_headers(number, [(":status", "103"), ("link", "</a>")])
            await talk.answer(number, OK, b"ok")
        elif head[":method"] == "HEAD":
            await talk.answer(number, [(":status", "200"), ("content-length", "5")])
        else:
            await talk.answer(number, [(":status", "204")])

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}) as world:
        async with open_agent(world) as talk:
            hints = await talk.wait(await talk.ask(request("/v1/hints")))
            head = await talk.wait(await talk.ask(request(method="HEAD")))
            none = await talk.wait(await talk.ask(request()))
        stream = await open_stream(world, "http/1.1")
        await stream.send_all(b"HEAD /v1/a HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n")
        whole = await receive_all(stream)
        await trio.aclose_forcefully(stream)
    assert [h[":status"] for h in hints.heads] == ["103", "200"]
    assert (head.heads[0]["content-length"], head.body, none.status) == ("5", b"", 204)
    assert b"content-length: 5\r\n" in whole.lower()
    assert whole.endswith(b"\r\n\r\n")


async def test_two_hundred_at_once_share_what_they_can(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve_tls(HOST, serve_http2(echo), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        await talk.until(lambda: talk.h2.remote_settings.max_concurrent_streams >= 200)
        numbers = [await talk.ask(request(f"/v1/{i}", "POST"), b"%d" % i) for i in range(200)]
        answers = [await talk.wait(number) for number in numbers]
    assert [json.loads(answer.body)["body"] for answer in answers] == [str(i) for i in range(200)]
    assert upstreams.accepted <= 3, "an upstream takes a hundred at once of each connection"
    assert sum(r.phase == "outcome" for r in world.receipts()) == 201


# what is denied


async def test_a_denial_ends_nothing_but_its_stream(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve_tls(HOST, serve_http2(echo), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        path = await talk.wait(await talk.ask(request("/v2")))
        method = await talk.wait(await talk.ask(request(method="POST", path="/v2"), b"x" * 1000))
        host = await talk.wait(await talk.ask(request(authority="other.example")))
        head = await talk.wait(await talk.ask(request("/v2", "HEAD")))
        fine = await talk.wait(await talk.ask(request()))
    assert [problem(m) for m in (path, method, host)] == [
        (403, "path"),
        (403, "path"),
        (421, "name_mismatch"),
    ]
    assert (head.status, head.body, fine.status) == (403, b"", 200)
    assert upstreams.accepted == 1
    assert [r.layer for r in world.receipts() if r.verdict == "block"] == [
        "path",
        "path",
        "name_mismatch",
        "path",
    ]


MALFORMED = {
    "a path that is none": (request(path="v1/a"), 400),
    "a length without a body": (request(method="POST", content_length="5"), 400),
    "two lengths": ([*request(method="POST"), ("content-length", "2"), ("content-length", "2")], 400),
    "a length that no receipt can tell": (request(method="POST", content_length=str(2**53)), 413),
    "a name that is no token": ([*request(), ("a(b", "1")], 400),
    "a control character": ([*request(), ("a", "x\x01y")], 400),
    "a method that is no token": (request(method="GET /v1/a"), 400),
    "too many fields": ([*request(), *(("a", "1"),) * 200], 431),
    "an extended CONNECT that ends": ([*request(method="CONNECT"), (":protocol", "websocket")], 400),
    "an extended CONNECT for something else": (
        [*request(method="CONNECT"), (":protocol", "connect-udp")],
        501,
    ),
}
BROKEN = {
    "a field of the connection": [*request(), ("connection", "close")],
    "a transfer coding": [*request(), ("transfer-encoding", "chunked")],
    "a length that Python takes": request(method="POST", content_length="1_0"),
    "a length with a sign": request(method="POST", content_length="+2"),
    "another host": [*request(), ("host", "other.example")],
    "a capital": [*request(), ("X-Key", "1")],
    "a line of its own": [*request(), ("a", "b\r\nx: 1")],
    "no path": request()[:3],
    "an empty path": request(path=""),
    "a pseudo-field too late": [*request()[:3], ("a", "1"), request()[3]],
    "a pseudo-field twice": [*request(), (":path", "/v2")],
    "a pseudo-field of an answer": [*request(), (":status", "200")],
    "TE for more than trailers": [*request(), ("te", "gzip")],
    "more than a head may be": [*request(), *((f"x-{i}", "y" * 1000) for i in range(80))],
}


@pytest.mark.parametrize(("headers", "status"), MALFORMED.values(), ids=MALFORMED)
async def test_what_is_no_request_is_refused_on_its_stream(
    open_world: OpenWorld, upstreams: Upstreams, headers: Headers, status: int
) -> None:
    port = await upstreams.serve_tls(HOST, serve_http2(echo), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        refused = await talk.wait(await talk.ask(headers))
        fine = await talk.wait(await talk.ask(request()))
    assert (refused.status, fine.status) == (status, 200)
    (block,) = [r for r in world.receipts() if r.verdict == "block"]
    assert block.layer == ("limit" if status == 431 else "malformed")


@pytest.mark.parametrize("headers", BROKEN.values(), ids=BROKEN)
async def test_what_breaks_the_protocol_ends_the_connection(
    open_world: OpenWorld, upstreams: Upstreams, headers: Headers
) -> None:
    port = await upstreams.serve_tls(HOST, serve_http2(echo), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        await talk.ask(headers)
        await talk.wait_over()
    assert talk.goaway is not None
    assert upstreams.accepted == 0
    (block,) = [r for r in world.receipts() if r.verdict == "block"]
    assert block.facts["reason"].startswith("not HTTP/2: ")


@pytest.mark.parametrize("length", ["0", "1", "5"])
async def test_a_body_of_another_length_than_its_head_says_ends_the_connection(
    open_world: OpenWorld, upstreams: Upstreams, length: str
) -> None:
    """In HTTP/1.1 the rest would be another request, or one would be missing."""
    seen: list[bytes] = []

    async def serve(stream: Secure) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            while raw := await stream.receive_some(4096):
                seen.append(bytes(raw))

    port = await upstreams.serve_tls(HOST, serve, ["http/1.1"])
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        await talk.ask(request(method="POST", content_length=length), b"GET")
        await talk.wait_over()
    assert talk.goaway is not None
    assert b"".join(seen).count(b"HTTP/1.1") <= 1
    assert len(b"".join(seen).partition(b"\r\n\r\n")[2]) <= int(length)
    assert [r.facts["reason"] for r in world.receipts() if r.verdict == "block"] == [
        "a body has another length than its head says (RFC 9113 8.1.1)"
    ]


# floods


async def flood_with_pings(talk: Talk) -> None:
    for _ in range(100):
        await talk.say(frame(6, 0, 0, b"12345678") * 1000)


async def flood_with_settings(talk: Talk) -> None:
    for _ in range(100):
        await talk.say(frame(4, 0, 0, b"") * 1000)


async def flood_with_resets(talk: Talk) -> None:
    for _ in range(600):
        number = talk.h2.get_next_available_stream_id()
        talk.h2.send_headers(number, request())
        talk.h2.reset_stream(number, ErrorCodes.CANCEL)
        await talk.flush()


async def flood_with_continuations(talk: Talk) -> None:
    block = talk.h2.encoder.encode(request())
    await talk.say(frame(1, 1, 1, block))
    for _ in range(100):
        await talk.say(frame(9, 0, 1, b""))


async def flood_with_empty_data(talk: Talk) -> None:
    number = talk.h2.get_next_available_stream_id()
    talk.h2.send_headers(number, request(method="POST"))
    await talk.flush()
    for _ in range(100):
        await talk.say(frame(0, 0, number, b"") * 1000)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


Flood = Callable[[Talk], Awaitable[None]]
FLOODS: list[Flood] = [
    flood_with_pings,
    flood_with_settings,
    flood_with_resets,
    flood_with_continuations,
    flood_with_empty_data,
]


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_ends_its_connection_and_no_other(
    open_world: OpenWorld, upstreams: Upstreams, flood: Flood
) -> None:
    port = await upstreams.serve_tls(HOST, serve_http2(echo), H2)
    async with open_world(RULE, {HOST: port}) as world:
        async with open_agent(world) as talk:
            with contextlib.suppress(trio.BrokenResourceError, ProtocolError):
                await flood(talk)
            await talk.wait_over()
        async with open_agent(world) as talk:
            fine = await talk.wait(await talk.ask(request()))
    assert fine.status == 200
    assert [r.layer for r in world.receipts() if r.verdict == "block" and r.phase == ""][-1] in (
        "malformed",
        "limit",
    )


async def test_who_reads_no_answers_to_its_frames_is_cut(open_world: OpenWorld, upstreams: Upstreams) -> None:
    """Also where it has said so much that its frames are no flood."""

    async def serve(talk: Talk, number: int) -> None:
        message = await talk.wait(number)
        await talk.answer(number, [(":status", "200")], str(len(message.body)).encode())

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_stream(world, "h2")
        stream.transport_stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        talk = Talk(stream, client=True)
        await talk.begin()
        async with trio.open_nursery() as reading:
            reading.start_soon(talk.read)
            answer = await talk.wait(await talk.ask(request(method="POST"), bytes(4 << 20)))
            reading.cancel_scope.cancel()
        with contextlib.suppress(trio.BrokenResourceError):
            for _ in range(1500):
                await talk.say(frame(6, 0, 0, b"12345678") * 1000)
        await trio.aclose_forcefully(stream)
    assert answer.body == str(4 << 20).encode()
    (block,) = [r for r in world.receipts() if r.verdict == "block"]
    assert (block.layer, block.facts["reason"]) == ("limit", "it asks for answers, and reads none")


async def test_a_connection_that_asks_for_nothing_is_told_goodbye(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve_tls(HOST, serve_http2(echo), H2)
    async with open_world(RULE, {HOST: port}, keepalive_seconds=2) as world, open_agent(world) as talk:
        fine = await talk.wait(await talk.ask(request()))
        await talk.wait_over()
    assert (fine.status, talk.goaway) == (200, ErrorCodes.NO_ERROR)
    assert [r.verdict for r in world.receipts() if r.phase != "intent"] == ["allow", "allow"]


# ends in the middle


async def test_a_stream_that_the_agent_resets_is_reset_upstream(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    seen: list[int | None] = []

    async def serve(talk: Talk, number: int) -> None:
        talk.h2.send_headers(number, [(":status", "200")])
        await talk.send(number, b"begin")
        await talk.until(lambda: talk.messages[number].reset is not None)
        seen.append(talk.messages[number].reset)

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        number = await talk.ask(request(method="POST"), None)
        await talk.until(lambda: talk.messages[number].body == b"begin")
        talk.h2.reset_stream(number, ErrorCodes.CANCEL)
        await talk.flush()
        while not seen:
            await trio.lowlevel.checkpoint()
    assert seen == [ErrorCodes.CANCEL]
    outcome = next(r for r in world.receipts() if r.phase == "outcome" and r.target.startswith("https"))
    assert outcome.facts["reason"] == "the agent reset the stream (CANCEL)"


@pytest.mark.parametrize("code", [ErrorCodes.INTERNAL_ERROR, ErrorCodes.REFUSED_STREAM])
async def test_what_the_upstream_resets(
    open_world: OpenWorld, upstreams: Upstreams, code: ErrorCodes
) -> None:
    """Before an answer it is a failure that says so; where the upstream has not looked, the client asks again."""

    async def serve(talk: Talk, number: int) -> None:
        talk.h2.reset_stream(number, code)
        await talk.flush()

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        answer = await talk.wait(await talk.ask(request()))
    if code is ErrorCodes.REFUSED_STREAM:
        assert (answer.heads, answer.reset) == ([], ErrorCodes.REFUSED_STREAM)
    else:
        assert problem(answer) == (502, "upstream")
    outcome = next(r for r in world.receipts() if r.phase == "outcome" and r.target.startswith("https"))
    assert outcome.facts["reason"] == f"the upstream reset the stream ({code.name})"


@pytest.mark.parametrize("stuck", ["the upstream", "the agent"])
async def test_who_is_stuck_holds_up_its_own_stream_alone(
    open_world: OpenWorld, upstreams: Upstreams, stuck: str
) -> None:
    resets: list[int | None] = []
    told = trio.Event()

    async def serve(talk: Talk, number: int) -> None:
        if talk.messages[number].heads[0][":path"] == "/v1/stuck":
            await talk.until(lambda: talk.messages[number].reset is not None)
            resets.append(talk.messages[number].reset)
            told.set()
        else:
            await echo(talk, number)

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}, idle_seconds=2) as world, open_agent(world) as talk:
        number = talk.h2.get_next_available_stream_id()
        talk.h2.send_headers(number, request("/v1/stuck", "POST"), end_stream=stuck == "the upstream")
        await talk.flush()
        fine = await talk.wait(await talk.ask(request()))
        late = await talk.wait(number)
        await told.wait()
    assert (fine.status, problem(late)) == (200, (504, "upstream"))
    assert resets == [ErrorCodes.CANCEL]
    outcome = next(r for r in world.receipts() if r.phase == "outcome" and r.target.endswith("/v1/stuck"))
    assert outcome.facts["reason"] == "nothing moved for 2 s"


async def test_an_answer_that_ends_early_is_no_whole_one(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async def serve(talk: Talk, number: int) -> None:
        talk.h2.send_headers(number, [(":status", "200")])
        await talk.send(number, b"half")
        talk.h2.reset_stream(number, ErrorCodes.INTERNAL_ERROR)
        await talk.flush()

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}) as world:
        async with open_agent(world) as talk:
            answer = await talk.wait(await talk.ask(request()))
        stream = await open_stream(world, "http/1.1")
        await stream.send_all(b"GET /v1/a HTTP/1.1\r\nHost: api.example\r\n\r\n")
        whole = await receive_until(stream, b"half\r\n")
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(stream)
        await trio.aclose_forcefully(stream)
    assert (answer.body, answer.ended, answer.reset) == (b"half", False, ErrorCodes.INTERNAL_ERROR)
    assert b"0\r\n\r\n" not in whole


@pytest.mark.parametrize("lengths", [("2", "2"), (str(2**53),)], ids=["two", "long"])
@pytest.mark.parametrize("waits", [False, True])
async def test_an_answer_that_is_none_is_the_upstreams_fault(
    open_world: OpenWorld, upstreams: Upstreams, waits: bool, lengths: tuple[str, ...]
) -> None:
    """Also where the upload waits for the upstream, and hears of it first."""

    async def serve(talk: Talk, number: int) -> None:
        talk.acknowledges = False
        if waits:
            await talk.until(lambda: len(talk.messages[number].body) == 65_535)
        await talk.answer(number, [(":status", "200"), *(("content-length", each) for each in lengths)])

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        number = talk.h2.get_next_available_stream_id()
        talk.h2.send_headers(number, request(method="POST"), end_stream=not waits)
        await talk.flush()
        if waits:
            await talk.send(number, bytes(100_000))
        answer = await talk.wait(number)
    assert problem(answer) == (502, "upstream")
    outcome = next(r for r in world.receipts() if r.phase == "outcome" and r.target.startswith("https"))
    reasons = tuple(
        f"the upstream broke the protocol: {why}" for why in ("Content-Length must be", "a body can't be")
    )
    assert outcome.facts["reason"].startswith(reasons)


async def test_an_early_answer_stops_the_upload(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async def serve(talk: Talk, number: int) -> None:
        await talk.answer(number, [(":status", "413")], b"too much")

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        number = talk.h2.get_next_available_stream_id()
        talk.h2.send_headers(number, request(method="POST"))
        await talk.flush()
        await talk.until(lambda: talk.messages[number].ended)
        await talk.until(lambda: talk.messages[number].reset is not None)
    assert (talk.messages[number].body, talk.messages[number].reset) == (b"too much", 0)


async def test_a_farewell_ends_nothing_that_has_begun(open_world: OpenWorld, upstreams: Upstreams) -> None:
    """An upstream that takes no more (nginx after a thousand) still answers; others are asked on another connection."""
    said = trio.Event()

    async def serve(talk: Talk, number: int) -> None:
        if talk.messages[number].heads[0][":path"] == "/v1/last":
            await talk.say(frame(7, 0, 0, max(talk.asked).to_bytes(4, "big") + bytes(4)))
            await said.wait()
        await talk.answer(number, OK, b"ok")

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        number = await talk.ask(request("/v1/last"))
        while upstreams.accepted < 2:
            other = await talk.wait(await talk.ask(request()))
            assert other.body == b"ok" or other.reset == ErrorCodes.REFUSED_STREAM
        said.set()
        last = await talk.wait(number)
    assert (last.status, last.body) == (200, b"ok")


async def test_who_does_not_read_is_not_sent_more_than_fits(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    """And another stream of the same connection goes on."""
    sent: list[int] = []

    async def serve(talk: Talk, number: int) -> None:
        if talk.messages[number].heads[0][":path"] == "/v1/small":
            await talk.answer(number, OK, b"ok")
            return
        talk.h2.send_headers(number, [(":status", "200")])
        with contextlib.suppress(ProtocolError):  # until nobody wants more
            for _ in range(100):
                await talk.send(number, bytes(100_000))
                sent.append(100_000)

    port = await upstreams.serve_tls(HOST, serve_http2(serve), H2)
    async with open_world(RULE, {HOST: port}) as world, open_agent(world) as talk:
        talk.acknowledges = False
        number = await talk.ask(request())
        await talk.until(lambda: len(talk.messages[number].body) == 65_535)
        assert talk.messages[number].ended is False
        talk.h2.increment_flow_control_window(100_000)
        small = await talk.wait(await talk.ask(request("/v1/small")))
        assert small.body == b"ok"
        assert sum(sent) <= 1_000_000
