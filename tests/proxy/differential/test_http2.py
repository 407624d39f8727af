"""What comes in HTTP/2 and goes on in HTTP/1.1 is read by real servers as it was judged, or refused with a receipt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from tests.proxy.differential.servers import Read, Server
from tests.proxy.differential.test_http1 import NAMES, Way
from tests.proxy.http2_peers import Headers, Talk, open_talk

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams, World

pytestmark = pytest.mark.programs

SERVERS = ("nginx", "node", "aiohttp", "gunicorn")
"""Those that know chunks: a body without a length goes on in them."""

SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: api.example\r\n\r\n"
CONNECTION = "ends the connection"


@attrs.frozen
class Case:
    """One request: by what is said, and by what is read of it, or the status that refuses it."""

    headers: Headers = attrs.field(factory=list)
    body: bytes | None = None
    trailers: Headers | None = None
    method: str = "POST"
    path: str = "/a"
    read: bytes | None = None
    refused: int | str = 0


CASES = {
    "a request": Case(method="GET", read=b""),
    "a body of no length": Case(body=b"body", read=b"body"),
    "a body of a length": Case([("content-length", "4")], b"body", read=b"body"),
    "an empty body": Case(body=b"", read=b""),
    "a body that looks like requests": Case(body=SMUGGLED.encode(), read=SMUGGLED.encode()),
    "one that looks like chunks": Case(
        body=b"0\r\n\r\n" + SMUGGLED.encode(), read=b"0\r\n\r\n" + SMUGGLED.encode()
    ),
    "trailers that would frame": Case(
        body=b"body",
        trailers=[("content-length", "0"), ("x-ok", "1"), ("host", "evil.example")],
        read=b"body",
    ),
    "crumbs of a cookie": Case([("cookie", "a=b"), ("cookie", "c=d")], method="GET", read=b""),
    "escapes in a path": Case(method="GET", path="/a?x=%0d%0aHost:%20evil.example", read=b""),
    "a name's odd characters": Case([("x!#$%&'*+.^_`|~1", "1")], method="GET", read=b""),
    "fields that end at a proxy": Case(
        [("proxy-authorization", "Basic eDp5"), ("te", "trailers")], b"x", read=b"x"
    ),
    "a body that nobody expects": Case(
        [("content-length", str(len(SMUGGLED)))], SMUGGLED.encode(), method="GET", read=SMUGGLED.encode()
    ),
    "one without a length": Case(body=SMUGGLED.encode(), method="DELETE", read=SMUGGLED.encode()),
    "a length with zeros": Case([("content-length", "0010")], b"abcdefghij", read=b"abcdefghij"),
    "fields that are none here": Case([("transfer_encoding", "chunked")], b"x", read=b"x"),
    "a length that wraps around": Case([("content-length", str(2**64))], refused=400),
    "a length, and nothing": Case([("content-length", "48")], refused=400),
    "a length that is too short": Case([("content-length", "0")], SMUGGLED.encode(), refused=CONNECTION),
    "a length that is too long": Case([("content-length", "90")], SMUGGLED.encode(), refused=CONNECTION),
    "two lengths": Case([("content-length", "4"), ("content-length", "0")], b"body", refused=CONNECTION),
    "a length twice": Case([("content-length", "4"), ("content-length", "4")], b"body", refused=400),
    "chunks": Case([("transfer-encoding", "chunked")], b"0\r\n\r\n" + SMUGGLED.encode(), refused=CONNECTION),
    "a field in a value": Case([("x", "1\r\ntransfer-encoding: chunked")], b"0\r\n\r\n", refused=CONNECTION),
    "a request in a value": Case([("x", f"1\r\n\r\n{SMUGGLED}")], method="GET", refused=CONNECTION),
    "a bare line feed": Case([("x", "1\n\n" + SMUGGLED)], method="GET", refused=CONNECTION),
    "a request in a name": Case([(f"x: 1\r\n\r\n{SMUGGLED}x", "1")], method="GET", refused=CONNECTION),
    "a name with a colon": Case([("transfer-encoding:", "chunked")], b"0\r\n\r\n", refused=CONNECTION),
    "a name with a space": Case([("transfer-encoding ", "chunked")], b"0\r\n\r\n", refused=CONNECTION),
    "a request in a method": Case(
        method=f"GET /a HTTP/1.1\r\nHost: x\r\n\r\n{SMUGGLED}POST", refused=CONNECTION
    ),
    "a space in a method": Case(method="GET /smuggled HTTP/1.1 x", refused=400),
    "a request in a path": Case(method="GET", path=f"/a HTTP/1.1\r\n\r\n{SMUGGLED}", refused=CONNECTION),
    "a space in a path": Case(method="GET", path="/a HTTP/1.1", refused=400),
    "a fragment": Case(method="GET", path="/a#/smuggled", refused=400),
    "a whole URL for a path": Case(method="GET", path="https://evil.example/smuggled", refused=400),
    "a control character": Case([("x", "1\x0b2")], method="GET", refused=400),
    "an expectation": Case([("expect", "100-continue, x")], b"x", refused=417),
    "an upgrade": Case([("upgrade", "h2c")], method="GET", refused=CONNECTION),
}


async def open_agent(world: World, host: str) -> trio.SSLStream[trio.SocketStream]:
    context = world.client_tls()
    context.set_alpn_protocols(["h2"])
    plain = await world.agent(host, 443)
    stream = trio.SSLStream(plain, context, server_hostname=host, https_compatible=True)
    await stream.do_handshake()
    return stream


async def say(talk: Talk, case: Case, host: str) -> int | str:
    """What became of it: the status that it was answered with, or CONNECTION."""
    pseudo = [(":method", case.method), (":scheme", "https"), (":authority", host), (":path", case.path)]
    number = talk.h2.get_next_available_stream_id()
    bare = case.body is None and case.trailers is None
    talk.h2.send_headers(number, pseudo + case.headers, end_stream=bare)
    await talk.flush()
    if case.body is not None:
        await talk.send(number, case.body, end=case.trailers is None)
    if case.trailers is not None:
        talk.h2.send_headers(number, case.trailers, end_stream=True)
        await talk.flush()
    message = talk.messages[number]
    while not (message.ended or message.reset is not None or talk.over):
        await talk.wait_moved()
    return message.status if message.heads else CONNECTION


@pytest.mark.parametrize("name", SERVERS)
async def test_what_goes_on_in_http_1_is_read_as_it_was_judged(
    open_world: OpenWorld, upstreams: Upstreams, servers: Mapping[str, Server], name: str
) -> None:
    server, host = servers[name], NAMES[name]
    way = Way(server)
    rule = f'[[egress]]\ndestination = "{host}"\npaths = ["/**"]\n'
    port = await way.listen(upstreams, "tls")
    seen: dict[str, tuple[int | str, list[Read]]] = {}
    async with open_world(rule, {f"{host}:443": port}) as world:
        for title, case in CASES.items():
            stream = await open_agent(world, host)
            async with open_talk(stream) as talk:
                status = await say(talk, case, host)
            await trio.aclose_forcefully(stream)
            await world.wait_idle()
            await way.wait_end()
            seen[title] = (status, server.take())
    assert {title: status for title, (status, _) in seen.items()} == {
        title: case.refused or 200 for title, case in CASES.items()
    }
    for title, (_, reads) in seen.items():
        case = CASES[title]
        expected = [] if case.read is None else [Read(case.method, case.path, case.read, (host,))]
        # A head that says that no body follows is judged, and goes on, before what follows is seen.
        begun = (
            [Read(case.method, case.path, b"", (host,))] if case.headers == [("content-length", "0")] else []
        )
        assert reads in (expected, begun), title
    requests = [r for r in world.receipts() if r.facts["proto"] == "http"]
    served = sum(case.read is not None for case in CASES.values())
    ended = sum(case.refused == CONNECTION and "length" in title for title, case in CASES.items())
    assert sum(r.phase == "intent" for r in requests) - served in range(ended + 1)
    assert sum(r.verdict == "block" and r.phase == "" for r in requests) == len(CASES) - served


async def test_what_is_refused_would_be_another_request_to_a_server(servers: Mapping[str, Server]) -> None:
    """The control: a proxy that only writes down what it was told says more than it judged."""
    for title in ("a request in a value", "chunks", "a length that is too short"):
        case = CASES[title]
        head = f"{case.method} {case.path} HTTP/1.1\r\nhost: api.example\r\n"
        fields = "".join(f"{name}: {value}\r\n" for name, value in case.headers)
        raw = f"{head}{fields}\r\n".encode() + (case.body or b"")
        assert "/smuggled" in [read.target for read in await servers["node"].read(raw)], title
