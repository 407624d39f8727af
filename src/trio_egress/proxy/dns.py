"""The DNS stub: the only DNS that the sandbox has, and it has no upstream.

It forwards nothing and asks nobody: an allowed name gets its synthetic addresses, and what it really resolves to is
asked for by the supervisor alone, after a connection to it was allowed.

Rule 1: every query is in exactly one receipt, by itself or in the count of a sum; so is a connection without one. The
first of a connection says so, so that the connections add up as well.
Rule 2: nobody waits for a client: an answer that it does not take is lost, as DNS allows.
Rule 3: a client can end its own connection and nothing else.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from ipaddress import ip_address
from typing import Final

import attrs
import trio

from trio_egress.errors import PeerError
from trio_egress.kernel.nft import DNS_TCP, DNS_UDP
from trio_egress.model import Address, Attempt, Decision, Host, Layer, Name, Protocol, Transport
from trio_egress.policy.hosts import parse_host
from trio_egress.proxy.books import Entries
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.judge import answer
from trio_egress.proxy.listen import keep_listener
from trio_egress.proxy.peer import OUR_FAULTS, Peer
from trio_egress.proxy.tally import Sum, open_tally
from trio_egress.recorder import Recorder
from trio_egress.values import frozen
from trio_egress.wire import dns

TTL_SECONDS: Final = 300
"""Any value would do, the addresses hold for the whole run; this is what clients see most."""

WAITING: Final = 4096
"""Datagrams read at the end: more than the kernel's default receive buffer (208 KiB) holds."""


UDP_GRO: Final = 104
"""linux/udp.h: what was sent as one packet to be cut into many (UDP_SEGMENT) is received as one, as it was counted."""


@frozen
class _Asked:
    """What one receipt tells of: queries with the same question and the same decision."""

    attempt: Attempt
    decision: Decision
    rdtype: str
    opens: bool = False


Count = Callable[[_Asked, _Asked], None]


@frozen
class _Stub:
    """Judges, counts and answers one message at a time. `own`: the address that it listens on."""

    gate: Gate
    own: Address
    count: Count

    def answer(self, raw: bytes) -> bytes | None:
        """The answer to one message; None where silence is due. Not a checkpoint."""
        try:
            query = dns.parse_query(raw)
        except PeerError as error:
            self.count_unread(str(error))
            return dns.render_malformed(raw)
        host, decision = self._judge(query)
        addresses = None
        if decision.allowed and query.rdtype in (dns.A, dns.AAAA):
            addresses = self.gate.names.address_of(Name(str(host)))
            if addresses is None:
                decision = Decision(False, Layer.LIMIT, "no synthetic address is left for another name")
        self._count(host, decision, dns.render_rdtype(query.rdtype))
        if decision.layer in (Layer.LIMIT, Layer.MALFORMED):
            return dns.render_refusal(query, decision.reason)
        if not decision.allowed:
            return dns.render_denial(query, decision.reason)
        return dns.render_addresses(query, addresses or (), TTL_SECONDS)

    def answer_all(self, buffer: bytearray) -> list[bytes]:
        """Take every whole message off the stream and answer it; empty where silence is due. Raises PeerError."""
        answers = []
        while (raw := dns.take_message(buffer)) is not None:
            answer = self.answer(raw)
            answers.append(b"" if answer is None else dns.render_message(answer))
        return answers

    def count_unread(self, reason: str) -> None:
        """Count a message, or a connection, that holds no question to judge."""
        self._count(self.own, Decision(False, Layer.MALFORMED, reason), "")

    def _judge(self, query: dns.Query) -> tuple[Host, Decision]:
        try:
            host = parse_host(query.name)
        except ValueError as error:
            reason = f"{query.name} is not a host name: {error}"
            return Name(query.name), Decision(False, Layer.MALFORMED, reason)
        return host, answer(self.gate.policy, _attempt(host), self.gate.ledger.moment())

    def _count(self, host: Host, decision: Decision, rdtype: str) -> None:
        """One event for the tally. Where that has no room, it is an event of the rule, or of the layer."""
        rule = decision.rule if decision.allowed else None
        group = self.own if rule is None else Name(rule.destination.partition(":")[0])
        others = Decision(decision.allowed, decision.layer, "a flood of different queries", rule)
        self.count(_Asked(_attempt(host), decision, rdtype), _Asked(_attempt(group), others, ""))


