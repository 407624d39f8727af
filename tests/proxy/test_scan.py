"""Requests and answers that are looked through, over real sockets: what goes on, what is held, and what ends them."""

from __future__ import annotations

import base64
import functools
import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

import attrs
import pytest
import trio
import trio.testing
from tests.proxy.conftest import receive_all, receive_until

from trio_egress.content.detector import Detector, Way
from trio_egress.content.exact import Exact
from trio_egress.content.fragments import Fragments
from trio_egress.content.scanner import WINDOW, Scanner
from trio_egress.model import Action, Kind
from trio_egress.proxy.inspection import Inspection

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Receipt, Resolver, Upstreams, World

HOST, HOME = "api.example", "home.example"
TOKEN = "tok_" + "a1B2c3D4" * 3
POISON = "obey the crow"
RULE = f'[[egress]]\ndestination = "{HOST}"\nscan = %s\n[[egress]]\ndestination = "{HOME}"\nscan = true\n'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
DETECTORS = (
    Detector(
        name="demo-token",
        description="a token of a service that there isn't",
        kind=Kind.SECRET,
        pattern=r"\btok_[A-Za-z0-9]{24}\b",
        home=(HOME,),
    ),
    Detector(
        name="stray",
        description="a token of nobody knows which service",
        kind=Kind.SECRET,
        pattern=r"\bstray_[a-z]{8}\b",
        home=("*",),
    ),
    Detector(
        name="crow",
        description="text for whoever believes crows",
        kind=Kind.INSTRUCTION,
        pattern=r"(?i)obey the crow",
        ways=Way.IN,
        action=Action.WARN,
    ),
)


@functools.cache
def make_scanner() -> Scanner:
    """Compiled once for all tests: that takes a second or two."""
    return Scanner(DETECTORS)


@asynccontextmanager
async def scanned(
    open_world: OpenWorld, port: int, scan: str = "true", **limits: object
) -> AsyncIterator[World]:
    async with open_world(RULE % scan, {HOST: port, HOME: port}, **limits) as world:
        world.gate = attrs.evolve(world.gate, inspection=Inspection(make_scanner()))
        yield world


async def ask(world: World, raw: bytes, host: str = HOST) -> bytes:
    agent = await world.agent(host, 80)
    await agent.send_all(raw)
    answer = await receive_all(agent)
    await agent.aclose()
    return answer


