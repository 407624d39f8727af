"""The DNS stub over real sockets and a real recorder: answers as real clients read them, and what the receipts say."""

from __future__ import annotations

import shutil
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from ipaddress import ip_address
from typing import Any

import attrs
import dns.asyncquery
import dns.asyncresolver
import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import pytest
import trio
import trio.testing

from trio_egress.proxy.dns import keep_dns_tcp, keep_dns_udp
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.names import Names
from trio_egress.wire.dns import QUERY_BYTES, render_message

OpenWorld = Callable[..., AbstractAsyncContextManager[Any]]

RULES = """[[egress]]
destination = "api.example.com"
methods = ["GET"]
[[egress]]
destination = "*.pkg.example:8443"
"""
OWN = "dns:127.0.0.1"
"""The target of what has no name: the stub itself."""


@attrs.frozen
class Stub:
    """Where the stub listens, and the world that it belongs to."""

    world: Any
    udp: int
    tcp: int
    scope: trio.CancelScope
    host: str = "127.0.0.1"
    streams: list[trio.SocketStream] = attrs.field(factory=list)

    async def ask(
        self, name: str, rdtype: str = "A", over: str = "udp", **options: Any
    ) -> dns.message.Message:
        query = dns.message.make_query(name, rdtype, **options)
        if over == "udp":
            return await dns.asyncquery.udp(query, self.host, port=self.udp)
        return await dns.asyncquery.tcp(query, self.host, port=self.tcp)

    async def connect(self, buffer_bytes: int = 65536) -> trio.SocketStream:
        """A connection; what is left of it is closed at the end."""
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        await sock.connect((self.host, self.tcp))
        self.streams.append(trio.SocketStream(sock))
        return self.streams[-1]

    def dial(self) -> socket.socket:
        """A datagram socket of the standard library's, which sends without a checkpoint."""
        sock = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect((self.host, self.udp))
        return sock

    def counts(self) -> Counter[tuple[str, str, str, str]]:
        """Queries by verdict, target, type and transport, summed over all receipts. After the world has ended."""
        counts: Counter[tuple[str, str, str, str]] = Counter()
        for receipt in self.world.receipts():
            facts = receipt.facts
            counts[receipt.verdict, receipt.target, facts["rdtype"], facts["over"]] += facts["count"]
        return counts

    def reasons(self) -> list[tuple[str, str]]:
        return [(receipt.layer, receipt.facts["reason"]) for receipt in self.world.receipts()]


OpenStub = Callable[..., AbstractAsyncContextManager[Stub]]


@pytest.fixture
def open_stub(open_world: OpenWorld) -> OpenStub:
    """`open_stub(names=Names(), host="127.0.0.1", **limits)`: both listeners of the stub over one gate."""

    @asynccontextmanager
    async def opened(
        names: Names | None = None, host: str = "127.0.0.1", **limits: Any
    ) -> AsyncIterator[Stub]:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        async with open_world(RULES, **limits) as world:
            gate: Gate = attrs.evolve(world.gate, names=names or world.gate.names)
            listener = (await trio.open_tcp_listeners(0, host=host))[0]
            with listener.socket, trio.socket.socket(family, socket.SOCK_DGRAM) as sock:
                await sock.bind((host, 0))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(keep_dns_udp, sock, gate)
                    nursery.start_soon(keep_dns_tcp, listener, gate)
                    udp, tcp = sock.getsockname()[1], listener.socket.getsockname()[1]
                    stub = Stub(world, udp, tcp, nursery.cancel_scope, host)
                    yield stub
                    for stream in stub.streams:
                        stream.socket.close()
                    nursery.cancel_scope.cancel()

    return opened


def wire(name: str, rdtype: str = "A") -> bytes:
    return dns.message.make_query(name, rdtype, id=0x1234).to_wire()


def addresses(answer: dns.message.Message) -> list[str]:
    return [record.to_text() for rrset in answer.answer for record in rrset]


# answers


