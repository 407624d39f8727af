"""One connection of the agent, from its first byte to its last receipt.

accept → where to → peek → attempt → decision → receipt → dial → relay → receipt. It goes one way; each step is a file.

Rule 1: every connection leaves a receipt, also one that says nothing or is cut off.
Rule 2: a fault of the agent ends here and ends only this connection. Everything else is a bug and goes up.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address

import attrs
import trio

from trio_egress.errors import PeerError
from trio_egress.kernel.nft import PROXY, REDIRECTED
from trio_egress.model import Attempt, Endpoint, Host, Layer, Protocol, Transport
from trio_egress.proxy.approval import refuse_unasked
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.git_ssh import handle_git, is_for_git
from trio_egress.proxy.http import handle_http
from trio_egress.proxy.judge import Door, deny, judge_best, judge_tcp, may_speak_later
from trio_egress.proxy.peek import read_protocol
from trio_egress.proxy.peer import Peer
from trio_egress.proxy.ssh import handle_ssh
from trio_egress.proxy.tcp import handle_tcp
from trio_egress.proxy.tls import handle_tls

SILENT = "the connection ended before it asked for anything"
NOT_ACCEPTED = "the agent ended before this connection was accepted"

Socket = trio.socket.SocketType | socket.socket


async def handle_transparent(sock: trio.socket.SocketType, asked: Endpoint | None, gate: Gate) -> None:
    """A connection to the transparent listener that was going to `asked`. The socket is the caller's to close."""
    door = _transparent_door(sock, asked, gate)
    agent = Peer(sock, PeerError)
    with _open_connection(door, gate) as own:
        if asked is None:
            await _refuse_direct(agent, door, own)
        else:
            await _shield_run(agent, lambda: _handle_stream(agent, door, own))


async def handle_explicit(sock: trio.socket.SocketType, gate: Gate) -> None:
    """A connection to the HTTP proxy inside the sandbox. The socket is the caller's to close."""
    door = _explicit_door(sock)
    agent = Peer(sock, PeerError)

    async def handle(own: Gate) -> None:
        inside = await handle_http(agent, door, own)
        if inside is not None:
            await _handle_stream(agent, inside, own)

    with _open_connection(door, gate) as own:
        await _shield_run(agent, lambda: handle(own))


def leave_transparent(sock: Socket, asked: Endpoint | None, gate: Gate) -> None:
    """Record a redirected connection that is accepted when the agent has ended. Not a checkpoint."""
    with _open_connection(_transparent_door(sock, asked, gate), gate, NOT_ACCEPTED):
        pass


def leave_explicit(sock: Socket, gate: Gate) -> None:
    """The same for a connection to the HTTP proxy."""
    with _open_connection(_explicit_door(sock), gate, NOT_ACCEPTED):
        pass


@contextmanager
def _open_connection(door: Door, gate: Gate, silence: str = SILENT) -> Iterator[Gate]:
    """The connection's own gate: its receipts carry its number. `silence` is what one says if there is no other."""
    redirected = door.transport is Transport.TRANSPARENT
    entries = gate.books.open_entries(REDIRECTED if redirected else PROXY)
    try:
        yield attrs.evolve(gate, recorder=entries)
    finally:
        if entries.silent:
            protocol = Protocol.TCP if redirected else Protocol.HTTP
            attempt = Attempt(door.transport, protocol, door.host, door.port)
            entries.refuse_nowait(attempt, deny(Layer.MALFORMED, silence))


async def _refuse_direct(agent: Peer, door: Door, gate: Gate) -> None:
    """A connection that nothing says the destination of: its receipt names the listener."""
    attempt = Attempt(door.transport, Protocol.TCP, door.host, door.port)
    await gate.recorder.refuse(
        attempt, deny(Layer.MALFORMED, "this listener takes redirected connections only")
    )
    agent.reset()


def _transparent_door(sock: Socket, asked: Endpoint | None, gate: Gate) -> Door:
    if asked is None:
        own = sock.getsockname()
        return Door(Transport.TRANSPARENT, ip_address(own[0]), own[1])
    return Door(Transport.TRANSPARENT, _host_of(asked, gate), asked.port)


def _explicit_door(sock: Socket) -> Door:
    own = sock.getsockname()
    return Door(Transport.FORWARD, ip_address(own[0]), own[1])


async def _shield_run(agent: Peer, handle: Callable[[], Awaitable[None]]) -> None:
    """Let the agent's faults end its connection and nothing else; whatever they end is recorded already."""
    try:
        await handle()
    except PeerError:
        agent.reset()


def _host_of(asked: Endpoint, gate: Gate) -> Host:
    """The name behind a synthetic address, else the address (a v4-mapped one as IPv4)."""
    address = asked.address
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return gate.names.name_of(address) or address


async def _handle_stream(agent: Peer, door: Door, gate: Gate) -> None:
    """Whatever is spoken to one host and port."""
    try:
        protocol = await read_protocol(agent, gate.limits, lambda: _is_patient(door, gate))
    except PeerError as fault:
        attempt = Attempt(door.transport, Protocol.TCP, door.host, door.port)
        await gate.recorder.refuse(attempt, deny(Layer.MALFORMED, str(fault)))
        agent.reset()
        return
    match protocol:
        case Protocol.TLS:
            await handle_tls(agent, door, gate)
        case Protocol.HTTP:
            await handle_http(agent, door, gate)
        case None:
            await _end_silently(agent, door, gate)
        case Protocol.SSH:
            if gate.git is not None and is_for_git(door, gate):
                await handle_git(agent, door, gate, gate.git)
            else:
                await handle_ssh(agent, door, gate)
        case _:
            await handle_tcp(agent, door, gate)


def _is_patient(door: Door, gate: Gate) -> bool:
    """Whether silence is waited out: a silent client is neither allowed a tunnel nor denied everything."""
    moment = gate.ledger.moment()
    if judge_tcp(gate.policy, door, moment).decision.allowed:
        return False
    return may_speak_later(gate.policy, door, moment)


async def _end_silently(agent: Peer, door: Door, gate: Gate) -> None:
    """A connection that ended, or half-closed, without a byte. Where TCP is allowed, the upstream's word may be all
    that is wanted; elsewhere nothing is dialled, and the receipt says whether it could have been."""
    best = judge_best(gate.policy, door, gate.ledger.moment())
    if best.decision.allowed and best.attempt.protocol is Protocol.TCP:
        await handle_tcp(agent, door, gate)
        return
    reason = "the agent closed the connection before its first byte"
    if best.decision.allowed and best.decision.ask is not None:
        best = refuse_unasked(best, reason)
    if not best.decision.allowed:
        await gate.recorder.refuse(best.attempt, best.decision, {**best.facts, "ended": reason})
    else:
        with await gate.recorder.allow(best.attempt, best.decision) as flow:
            flow.fail(reason)
    agent.close()
