"""Whatever is forwarded is read by real servers as it was judged, no more and no less; the rest is refused, once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from tests.proxy.differential.corpus import CASES, LAST, Case, End, Refused
from tests.proxy.differential.old_fashioned import READERS
from tests.proxy.differential.servers import OPENERS, Read, Server

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Receipt, Upstreams, World

pytestmark = pytest.mark.programs

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

NAMES = {name: f"{name[:3]}.example" for name in OPENERS}
"""A host for each server, as long as the corpus's."""

PORTS = {"plain": 80, "tls": 443}
PARTS = 4
"""Of the corpus, one after the other: no test takes long."""

LAST_READ = Read("GET", "/last")
BROKEN_READ = Read("POST", "/a")


async def speak(stream: Stream, raw: bytes, *, cut: bool = False) -> bytes:
    """Say all of it, whoever still listens; what comes back until the end, or a reset. `cut`: and say so."""
    told = b""

    async def say() -> None:
        with suppress(trio.BrokenResourceError):
            await stream.send_all(raw)
            if cut and isinstance(stream, trio.SocketStream):
                await stream.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(say)
        with suppress(trio.BrokenResourceError):
            async for piece in stream:
                told += piece
        nursery.cancel_scope.cancel()
    await trio.aclose_forcefully(stream)
    return told


async def open_stream(world: World, door: str, host: str) -> Stream:
    plain = await world.agent(host, PORTS[door])
    if door == "plain":
        return plain
    stream = trio.SSLStream(plain, world.client_tls(), server_hostname=host, https_compatible=True)
    await stream.do_handshake()
    return stream


class Way:
    """A listener in front of a server, plain or with TLS, and what is open behind it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._open = 0
        self._changed = trio.Event()
        self._port = 0

    async def listen(self, upstreams: Upstreams, door: str) -> int:
        if door == "plain":
            self._port = await upstreams.serve(self._put_through)
        else:
            self._port = await upstreams.serve_tls(NAMES[self._server.name], self._put_through)
        return self._port

    async def wait_end(self) -> None:
        """Until the server has ended every connection. The last is ours: those before it were accepted before it."""
        async with await trio.open_tcp_stream("127.0.0.1", self._port) as stream:
            with suppress(trio.BrokenResourceError):
                await stream.send_eof()
                async for _ in stream:
                    pass
        while self._open:
            self._changed = trio.Event()
            await self._changed.wait()

    async def _put_through(self, proxy: Stream) -> None:
        """One of the proxy's connections, until the server has ended its own."""
        self._open += 1
        try:
            async with await self._server.connect() as stream, trio.open_nursery() as nursery:
                nursery.start_soon(pass_on, proxy, stream)
                await carry(stream, proxy)
                nursery.cancel_scope.cancel()
            await proxy.aclose()
        finally:
            self._open -= 1
            self._changed.set()


async def carry(source: Stream, sink: Stream) -> None:
    with suppress(trio.BrokenResourceError):
        async for piece in source:
            await sink.send_all(piece)


async def pass_on(proxy: Stream, server: trio.SocketStream) -> None:
    await carry(proxy, server)
    with suppress(trio.BrokenResourceError):
        await server.send_eof()


def rename(raw: bytes, name: str) -> bytes:
    """For the server of that name."""
    short = name[:3].encode()
    return raw.replace(b"api.", short + b".").replace(b"API.", short.upper() + b".")


def expect(case: Case, name: str) -> list[Read]:
    """What the server of that name reads."""
    reads = [*case.reads, *([LAST_READ] if case.goes_on else [])]
    if case.end is End.BREAKS and name in case.but:
        reads.append(BROKEN_READ)
    hosts = [tuple(rename(host.encode(), name).decode() for host in read.host) for read in reads]
    return [
        Read(read.method, read.target, rename(read.body, name), host)
        for read, host in zip(reads, hosts, strict=True)
    ]


def alike(one: Read, other: Read) -> bool:
    return (one.method, one.target, one.host) == (other.method, other.target, other.host)