@pytest.mark.parametrize("over", ["udp", "tcp"])
async def test_an_allowed_name_gets_its_synthetic_addresses(open_stub: OpenStub, over: str) -> None:
    async with open_stub() as stub:
        assert addresses(await stub.ask("api.example.com", "A", over)) == ["198.18.0.2"]
        assert addresses(await stub.ask("API.example.COM.", "AAAA", over)) == ["fd74:7269:6f65:6772::2"]
        assert addresses(await stub.ask("deep.in.pkg.example", "A", over)) == ["198.18.0.3"]
        assert stub.world.gate.names.name_of(ip_address("198.18.0.2")) == "api.example.com"
    assert stub.counts() == {
        ("allow", "dns:api.example.com", "A", over): 1,
        ("allow", "dns:api.example.com", "AAAA", over): 1,
        ("allow", "dns:deep.in.pkg.example", "A", over): 1,
    }


@pytest.mark.parametrize("rdtype", ["HTTPS", "SVCB", "TXT", "NULL", "MX", "ANY", "TYPE65280"])
async def test_any_other_type_of_an_allowed_name_is_answered_empty(open_stub: OpenStub, rdtype: str) -> None:
    async with open_stub() as stub:
        answer = await stub.ask("api.example.com", rdtype)
        assert answer.rcode() == dns.rcode.NOERROR
        assert not answer.answer
        assert stub.world.gate.names.name_of(ip_address("198.18.0.2")) is None
    assert stub.counts() == {("allow", "dns:api.example.com", rdtype, "udp"): 1}


@pytest.mark.parametrize("over", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("evil.example", "no rule allows evil.example"),
        ("api.example.com.evil.example", "no rule allows api.example.com.evil.example"),
        (
            "pkg.example",
            "no rule allows pkg.example: egress[1] '*.pkg.example:8443' (line 7) allows only the names below it",
        ),
        ("2.0.18.198.in-addr.arpa", "no rule allows 2.0.18.198.in-addr.arpa"),
    ],
)
async def test_a_denied_name_is_refused_with_the_reason(
    open_stub: OpenStub, name: str, why: str, over: str
) -> None:
    async with open_stub() as stub:
        answer = await stub.ask(name, "A", over, use_edns=0)
        assert answer.rcode() == dns.rcode.NXDOMAIN
        assert not answer.authority  # a cache would keep it
        (option,) = answer.options
        assert isinstance(option, dns.edns.EDEOption)
        assert option.code == dns.edns.EDECode.BLOCKED
        assert option.text == why
        assert not stub.world.gate.names.name_of(ip_address("198.18.0.2"))
    assert stub.counts() == {("block", f"dns:{name}", "A", over): 1}
    assert stub.reasons() == [("default_deny", why)]


@pytest.mark.parametrize(
    ("name", "target", "layer", "rcode"),
    [
        ("192.0.2.1", "dns:192.0.2.1", "default_deny", dns.rcode.NXDOMAIN),
        ("0x7f.1", "dns:127.0.0.1", "default_deny", dns.rcode.NXDOMAIN),
        (".", "dns:.", "malformed", dns.rcode.REFUSED),
        ("xn--zzzzzz.example", "dns:xn--zzzzzz.example", "malformed", dns.rcode.REFUSED),
    ],
)
async def test_what_is_no_name_is_refused(
    open_stub: OpenStub, name: str, target: str, layer: str, rcode: dns.rcode.Rcode
) -> None:
    async with open_stub() as stub:
        assert (await stub.ask(name)).rcode() == rcode
    assert stub.counts() == {("block", target, "A", "udp"): 1}
    assert stub.reasons()[0][0] == layer


async def test_with_no_address_left_a_new_name_is_refused_and_the_others_stay(open_stub: OpenStub) -> None:
    async with open_stub(names=Names(capacity=1)) as stub:
        assert addresses(await stub.ask("api.example.com")) == ["198.18.0.2"]
        assert (await stub.ask("a.pkg.example")).rcode() == dns.rcode.REFUSED
        assert addresses(await stub.ask("api.example.com", "AAAA")) == ["fd74:7269:6f65:6772::2"]
        assert not addresses(await stub.ask("a.pkg.example", "HTTPS"))
    assert stub.counts()["block", "dns:a.pkg.example", "A", "udp"] == 1
    assert ("limit", "no synthetic address is left for another name") in stub.reasons()


