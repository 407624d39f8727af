"""HTTP/1.1 in TLS that ends here: nothing is held back, nothing is changed, and every end has its outcome.

Servers and clients wait for each other: what is held back anywhere would never come.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import tracemalloc
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import brotli
import pytest
import trio
import trio.testing
import zstandard
from tests.proxy.conftest import receive_all, receive_exactly, receive_until, reset
from tests.proxy.test_interception import HOST, OK, RULE, Secure, open_tls, request, serve

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Receipt, Upstreams, World

BODY = b'{"said": "hello"}\n' * 1000
CHUNKED = "Transfer-Encoding: chunked\r\n"


def post(fields: str) -> bytes:
    return request(method="POST", fields=fields)


def only_outcome(world: World) -> Receipt:
    """Of the only request."""
    (found,) = [r for r in world.receipts() if r.phase == "outcome" and r.facts["proto"] == "http"]
    return found


# as it comes


@pytest.mark.parametrize("fields", [CHUNKED, "Connection: close\r\n"], ids=["chunks", "until the end"])
async def test_each_event_comes_before_the_next_is_sent(
    open_world: OpenWorld, upstreams: Upstreams, fields: str
) -> None:
    """Server-sent events: the server says the next one only when the client has heard the last."""
    heard = [trio.Event() for _ in range(20)]

    def render(number: int) -> bytes:
        event = f"data: {number}\n\n"
        return (f"{len(event):x}\r\n{event}\r\n" if fields == CHUNKED else event).encode()

    async def tell(stream: Secure) -> None:
        await receive_until(stream, b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{fields}\r\n"
        await stream.send_all(head.encode())
        for number, event in enumerate(heard):
            await stream.send_all(render(number))
            await event.wait()
        if fields == CHUNKED:
            await stream.send_all(b"0\r\n\r\n")
        else:
            with contextlib.suppress(trio.BrokenResourceError):  # it says that it ends, and isn't answered
                await stream.unwrap()

    port = await upstreams.serve_tls(HOST, tell)
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(request(fields="Connection: close\r\n"))
        raw = await receive_until(stream, b"\r\n\r\n")
        for number, event in enumerate(heard):
            while b"data: %d\n\n" % number not in raw:
                raw += await stream.receive_some()
            event.set()
        await receive_all(stream)
        await stream.aclose()
    assert only_outcome(world).facts["status"] == 200


async def test_each_piece_of_an_upload_goes_on_before_the_next_is_sent(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    heard, begun = [trio.Event() for _ in range(20)], trio.Event()

    async def listen(stream: Secure) -> None:
        await receive_until(stream, b"\r\n\r\n")
        begun.set()  # what comes with the head is not looked at any more
        for number, event in enumerate(heard):
            await receive_until(stream, b"piece %d" % number)
            event.set()
        await receive_until(stream, b"0\r\n\r\n")
        await stream.send_all(OK)

    port = await upstreams.serve_tls(HOST, listen)
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(post(CHUNKED))
        await begun.wait()
        for number, event in enumerate(heard):
            piece = b"piece %d" % number
            await stream.send_all(b"%x\r\n%s\r\n" % (len(piece), piece))
            await event.wait()
        await stream.send_all(b"0\r\n\r\n")
        assert await receive_exactly(stream, len(OK)) == OK
        await stream.aclose()


LAST = "Connection: close\r\n"
"""What the upstream is told where it is asked before the body."""


async def test_a_client_waits_until_it_is_told_to_go_on(open_world: OpenWorld, upstreams: Upstreams) -> None:
    fields = "Expect: 100-continue\r\nContent-Length: 3\r\n"
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    port = await upstreams.serve_tls(HOST, serve((post(fields + LAST), go_on), (b"abc", OK)))
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(post(fields))
        assert (await receive_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        await stream.send_all(b"abc")
        assert await receive_exactly(stream, len(OK)) == OK
        await stream.aclose()
    assert only_outcome(world).facts["status"] == 200


@pytest.mark.parametrize("status", [413, 417])
async def test_a_client_that_waits_may_be_told_no(
    open_world: OpenWorld, upstreams: Upstreams, status: int
) -> None:
    fields = "Expect: 100-continue\r\nContent-Length: 1000000\r\n"
    no = b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status
    port = await upstreams.serve_tls(HOST, serve((post(fields + LAST), no)))
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(post(fields))
        answer = await receive_all(stream)
        await stream.aclose()
    assert answer == no[:-2] + b"Connection: close\r\n\r\n"
    assert only_outcome(world).facts["status"] == status


async def test_hints_come_before_the_answer(open_world: OpenWorld, upstreams: Upstreams) -> None:
    hinted = trio.Event()
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"

    async def hint(stream: Secure) -> None:
        await receive_until(stream, b"\r\n\r\n")
        await stream.send_all(hints)
        await hinted.wait()
        await stream.send_all(OK)

    port = await upstreams.serve_tls(HOST, hint)
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(request())
        assert await receive_exactly(stream, len(hints)) == hints
        hinted.set()
        assert await receive_exactly(stream, len(OK)) == OK
        await stream.aclose()
    assert only_outcome(world).facts["status"] == 200


async def test_an_answer_may_come_before_the_upload_ends(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve_tls(HOST, serve((post(CHUNKED) + b"1\r\na\r\n", OK)))
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(post(CHUNKED) + b"1\r\na\r\n")
        answer = await receive_all(stream)
        await stream.aclose()
    assert answer.endswith(b"\r\n\r\nok")
    assert b"Connection: close\r\n" in answer
    assert only_outcome(world).facts["status"] == 200


# as it is


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("br", brotli.compress),
        ("zstd", zstandard.compress),
        ("gzip, br", lambda raw: brotli.compress(gzip.compress(raw))),
        ("gzip", lambda raw: b"no gzip at all"),
    ],
)
async def test_coded_bodies_go_on_byte_for_byte_both_ways(
    open_world: OpenWorld, upstreams: Upstreams, coding: str, encode: Callable[[bytes], bytes]
) -> None:
    coded = encode(BODY)
    fields = f"Content-Encoding: {coding}\r\nContent-Length: {len(coded)}\r\n"
    answer = f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode() + coded
    port = await upstreams.serve_tls(HOST, serve((post(fields) + coded, answer)))
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(post(fields) + coded)
        assert await receive_exactly(stream, len(answer)) == answer
        await stream.aclose()


async def test_trailers_go_on_both_ways(open_world: OpenWorld, upstreams: Upstreams) -> None:
    body = b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    asked = post("Trailer: X-Sum\r\n" + CHUNKED) + body
    port = await upstreams.serve_tls(HOST, serve((asked, answer)))
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(asked)
        assert await receive_exactly(stream, len(answer)) == answer
        await stream.aclose()


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
    ],
)
async def test_answers_without_a_body_end_with_their_head(
    open_world: OpenWorld, upstreams: Upstreams, method: str, head: bytes
) -> None:
    rule = RULE.replace('"GET"', '"GET", "HEAD"')
    port = await upstreams.serve_tls(HOST, serve((request(method=method), head), (request(), OK)))
    async with open_world(rule, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(request(method=method))
        assert await receive_exactly(stream, len(head)) == head
        await stream.send_all(request())
        assert await receive_exactly(stream, len(OK)) == OK
        await stream.aclose()
    assert upstreams.accepted == 1


# as much as there is


async def test_an_upload_waits_for_who_reads_it(open_world: OpenWorld, upstreams: Upstreams) -> None:
    """What the kernel's buffers don't take stays with the agent; the proxy holds none of it."""
    size, block = 48 << 20, bytes(1 << 16)
    reading = trio.Event()
    sent = 0

    async def listen(stream: Secure) -> None:
        rest = (await receive_until(stream, b"\r\n\r\n")).partition(b"\r\n\r\n")[2]
        await reading.wait()
        digest, left = hashlib.sha256(rest), size - len(rest)
        while left:
            piece = await stream.receive_some()
            digest.update(piece)
            left -= len(piece)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n" + digest.digest())

    async def upload(stream: Secure) -> None:
        nonlocal sent
        await stream.send_all(post(f"Content-Length: {size}\r\n"))
        while sent < size:
            await stream.send_all(block)
            sent += len(block)

    port = await upstreams.serve_tls(HOST, listen)
    async with open_world(RULE, {HOST: port}) as world, trio.open_nursery() as nursery:
        stream = await open_tls(world)
        tracemalloc.start()
        try:
            nursery.start_soon(upload, stream)
            await trio.testing.wait_all_tasks_blocked(0.1)
            assert 0 < sent < size
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        reading.set()
        answer = await receive_until(stream, b"\r\n\r\n")
        digest = answer.partition(b"\r\n\r\n")[2]
        while len(digest) < 32:
            digest += await stream.receive_some()
        await stream.aclose()
    assert digest == hashlib.sha256(bytes(size)).digest()
    assert peak < 16 << 20
    assert only_outcome(world).facts["bytes_up"] > size


async def test_five_hundred_requests_share_both_connections(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    count = 500

    async def answer(stream: Secure) -> None:
        for _ in range(count):
            assert await receive_exactly(stream, len(request())) == request()
            await stream.send_all(OK)

    port = await upstreams.serve_tls(HOST, answer)
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        for _ in range(count):
            await stream.send_all(request())
            assert await receive_exactly(stream, len(OK)) == OK
        await stream.aclose()
    assert upstreams.accepted == 1
    assert [r.phase for r in world.receipts() if r.facts["proto"] == "http"].count("outcome") == count


# as it ends


def cut(stream: Secure) -> None:
    reset(stream.transport_stream)


async def stop(stream: Secure) -> None:
    """The server's side, until the other end has no more."""
    with contextlib.suppress(trio.BrokenResourceError):
        await receive_all(stream)


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
STAGES: dict[str, tuple[bytes, bytes, str]] = {
    "inside the head": (request()[:20], b"", "malformed"),
    "while it waits for an answer": (request(), b"", "the agent"),
    "inside the body": (post("Content-Length: 10\r\n") + b"half", b"", "the agent"),
    "inside a chunk": (post(CHUNKED) + b"a\r\nhalf", b"", "the agent"),
    "inside the answer": (request(), HALF, "the agent"),
}