class _Opening:
    """Counts what is asked on one connection; the first of it opens the connection."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self.due = True

    def __call__(self, asked: _Asked, coarse: _Asked) -> None:
        self._count(attrs.evolve(asked, opens=self.due), attrs.evolve(coarse, opens=self.due))
        self.due = False


async def keep_dns_udp(sock: trio.socket.SocketType, gate: Gate) -> None:
    """Answer datagrams for as long as the run lives. The socket stays the caller's to close."""
    sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    async with open_tally(partial(_tell, gate.recorder, "udp"), settlers=gate.in_force.settlers) as count:
        stub = _Stub(gate, ip_address(sock.getsockname()[0]), count)
        try:
            while True:
                await _answer_datagram(sock, stub)
        finally:
            _judge_waiting(sock, stub)


async def _answer_datagram(sock: trio.socket.SocketType, stub: _Stub) -> None:
    try:
        raw, sender = await sock.recvfrom(dns.QUERY_BYTES + 1)
    except OSError as error:
        if error.errno in OUR_FAULTS:
            raise
        await trio.lowlevel.checkpoint()  # raised before trio let others run
        return
    stub.gate.books.add(DNS_UDP)
    answer = stub.answer(raw)
    if answer is not None:
        # A closed port, no route, a full queue: the client's loss. A fault of ours shows at the next receive.
        with suppress(OSError), trio.move_on_after(stub.gate.limits.dns_send_seconds):
            await sock.sendto(answer, sender)


def _judge_waiting(sock: trio.socket.SocketType, stub: _Stub) -> None:
    """What was sent before the end is judged and recorded as well, though it is too late to answer."""
    with suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as waiting:
        for _ in range(WAITING):
            raw = waiting.recv(dns.QUERY_BYTES + 1, socket.MSG_DONTWAIT)
            stub.gate.books.add(DNS_UDP)
            stub.answer(raw)


async def keep_dns_tcp(listener: trio.SocketListener, gate: Gate) -> None:
    """Answer connections for as long as the run lives. The listener stays the caller's to close."""
    async with open_tally(partial(_tell, gate.recorder, "tcp"), settlers=gate.in_force.settlers) as count:
        stub = _Stub(gate, ip_address(listener.socket.getsockname()[0]), count)

        async def handle(sock: trio.socket.SocketType, gate: Gate) -> None:
            with _open_stream(stub) as own:
                await _answer_stream(Peer(sock, PeerError), own)

        def leave(sock: socket.socket) -> None:
            with _open_stream(stub):
                pass

        await keep_listener(listener, handle, gate, leave=leave)


@contextmanager
def _open_stream(stub: _Stub) -> Iterator[_Stub]:
    """The stub of one connection, which is counted once, whatever it asks and whatever ends it."""
    opening = _Opening(stub.count)
    own = attrs.evolve(stub, count=opening)
    stub.gate.books.add(DNS_TCP)
    try:
        yield own
    finally:
        if opening.due:
            own.count_unread("a DNS connection without a query")


async def _answer_stream(peer: Peer, stub: _Stub) -> None:
    """One connection, until its client ends it, breaks it or keeps it waiting; nothing of that is raised."""
    buffer = bytearray()
    with suppress(PeerError, trio.TooSlowError):
        while (answers := await _read_and_judge(peer, stub, buffer)) is not None:
            with trio.fail_after(stub.gate.limits.dns_send_seconds):
                await peer.send(b"".join(answers))
    if buffer:
        stub.count_unread("a DNS message that is cut short or longer than a query can be")


async def _read_and_judge(peer: Peer, stub: _Stub, buffer: bytearray) -> list[bytes] | None:
    """The answers to the next whole messages; None at the end of the stream. What is left of one is in `buffer`."""
    with trio.fail_after(stub.gate.limits.dns_idle_seconds):
        while raw := await peer.recv(dns.QUERY_BYTES):
            buffer += raw
            if answers := stub.answer_all(buffer):
                return answers
    return None


def _attempt(host: Host) -> Attempt:
    return Attempt(Transport.DNS, Protocol.DNS, host, 0)


def _tell(recorder: Recorder | Entries, over: str, item: Sum[_Asked]) -> None:
    """One receipt. Nothing has left and nothing will, so nobody waits for it to be on disk."""
    asked = item.key
    facts: dict[str, object] = {"count": item.count, "over": over, "rdtype": asked.rdtype}
    if asked.opens:
        facts["connections"] = item.count
    record = recorder.allow_nowait if asked.decision.allowed else recorder.refuse_nowait
    record(asked.attempt, asked.decision, facts)