async def test_ipv6_clients_are_answered(open_stub: OpenStub) -> None:
    async with open_stub(host="::1") as stub:
        assert addresses(await stub.ask("api.example.com")) == ["198.18.0.2"]
        assert addresses(await stub.ask("api.example.com", over="tcp")) == ["198.18.0.2"]
        with stub.dial() as client:
            client.send(b"garbage")
            await stub.ask("api.example.com", "HTTPS")
    assert stub.counts()["block", "dns:::1", "", "udp"] == 1


# real resolvers


@pytest.mark.parametrize("over", ["udp", "tcp"])
async def test_a_resolver_resolves_what_is_allowed_and_nothing_else(open_stub: OpenStub, over: str) -> None:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    async with open_stub() as stub:
        resolver.port = stub.udp if over == "udp" else stub.tcp
        found = await resolver.resolve_name("api.example.com", tcp=over == "tcp")
        assert sorted(found.addresses()) == ["198.18.0.2", "fd74:7269:6f65:6772::2"]
        with pytest.raises(dns.resolver.NXDOMAIN):
            await resolver.resolve("evil.example", tcp=over == "tcp")
    assert stub.counts()["block", "dns:evil.example", "A", over] >= 1


NODE = """
const resolver = new (require("dns").promises.Resolver)();
resolver.setServers(["127.0.0.1:PORT"]);
Promise.all(["api.example.com", "evil.example"].map(name => resolver.resolve4(name).catch(error => error.code)))
  .then(found => console.log(JSON.stringify(found)));
"""


@pytest.mark.programs
async def test_node_resolves_what_is_allowed_and_nothing_else(open_stub: OpenStub) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    async with open_stub() as stub:
        command = ["node", "-e", NODE.replace("PORT", str(stub.udp))]
        ended = await trio.run_process(command, capture_stdout=True)
    assert ended.stdout.strip() == b'[["198.18.0.2"],"ENOTFOUND"]'
    assert stub.counts()["block", "dns:evil.example", "A", "udp"] >= 1


# malformed


@pytest.mark.parametrize(
    ("raw", "answered"),
    [
        (wire("api.example.com")[:-1], True),
        (wire("api.example.com") + b"\x00", True),
        (wire("api.example.com").ljust(QUERY_BYTES + 1, b"\x00"), True),
        (wire("api.example.com").ljust(60_000, b"\x00"), True),
        (b"\x00" * 12, True),
        (b"\x00" * 11, False),
        (b"", False),
        (b"\xbe\xef\x81\x80" + wire("api.example.com")[4:], False),
    ],
)
async def test_a_malformed_datagram_gets_formerr_or_silence_and_a_receipt(
    open_stub: OpenStub, raw: bytes, answered: bool
) -> None:
    async with open_stub() as stub:
        with stub.dial() as client:
            client.send(raw)
            await stub.ask("api.example.com")  # answered after it
            if answered:
                answer = dns.message.from_wire(client.recv(QUERY_BYTES, socket.MSG_DONTWAIT))
                assert answer.rcode() == dns.rcode.FORMERR
            else:
                with pytest.raises(BlockingIOError):
                    client.recv(QUERY_BYTES, socket.MSG_DONTWAIT)
    assert stub.counts() == {("block", OWN, "", "udp"): 1, ("allow", "dns:api.example.com", "A", "udp"): 1}
    assert stub.reasons()[0][0] == "malformed"


async def test_a_client_that_has_gone_ends_nothing(open_stub: OpenStub) -> None:
    async with open_stub() as stub:
        for _ in range(3):
            with stub.dial() as client:
                client.send(wire("api.example.com"))
        assert addresses(await stub.ask("api.example.com")) == ["198.18.0.2"]
    assert stub.counts() == {("allow", "dns:api.example.com", "A", "udp"): 4}


async def test_a_port_unreachable_that_comes_back_ends_nothing(open_world: OpenWorld) -> None:
    """A connected socket hears of the closed port at its next receive (`man 7 udp`, ECONNREFUSED)."""
    async with open_world(RULES) as world, trio.open_nursery() as nursery:
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            await sock.bind(("127.0.0.1", 0))
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.bind(("127.0.0.1", 0))
            place = client.getsockname()
            client.sendto(wire("api.example.com"), sock.getsockname())
            client.close()
            await sock.connect(place)
            nursery.start_soon(keep_dns_udp, sock, world.gate)
            await trio.testing.wait_all_tasks_blocked()
            with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
                await again.bind(place)
                await again.sendto(wire("api.example.com"), sock.getsockname())
                assert addresses(dns.message.from_wire(await again.recv(QUERY_BYTES))) == ["198.18.0.2"]
            nursery.cancel_scope.cancel()