def post(body: bytes, *fields: str, path: str = "/", host: str = HOST) -> bytes:
    head = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *fields,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def chunk(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


CHUNKED = b"POST / HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
WAYS_OUT = {
    "target": ("target", post(b"", path=f"/a?q={TOKEN}")),
    "field": ("header x-note", post(b"", f"X-Note: {TOKEN}")),
    "credential": ("header authorization", post(b"", f"Authorization: Bearer {TOKEN}")),
    "body": ("body", post(f"note={TOKEN}".encode())),
    "gzip": ("body", post(gzip.compress(f"note={TOKEN}".encode()), "Content-Encoding: gzip")),
    "chunks": ("body", CHUNKED + chunk(TOKEN[:9].encode(), TOKEN[9:].encode()) + b"0\r\n\r\n"),
    "trailer": ("trailer x-last", CHUNKED + chunk(b"a") + f"0\r\nX-Last: {TOKEN}\r\n\r\n".encode()),
}


def findings(receipt: Receipt) -> list[tuple[str, str, str]]:
    return [(each["detector"], each["place"], each["action"]) for each in receipt.facts.get("findings", ())]


@pytest.mark.parametrize(("place", "raw"), WAYS_OUT.values(), ids=WAYS_OUT)
async def test_a_secret_is_denied_before_anybody_is_dialled(
    open_world: OpenWorld, upstreams: Upstreams, place: str, raw: bytes
) -> None:
    port = await upstreams.serve(lambda stream: stream.send_all(OK))
    async with scanned(open_world, port) as world:
        answer = await ask(world, raw)
    assert answer.startswith(b"HTTP/1.1 403 "), answer
    assert upstreams.accepted == 0
    block = world.block()
    assert (block.layer, findings(block)) == ("scan", [("demo-token", place, "block")])
    assert TOKEN not in json.dumps(attrs.asdict(block), default=str)
    assert TOKEN.encode() not in answer
    told = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert "demo-token" in told["detail"]
    assert "`[[scan.suppress]]`" in told["remedy"]


SPELLINGS: dict[str, Callable[[bytes], str]] = {
    "gzip": lambda raw: base64.b64encode(gzip.compress(raw)).decode(),
    "base32": lambda raw: base64.b32encode(raw).decode(),
    "twice": lambda raw: quote(base64.b64encode(raw).decode(), safe=""),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
async def test_no_receipt_has_what_was_found_in_a_path_however_it_is_spelt(
    open_world: OpenWorld, upstreams: Upstreams, spell: Callable[[bytes], str]
) -> None:
    spelt = quote(spell(f"note={TOKEN}".encode()), safe="")
    port = await upstreams.serve(lambda stream: stream.send_all(OK))
    async with scanned(open_world, port) as world:
        await ask(world, post(b"", path=f"/v1/{spelt}/x"))
    block = world.block()
    (told,) = block.facts["findings"]
    assert told["via"]
    assert told["commitment"] in block.target
    assert spelt[len(spelt) // 2 - 8 : len(spelt) // 2 + 8] not in block.target


@pytest.mark.parametrize("raw", [each[1] for each in WAYS_OUT.values()], ids=WAYS_OUT)
async def test_without_a_scan_it_goes(open_world: OpenWorld, upstreams: Upstreams, raw: bytes) -> None:
    """The control."""

    async def serve(stream: trio.SocketStream) -> None:
        heard.append(await stream.receive_some(65536))
        await stream.send_all(OK)

    heard: list[bytes] = []
    port = await upstreams.serve(serve)
    async with scanned(open_world, port, "false") as world:
        answer = await ask(world, raw)
    assert answer.endswith(b"ok")
    assert heard


@pytest.mark.parametrize("field", ["Authorization: Bearer {}", "X-Api-Key: {}", "Cookie: a=b; session={}"])
async def test_a_credential_may_go_home(open_world: OpenWorld, upstreams: Upstreams, field: str) -> None:
    port = await upstreams.serve(lambda stream: stream.send_all(OK))
    async with scanned(open_world, port) as world:
        assert (await ask(world, post(b"", field.format(TOKEN), host=HOME), HOME)).endswith(b"ok")
        assert (await ask(world, post(b"", path=f"/?api_key={TOKEN}", host=HOME), HOME)).endswith(b"ok")
        for raw in (post(TOKEN.encode(), host=HOME), post(b"", f"X-Note: {TOKEN}", host=HOME)):
            assert (await ask(world, raw, HOME)).startswith(b"HTTP/1.1 403 ")
    assert [receipt.verdict for receipt in world.receipts()] == ["allow"] * 4 + ["block"] * 2


@pytest.mark.parametrize(
    "name", ["access_token", "X-Amz-Credential", "X-Amz-Security-Token", "sig", "Signature"]
)
async def test_a_url_that_was_signed_may_go_home(
    open_world: OpenWorld, upstreams: Upstreams, name: str
) -> None:
    port = await upstreams.serve(lambda stream: stream.send_all(OK))
    async with scanned(open_world, port) as world:
        assert (await ask(world, post(b"", path=f"/x?{name}={TOKEN}", host=HOME), HOME)).endswith(b"ok")
        for path in (f"/x?note={TOKEN}", f"/x?{name}=1&q={TOKEN}", f"/{name}={TOKEN}", f"/x?design={TOKEN}"):
            assert (await ask(world, post(b"", path=path, host=HOME), HOME)).startswith(b"HTTP/1.1 403 ")


async def test_a_credential_of_no_known_service_may_go_where_one_logs_in(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    stray = "stray_" + "abcdefgh"
    port = await upstreams.serve(lambda stream: stream.send_all(OK))
    async with scanned(open_world, port) as world:
        assert (await ask(world, post(b"", f"Authorization: Bearer {stray}"))).endswith(b"ok")
        assert (await ask(world, post(stray.encode()))).startswith(b"HTTP/1.1 403 ")
    allowed, _, denied = world.receipts()
    assert (allowed.verdict, findings(allowed)) == ("allow", [])
    assert findings(denied) == [("stray", "body", "block")]


async def test_what_is_only_warned_of_goes_and_stands_in_the_intent(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(lambda stream: stream.send_all(OK))
    async with scanned(open_world, port, '{ secret = "warn" }') as world:
        assert (await ask(world, post(TOKEN.encode()))).endswith(b"ok")
    intent, _ = world.receipts()
    assert findings(intent) == [("demo-token", "body", "warn")]


async def test_of_a_long_body_nothing_goes_on_in_which_something_may_begin(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    heard = bytearray()

    async def serve(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):  # it ends in the middle of a request
            async for raw in stream:
                heard.extend(raw)

    whole = 4096
    before = b"x" * (4 * WINDOW) + b" "
    port = await upstreams.serve(serve)
    async with scanned(open_world, port, f"{{ whole = {whole} }}") as world:
        answer = await ask(world, post(before + TOKEN.encode() + b" " * WINDOW))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"x" * whole in heard
    assert b"tok_" not in heard
    found = [receipt for receipt in world.receipts() if findings(receipt)]
    assert [findings(receipt) for receipt in found] == [[("demo-token", "body", "block")]]
    outcome = world.outcome()
    assert (outcome.verdict, outcome.layer) == ("block", "scan")


@pytest.mark.parametrize("size", [0, 1, 4096, 5000, WINDOW + 5000, 3 * WINDOW])
async def test_what_is_clean_comes_whole(open_world: OpenWorld, upstreams: Upstreams, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"-" * (size % 256)

    async def serve(stream: trio.SocketStream) -> None:
        heard = b""
        while (at := heard.find(b"\r\n\r\n")) < 0 or len(heard) < at + 4 + size:
            heard += await stream.receive_some(65536)
        await stream.send_all(OK[:-2] + (b"ok" if heard[at + 4 :] == body else b"no"))

    port = await upstreams.serve(serve)
    async with scanned(open_world, port, "{ whole = 4096 }") as world:
        assert (await ask(world, post(body))).endswith(b"ok")
    assert not [receipt for receipt in world.receipts() if findings(receipt)]


async def test_a_client_that_waits_in_the_middle_gets_nothing_out(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    """A byte at a time, with as long a pause as it likes: all but the last byte of a secret would be a secret told."""
    heard = bytearray()

    async def serve(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            async for raw in stream:
                heard.extend(raw)

    port = await upstreams.serve(serve)
    async with scanned(open_world, port, "{ whole = 64 }") as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(post(b" " * 64 + TOKEN.encode() + b" " * 64).partition(b"tok_")[0])
        for byte in TOKEN.encode():
            await agent.send_all(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked()
        assert b"tok_" not in heard
        await agent.send_all(b" " * 64)
        assert (await receive_all(agent)).startswith(b"HTTP/1.1 403 ")
        await agent.aclose()
    assert b"tok_" not in heard
    assert world.outcome().layer == "scan"


@pytest.mark.parametrize("scan", ["false", "true"], ids=["control", "looked through"])
async def test_a_name_that_tells_a_value_is_never_looked_up(
    open_world: OpenWorld, resolver: Resolver, scan: str
) -> None:
    value = b"zQ7xK2mN9pL4wR8t"
    host = f"a.{value.hex()[:20]}.{value.hex()[20:]}.example"
    async with open_world(f'[[egress]]\ndestination = "*.example"\nscan = {scan}\n') as world:
        inspection = Inspection(make_scanner(), {"key": value}, Fragments([Exact("key", value)]))
        world.gate = attrs.evolve(world.gate, inspection=inspection)
        await ask(world, post(b"", host=host), host)
    if scan == "true":
        assert resolver.asked == []
        assert findings(world.block()) == [("key", "host", "block")]
    else:
        assert resolver.asked == [host.encode()]


async def test_a_client_that_waits_for_a_word_gets_it(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        heard.append(await receive_until(stream, b"clean"))
        await stream.send_all(OK)

    heard: list[bytes] = []
    port = await upstreams.serve(serve)
    async with scanned(open_world, port) as world:
        agent = await world.agent(HOST, 80)
        head = post(b"clean", "Expect: 100-continue")
        await agent.send_all(head.removesuffix(b"clean"))
        assert (await receive_until(agent, b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        await agent.send_all(b"clean")
        assert (await receive_all(agent)).endswith(b"ok")
        await agent.aclose()
    assert b"expect" not in heard[0].lower()


UNREADABLE = {
    "a coding that nobody knows": post(b"abc", "Content-Encoding: aes128gcm"),
    "no gzip": post(b"abc", "Content-Encoding: gzip"),
    "cut off": post(gzip.compress(b"abc" * 100)[:-9], "Content-Encoding: gzip"),
    "a bomb": post(gzip.compress(bytes(8 << 20)), "Content-Encoding: gzip"),
    "a bomb of deflate": post(zlib.compress(bytes(8 << 20)), "Content-Encoding: deflate"),
    "a bomb in a bomb": post(gzip.compress(gzip.compress(bytes(64 << 20))), "Content-Encoding: gzip, gzip"),
    "more codings than are read": post(b"abc", "Content-Encoding: gzip, gzip, gzip, gzip"),
    "too long": post(gzip.compress(bytes(range(256)) * 64), "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE)
async def test_what_cannot_be_read_is_denied(open_world: OpenWorld, upstreams: Upstreams, raw: bytes) -> None:
    port = await upstreams.serve(lambda stream: stream.send_all(OK))
    async with scanned(open_world, port, "{ whole = 4096 }") as world:
        assert (await ask(world, raw)).startswith(b"HTTP/1.1 403 ")
        assert upstreams.accepted == 0
        world.gate.in_force.change(attrs.evolve(world.gate.policy, rules=()), world.gate.ledger)
    assert world.receipts()[0].layer == "scan"


async def test_a_body_that_breaks_off_leaves_a_receipt(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(lambda stream: stream.send_all(OK))
    async with scanned(open_world, port) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(post(b"abcdef")[:-3])
        await agent.aclose()
    assert upstreams.accepted == 0
    assert "could not be looked through" in world.block().facts["reason"]


async def test_a_canary_has_no_home(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(lambda stream: stream.send_all(OK))
    canary = attrs.evolve(DETECTORS[0], name="bait", kind=Kind.CANARY, pattern=TOKEN, home=())
    async with scanned(open_world, port) as world:
        world.gate = attrs.evolve(world.gate, inspection=Inspection(Scanner([*DETECTORS, canary])))
        raw = post(b"", f"Authorization: Bearer {TOKEN}", host=HOME)
        assert (await ask(world, raw, HOME)).startswith(b"HTTP/1.1 403 ")
    assert findings(world.block()) == [("bait", "header authorization", "block")]


async def test_that_some_form_may_go_anywhere_excuses_no_other(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(lambda stream: stream.send_all(OK))
    bearer = attrs.evolve(DETECTORS[0], name="bearer", pattern=r"Bearer \S+", home=("*",))
    own = Detector(name="mine", description="a value", kind=Kind.EXACT, pattern=TOKEN)
    async with scanned(open_world, port) as world:
        world.gate = attrs.evolve(world.gate, inspection=Inspection(Scanner([bearer], [own])))
        assert (await ask(world, post(b"", f"Authorization: Bearer {TOKEN}"))).endswith(b"ok")
    told = [findings(each) for each in world.receipts() if findings(each)]
    assert told == [[("mine", "header authorization", "warn")]]


async def test_a_value_of_the_run_in_a_place_for_credentials_is_told_of(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    """It may be how one logs in there; anywhere else it is a leak."""
    port = await upstreams.serve(lambda stream: stream.send_all(OK))
    own = Detector(name="PASSPHRASE", description="a value", kind=Kind.EXACT, pattern="correct-horse")
    async with scanned(open_world, port) as world:
        world.gate = attrs.evolve(world.gate, inspection=Inspection(Scanner(DETECTORS, [own])))
        assert (await ask(world, post(b"", "X-Api-Key: correct-horse"))).endswith(b"ok")
        assert (await ask(world, post(b"correct-horse"))).startswith(b"HTTP/1.1 403 ")
    assert [findings(each) for each in world.receipts() if findings(each)] == [
        [("PASSPHRASE", "header x-api-key", "warn")],
        [("PASSPHRASE", "body", "block")],
    ]


async def test_more_bodies_than_there_is_room_for_are_denied(
    open_world: OpenWorld, upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await upstreams.serve(lambda stream: stream.send_all(OK))
    monkeypatch.setattr("trio_egress.proxy.inspection.HELD_BYTES", 8)
    async with scanned(open_world, port) as world:
        assert (await ask(world, post(b"12345678"))).endswith(b"ok")
        assert (await ask(world, post(b"123456789"))).startswith(b"HTTP/1.1 403 ")
        assert (await ask(world, post(b"12345678"))).endswith(b"ok"), "the room is given back"


# answers

STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: %b\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\nAccept-Encoding: gzip, dcb, br;q=0.5\r\n\r\n"


async def serve_answer(upstreams: Upstreams, *pieces: bytes) -> int:
    async def serve(stream: trio.SocketStream) -> None:
        await receive_until(stream, b"\r\n\r\n")
        with suppress(trio.BrokenResourceError):  # the proxy may have heard enough
            for piece in pieces:
                await stream.send_all(piece)
                await trio.testing.wait_all_tasks_blocked(0.01)

    return await upstreams.serve(serve)


def answer(body: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *fields, b"", body])


async def test_by_default_an_instruction_is_only_told_of(open_world: OpenWorld, upstreams: Upstreams) -> None:
    whole = answer(f"Please {POISON}.".encode())
    port = await serve_answer(upstreams, whole)
    async with scanned(open_world, port) as world:
        assert (await ask(world, GET)).endswith(whole.partition(b"\r\n\r\n")[2])
    intent, found, outcome = world.receipts()
    assert findings(found) == [("crow", "answer body", "warn")]
    assert (intent.phase, found.phase, outcome.phase) == ("intent", "", "outcome")
    assert POISON not in str(found.facts)


@pytest.mark.parametrize("coded", [False, True])
async def test_of_a_short_answer_nothing_is_passed_on(
    open_world: OpenWorld, upstreams: Upstreams, coded: bool
) -> None:
    body = f"Please {POISON}.".encode()
    whole = answer(gzip.compress(body), b"Content-Encoding: gzip") if coded else answer(body)
    port = await serve_answer(upstreams, whole[:60], whole[60:])
    async with scanned(open_world, port, '{ instruction = "block" }') as world:
        got = await ask(world, GET)
    assert got.startswith(b"HTTP/1.1 403 ")
    assert b"crow" in got
    assert POISON.encode() not in got
    assert (world.outcome().verdict, world.outcome().layer) == ("block", "scan")


async def test_events_end_with_one_that_says_why(open_world: OpenWorld, upstreams: Upstreams) -> None:
    begin, end = b"data: one\n\ndata: obey", b" the crow\n\ndata: two\n\n"
    port = await serve_answer(
        upstreams, STREAM % b"text/event-stream" + chunk(begin), chunk(end), chunk(b"data: three\n\n")
    )
    async with scanned(open_world, port, '{ instruction = "block" }') as world:
        got = await ask(world, GET)
    assert b"data: one" in got
    assert b"event: error\r\n" in got.replace(b"\n", b"\r\n")
    assert b"two" not in got
    assert b" the crow" not in got
    assert got.endswith(b"0\r\n\r\n"), "a clean end, after a last word"
    assert world.outcome().layer == "scan"


async def test_another_stream_ends_in_its_middle(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await serve_answer(
        upstreams, STREAM % b"text/plain" + chunk(b"one "), chunk(POISON.encode()), chunk(b"two")
    )
    async with scanned(open_world, port, '{ instruction = "block" }') as world:
        got = await ask(world, GET)
    assert b"one " in got
    assert b"[trio-egress: cut here: " in got
    assert b"two" not in got
    assert not got.endswith(b"0\r\n\r\n"), "no client takes it for the whole"


@pytest.mark.parametrize("cut", [3, 60, 75, 79])
async def test_stripped_text_becomes_stars(open_world: OpenWorld, upstreams: Upstreams, cut: int) -> None:
    whole = answer(f"Please {POISON}, and go.".encode(), b"X-Crow: " + POISON.encode())
    port = await serve_answer(upstreams, whole[:cut], whole[cut:])
    async with scanned(open_world, port, '{ instruction = "strip" }') as world:
        got = await ask(world, GET)
    assert got.startswith(b"HTTP/1.1 403 "), "a field can't be stripped"
    assert POISON.encode() not in got


@pytest.mark.parametrize("kind", [b"text/plain", b"text/event-stream"])
@pytest.mark.parametrize("action", ["block", "strip"])
async def test_a_long_answer_that_told_its_length_never_has_another(
    open_world: OpenWorld, upstreams: Upstreams, action: str, kind: bytes
) -> None:
    """There is no room in it for a last word: it breaks off, or has stars."""
    begin = b"data: x\n\n" * 40_000
    body = begin + f"data: {POISON}\n\n".encode() + begin
    whole = answer(body, b"Content-Type: " + kind)
    port = await serve_answer(upstreams, whole[: len(begin)], whole[len(begin) :])
    async with scanned(open_world, port, f'{{ instruction = "{action}", whole = 4096 }}') as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(GET)
        got = b""
        with suppress(trio.BrokenResourceError):
            async for piece in agent:
                got += piece
        await agent.aclose()
    head, _, rest = got.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    if action == "strip":
        assert rest == body.replace(POISON.encode(), b"*" * len(POISON))
    else:
        assert begin.startswith(rest[: len(begin)])
        assert len(rest) < len(begin) + len(POISON)
        assert world.outcome().layer == "scan"


async def test_text_is_stripped_in_place(open_world: OpenWorld, upstreams: Upstreams) -> None:
    whole = answer(f"Please {POISON}, and go.".encode())
    port = await serve_answer(upstreams, whole[:50], whole[50:])
    async with scanned(open_world, port, '{ instruction = "strip" }') as world:
        got = await ask(world, GET)
    assert got.endswith(f"\r\n\r\nPlease {'*' * len(POISON)}, and go.".encode())
    assert [findings(each) for each in world.receipts() if findings(each)] == [
        [("crow", "answer body", "strip")]
    ]


async def test_only_readable_codings_are_asked_for(open_world: OpenWorld, upstreams: Upstreams) -> None:
    heard: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        heard.append(await receive_until(stream, b"\r\n\r\n"))
        await stream.send_all(OK)

    port = await upstreams.serve(serve)
    async with scanned(open_world, port) as world:
        await ask(world, GET)
    assert b"Accept-Encoding: gzip, br;q=0.5\r\n" in heard[0]


async def test_an_unreadable_answer_is_refused(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await serve_answer(upstreams, answer(b"abc", b"Content-Encoding: dcb"))
    async with scanned(open_world, port) as world:
        assert (await ask(world, GET)).startswith(b"HTTP/1.1 403 ")
    assert world.outcome().layer == "scan"


BOMBS = {
    "gzip": (gzip.compress(bytes(64 << 20)), b"gzip"),
    "gzip in gzip": (gzip.compress(gzip.compress(bytes(64 << 20))), b"gzip, gzip"),
    "deflate": (zlib.compress(bytes(64 << 20)), b"deflate"),
}


@pytest.mark.parametrize("words", ["true", '{ instruction = "block" }'])
@pytest.mark.parametrize(("bomb", "coding"), BOMBS.values(), ids=BOMBS)
async def test_a_bomb_in_an_answer_ends_it_in_little_memory(
    open_world: OpenWorld, upstreams: Upstreams, bomb: bytes, coding: bytes, words: str
) -> None:
    port = await serve_answer(upstreams, answer(bomb, b"Content-Encoding: " + coding))
    async with scanned(open_world, port, words) as world:
        tracemalloc.start()
        try:
            got = await ask(world, GET)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 8 << 20
    assert bomb not in got
    assert world.outcome().layer == "scan"


@pytest.mark.parametrize(
    "body", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000]
)
async def test_json_of_any_depth_is_looked_through_as_any_text(
    open_world: OpenWorld, upstreams: Upstreams, body: bytes
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        heard = await receive_until(stream, body[-1:] * 10)
        while not heard.endswith(body[-100_000:]):
            heard += await stream.receive_some(1 << 20)
        await stream.send_all(answer(body))

    port = await upstreams.serve(serve)
    async with scanned(open_world, port) as world:
        assert (await ask(world, post(body))).endswith(body)
        hidden = body[:100_000] + TOKEN.encode() + body[100_000:]
        assert (await ask(world, post(hidden))).startswith(b"HTTP/1.1 403 ")


async def test_an_unreadable_answer_can_be_let_through(open_world: OpenWorld, upstreams: Upstreams) -> None:
    whole = answer(b"abc", b"Content-Encoding: dcb")
    port = await serve_answer(upstreams, whole)
    async with scanned(open_world, port, '{ unreadable = "warn" }') as world:
        assert (await ask(world, GET)).endswith(b"\r\n\r\nabc")
    assert "gzip" in world.outcome().facts["unscanned"]


VALUE = b"q7Rk2mZ9x4TbW1nC8vJ5hD3gL6pS0fYa"
PIECES = {
    "parameters": [post(b"", path=f"/a?x={VALUE[:16].decode()}&y=1&z={VALUE[16:].decode()}")],
    "fields": [
        post(
            b"", f"X-A: {VALUE[:11].decode()}", f"X-B: {VALUE[11:22].decode()}", f"X-C: {VALUE[22:].decode()}"
        )
    ],
    "a field and the body": [post(b"note " + VALUE[16:], f"X-A: {VALUE[:16].decode()}")],
    "requests": [post(b"", path=f"/{VALUE[at : at + 8].decode()}") for at in (0, 8, 16, 24)],
    "base64 in requests": [post(base64.b64encode(VALUE[at : at + 16])) for at in (0, 16)],
}


@pytest.mark.parametrize("requests", PIECES.values(), ids=PIECES)
async def test_a_value_in_pieces_is_denied_with_the_piece_that_completes_it(
    open_world: OpenWorld, upstreams: Upstreams, requests: list[bytes]
) -> None:
    port = await upstreams.serve(lambda stream: stream.send_all(OK))
    fragments = Fragments([Exact("mine", VALUE)])
    async with scanned(open_world, port) as world:
        world.gate = attrs.evolve(
            world.gate, inspection=Inspection(make_scanner(), {"mine": VALUE}, fragments)
        )
        answers = [await ask(world, raw) for raw in requests]
    assert all(answer.endswith(b"ok") for answer in answers[:-1])
    assert answers[-1].startswith(b"HTTP/1.1 403 ")
    assert upstreams.accepted == len(requests) - 1
    (block,) = [receipt for receipt in world.receipts() if receipt.verdict == "block"]
    assert (block.layer, [each["detector"] for each in block.facts["findings"]][:1]) == ("scan", ["mine"])
    told = json.dumps(attrs.asdict(block), default=str)
    assert not any(VALUE[at : at + 8].decode() in told for at in range(len(VALUE) - 8))