@pytest.mark.parametrize(("said", "answer", "blamed"), STAGES.values(), ids=STAGES)
async def test_an_agent_that_resets_leaves_its_outcome(
    open_world: OpenWorld, upstreams: Upstreams, said: bytes, answer: bytes, blamed: str
) -> None:
    asked = trio.Event()

    async def listen(stream: Secure) -> None:
        await receive_until(stream, b"half" if b"half" in said else b"\r\n\r\n")
        await stream.send_all(answer)
        asked.set()
        await stop(stream)

    port = await upstreams.serve_tls(HOST, listen)
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(said)
        if blamed != "malformed":
            await asked.wait()
        if answer:
            await receive_until(stream, b"half")
        cut(stream)
    own = [r for r in world.receipts() if r.facts["proto"] == "http"]
    if blamed == "malformed":
        assert [(r.verdict, r.layer) for r in own] == [("block", "malformed")]
    else:
        assert [r.phase for r in own] == ["intent", "outcome"]
        assert own[1].facts["reason"].startswith(blamed)


UPSTREAM_STAGES: dict[str, tuple[bytes, bytes]] = {
    "before its answer": (request(), b""),
    "inside its head": (request(), HALF[:20]),
    "inside its body": (request(), HALF),
    "inside a chunk": (request(), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf"),
    "inside the upload": (post("Content-Length: 10\r\n") + b"half", b""),
}


@pytest.mark.parametrize("end", ["reset", "cut off"])
@pytest.mark.parametrize(("said", "answer"), UPSTREAM_STAGES.values(), ids=UPSTREAM_STAGES)
async def test_an_upstream_that_ends_too_soon_leaves_its_outcome(
    open_world: OpenWorld, upstreams: Upstreams, said: bytes, answer: bytes, end: str
) -> None:
    async def break_off(stream: Secure) -> None:
        await receive_until(stream, b"half" if b"half" in said else b"\r\n\r\n")
        await stream.send_all(answer)
        if end == "reset":
            cut(stream)
        else:
            await stream.transport_stream.aclose()

    port = await upstreams.serve_tls(HOST, break_off)
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(said)
        told = b""
        with contextlib.suppress(trio.BrokenResourceError):
            async for piece in stream:
                told += piece
        await trio.aclose_forcefully(stream)
    assert told == b"" or told.startswith((b"HTTP/1.1 502 ", b"HTTP/1.1 200 OK\r\n"))
    assert only_outcome(world).facts["reason"].startswith("the upstream")


@pytest.mark.parametrize(
    ("said", "answer"),
    [(request(), b""), (request(), HALF), (post("Content-Length: 10\r\n") + b"half", b"")],
    ids=["no answer", "half an answer", "half an upload"],
)
async def test_who_says_nothing_more_is_given_up(
    open_world: OpenWorld, upstreams: Upstreams, said: bytes, answer: bytes
) -> None:
    async def listen(stream: Secure) -> None:
        with contextlib.suppress(trio.BrokenResourceError, AssertionError):  # it may be over before
            await receive_until(stream, b"half" if b"half" in said else b"\r\n\r\n")
            await stream.send_all(answer)
            await stop(stream)

    port = await upstreams.serve_tls(HOST, listen)
    async with open_world(RULE, {HOST: port}, idle_seconds=0.3) as world:
        stream = await open_tls(world)
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(said)
            await receive_all(stream)
        await trio.aclose_forcefully(stream)
    assert only_outcome(world).facts["reason"] == "nothing moved for 0.3 s"