async def test_an_answer_that_cannot_be_sent_ends_nothing(open_world: OpenWorld) -> None:
    async with open_world(RULES) as world, trio.open_nursery() as nursery:
        with (
            trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        ):
            await sock.bind(("127.0.0.1", 0))
            client.connect(sock.getsockname())
            with suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            with pytest.raises(BrokenPipeError):
                await sock.sendto(b"x", client.getsockname())
            nursery.start_soon(keep_dns_udp, sock, world.gate)
            for name in ("a.example", "b.example"):
                client.send(wire(name))
                await trio.testing.wait_all_tasks_blocked(0.01)
            assert not nursery.cancel_scope.cancel_called
            nursery.cancel_scope.cancel()
            await trio.lowlevel.checkpoint_if_cancelled()
    assert [receipt.target for receipt in world.receipts()] == ["dns:a.example", "dns:b.example"]


# connections


async def ask_again(stub: Stub) -> None:
    """Another client is served."""
    assert addresses(await stub.ask("api.example.com", over="tcp")) == ["198.18.0.2"]


async def leave(stream: trio.SocketStream) -> None:
    await stream.aclose()


async def end(stream: trio.SocketStream) -> None:
    await stream.send_eof()
    assert await stream.receive_some() == b""


async def reset(stream: trio.SocketStream) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    stream.socket.close()


async def wait(stream: trio.SocketStream) -> None:
    assert await stream.receive_some() == b""


MESSAGE = render_message(wire("api.example.com"))


@pytest.mark.parametrize("go", [leave, end, reset, wait])
@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"", "a DNS connection without a query"),
        (MESSAGE[:1], "a DNS message that is cut short or longer than a query can be"),
        (MESSAGE[:2], "a DNS message that is cut short or longer than a query can be"),
        (MESSAGE[:-1], "a DNS message that is cut short or longer than a query can be"),
    ],
)
async def test_a_client_that_ends_early_ends_its_own_connection_only(
    open_stub: OpenStub, sent: bytes, why: str, go: Callable[[trio.SocketStream], Awaitable[None]]
) -> None:
    async with open_stub(dns_idle_seconds=1.0 if go is wait else 60.0) as stub:
        stream = await stub.connect()
        await stream.send_all(sent)
        await go(stream)
        await ask_again(stub)
        await trio.testing.wait_all_tasks_blocked()
    assert stub.counts() == {("block", OWN, "", "tcp"): 1, ("allow", "dns:api.example.com", "A", "tcp"): 1}
    assert ("malformed", why) in stub.reasons()


@pytest.mark.parametrize("go", [leave, reset])
async def test_a_client_that_leaves_before_its_answers_has_its_queries_recorded(
    open_stub: OpenStub, go: Callable[[trio.SocketStream], Awaitable[None]]
) -> None:
    async with open_stub() as stub:
        stream = await stub.connect()
        await trio.testing.wait_all_tasks_blocked()
        await stream.send_all(MESSAGE * 3)
        await trio.testing.wait_all_tasks_blocked(0.01)
        await go(stream)
        await ask_again(stub)
    assert stub.counts() == {("allow", "dns:api.example.com", "A", "tcp"): 4}


@pytest.mark.parametrize(
    "raw", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4000, (QUERY_BYTES + 1).to_bytes(2, "big")]
)
async def test_garbage_ends_its_connection_with_a_receipt(open_stub: OpenStub, raw: bytes) -> None:
    async with open_stub() as stub:
        stream = await stub.connect()
        await stream.send_all(raw)
        with pytest.raises(trio.BrokenResourceError) if len(raw) > QUERY_BYTES else nullcontext():
            assert await stream.receive_some() == b""
        await ask_again(stub)
    assert stub.counts()["block", OWN, "", "tcp"] == 1