def find_differences(case: Case, seen: Seen, server: str, door: str) -> Iterator[object]:
    """Between what was to be read, allowed, refused and answered, and what was."""
    expected = expect(case, server)
    intents = [r for r in seen.receipts if r.phase == "intent"]
    judged = [(r.method, r.target.partition(".example:")[2].partition("/")[2]) for r in intents]
    broken = [BROKEN_READ] if case.end is End.BREAKS and server not in case.but else []
    allowed = [(read.method, read.target.partition("?")[0][1:]) for read in [*expected, *broken]]
    if server in case.but:
        left = iter(expected)  # some of them, in order
        if not all(any(alike(read, other) for other in left) for read in seen.reads):
            yield "read", seen.reads, expected
        allowed = allowed[: len(judged)]
    elif seen.reads != expected:
        yield "read", seen.reads, expected
    if case.starts_otherwise and door == "plain":
        if [(r.verdict, r.facts["proto"]) for r in seen.receipts] != [("block", "tcp")] or seen.told:
            yield "otherwise", seen.receipts, seen.told
        return
    if judged != allowed or len(intents) != sum(r.phase == "outcome" for r in seen.receipts):
        yield "allowed", judged, allowed
    refused = [case.end] if isinstance(case.end, Refused) else []
    if [r.layer for r in seen.receipts if r.verdict == "block"] != [refusal.layer for refusal in refused]:
        yield "refused", [r for r in seen.receipts if r.verdict == "block"], refused
    for refusal in refused:
        status = 421 if door == "tls" and refusal.layer == "name_mismatch" else refusal.status
        if b"HTTP/1.1 %d " % status not in seen.told:
            yield "told", seen.told, status


@attrs.frozen
class Seen:
    told: bytes
    reads: list[Read]
    receipts: list[Receipt]


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(("name", "door"), [*((name, "plain") for name in OPENERS), ("node", "tls")])
async def test_what_is_forwarded_is_read_as_it_was_judged(
    open_world: OpenWorld,
    upstreams: Upstreams,
    servers: Mapping[str, Server],
    name: str,
    door: str,
    part: int,
) -> None:
    server, host = servers[name], NAMES[name]
    cases = [case for case in CASES.items() if is_said(case[1], name, door)][part::PARTS]
    way = Way(server)
    rule = f'[[egress]]\ndestination = "{host}"\npaths = ["/**"]\n'
    port = await way.listen(upstreams, door)
    told: list[tuple[bytes, list[Read]]] = []
    async with open_world(rule, {f"{host}:{PORTS[door]}": port}) as world:
        for _, case in cases:
            raw = rename(case.raw if case.cut else case.raw + LAST, name)
            answer = await speak(await open_stream(world, door, host), raw, cut=case.cut)
            await world.wait_idle()
            await way.wait_end()
            told.append((answer, server.take()))
    receipts: dict[int, list[Receipt]] = {}
    for receipt in world.receipts():
        if receipt.facts["proto"] != "tls":
            receipts.setdefault(receipt.facts["connection"], []).append(receipt)
    differences = {}
    for number, ((title, case), (answer, reads)) in enumerate(zip(cases, told, strict=True), 1):
        found = list(find_differences(case, Seen(answer, reads, receipts.get(number, [])), name, door))
        if found:
            differences[title] = found
    assert differences == {}


def is_said(case: Case, name: str, door: str) -> bool:
    """What reaches no server is said to one alone; inside TLS what some read otherwise, and what comes together."""
    if door != (case.door or door) or (case.cut and door == "tls"):
        return False
    if door == "tls":
        return bool(case.control or case.door or len(case.reads) > 1)
    return name == "node" or bool(case.reads) or case.end is End.BREAKS


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.control])
async def test_the_same_bytes_say_something_else_to_another(servers: Mapping[str, Server], name: str) -> None:
    """The control: straight to a reader of other habits they are a request that nobody has judged."""
    case = CASES[name]
    assert case.control
    if case.control in servers:
        targets = [read.target for read in await servers[case.control].read(case.raw)]
    else:
        targets = READERS[case.control].read(case.raw)
    assert "/smuggled" in targets