async def test_a_malformed_message_is_answered_and_the_connection_goes_on(open_stub: OpenStub) -> None:
    async with open_stub() as stub:
        stream = await stub.connect()
        await stream.send_all(render_message(b"\x00" * 12) + render_message(b"") + MESSAGE)
        answers = b""
        while len(answers) < 2 + 12 + len(MESSAGE) + 16:
            answers += await stream.receive_some()
        assert dns.message.from_wire(answers[2:14]).rcode() == dns.rcode.FORMERR
        assert addresses(dns.message.from_wire(answers[16:])) == ["198.18.0.2"]
        await stream.aclose()
    assert stub.counts() == {("block", OWN, "", "tcp"): 2, ("allow", "dns:api.example.com", "A", "tcp"): 1}


async def test_queries_in_pieces_and_queries_in_one_piece_are_all_answered(open_stub: OpenStub) -> None:
    async with open_stub() as stub:
        stream = await stub.connect()
        for at in range(len(MESSAGE)):
            await stream.send_all(MESSAGE[at : at + 1])
        await stream.send_all(MESSAGE * 9)
        answers = b""
        while len(answers) < 10 * (len(MESSAGE) + 16):
            answers += await stream.receive_some()
        assert answers.count(ip_address("198.18.0.2").packed) == 10
        await stream.aclose()
    assert stub.counts() == {("allow", "dns:api.example.com", "A", "tcp"): 10}


async def test_a_client_that_reads_no_answer_is_left_and_others_are_served(open_stub: OpenStub) -> None:
    async with open_stub(dns_send_seconds=0.05) as stub:
        stream = await stub.connect(buffer_bytes=1)
        with suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(MESSAGE * 1000)
        await ask_again(stub)


async def test_more_connections_than_the_limit_wait_their_turn(open_stub: OpenStub) -> None:
    async with open_stub(connections=2) as stub:
        first, second, third = [await stub.connect() for _ in range(3)]
        await third.send_all(MESSAGE)
        await second.send_all(MESSAGE)
        assert await second.receive_some()
        with trio.move_on_after(0.05) as waited:
            await third.receive_some()
        assert waited.cancelled_caught
        await first.aclose()
        assert await third.receive_some()
        await third.aclose()
        await second.aclose()


# receipts


async def test_repeats_are_one_receipt_with_their_exact_count(
    open_stub: OpenStub, mock_clock: trio.testing.MockClock
) -> None:
    async with open_stub() as stub:
        with stub.dial() as client:
            client.settimeout(5)
            for _ in range(500):
                await trio.to_thread.run_sync(client.send, wire("evil.example"))
                await trio.to_thread.run_sync(client.recv, QUERY_BYTES)
    assert stub.counts() == {("block", "dns:evil.example", "A", "udp"): 500}
    assert len(stub.world.receipts()) <= 12


@pytest.mark.parametrize(
    ("suffix", "verdict", "group"),
    [("evil.example", "block", OWN), ("pkg.example", "allow", "dns:*.pkg.example")],
)
async def test_a_flood_of_names_costs_few_receipts_and_counts_every_query(
    open_stub: OpenStub, mock_clock: trio.testing.MockClock, suffix: str, verdict: str, group: str
) -> None:
    async with open_stub() as stub:
        stream = await stub.connect()

        async def flood() -> None:
            for start in range(0, 3000, 100):
                names = [f"{number}.{suffix}" for number in range(start, start + 100)]
                await stream.send_all(b"".join(render_message(wire(name)) for name in names))
            await stream.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            async for _ in stream:
                pass
    counts = stub.counts()
    assert sum(counts.values()) == 3000
    assert counts[verdict, group, "", "tcp"] == 3000 - sum(1 for _, target, *_ in counts if target != group)
    assert len(stub.world.receipts()) < 1500
    assert {receipt.verdict for receipt in stub.world.receipts()} == {verdict}


async def test_queries_that_wait_when_the_run_ends_are_recorded(open_stub: OpenStub) -> None:
    async with open_stub() as stub:
        await stub.ask("api.example.com")
        with stub.dial() as client:
            for _ in range(5):
                client.send(wire("evil.example"))
            stub.scope.cancel()
    assert stub.counts()["block", "dns:evil.example", "A", "udp"] == 5
