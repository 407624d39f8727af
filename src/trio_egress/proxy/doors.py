"""Everything by which the sandbox reaches the supervisor, opened and closed together.

The transparent listeners, the HTTP proxy, the DNS stub, and the kernel's log of what it dropped.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import attrs
import trio

from trio_egress.proxy.books import Books
from trio_egress.proxy.dns import keep_dns_tcp, keep_dns_udp
from trio_egress.proxy.drops import Drops
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.listen import keep_explicit, keep_transparent
from trio_egress.values import define

FAMILIES = ("v4", "v6")

SETTLE_SECONDS = 1.0
"""How long a packet may be under way inside one machine that is busy: the kernel's own thread has to get its turn."""


@define
class Doors:
    """The open doors of one run."""

    _connections: trio.CancelScope
    _sockets: Mapping[str, socket.socket]
    _books: Books
    _drops: Drops
    _accepting: list[trio.CancelScope] = attrs.field(factory=list)

    def close(self, grace_seconds: float) -> None:
        """Accept nothing more; open connections may go on for so long. The doors' context waits for them."""
        for scope in self._accepting:
            scope.cancel()
        self._connections.deadline = trio.current_time() + grace_seconds

    async def settle(self, counters: Mapping[str, tuple[int, int]]) -> None:
        """Record what the kernel counted and nobody here has seen: after the doors' context, when all traffic is ended.

        What was sent last may still be on its way to a socket; that is waited for, but not for long.
        """
        queries = [self._sockets[f"dns_udp_{family}"] for family in FAMILIES]
        with trio.move_on_after(SETTLE_SECONDS):
            while True:
                self._books.count_waiting(queries)
                if self._books.is_settled(counters):
                    break
                await trio.sleep(SETTLE_SECONDS / 100)
        self._books.settle(counters)
        self._drops.settle(counters)


@asynccontextmanager
async def open_doors(sockets: Mapping[str, socket.socket], gate: Gate, drops: Drops) -> AsyncIterator[Doors]:
    """Open until the body has called `close` and left, and the open connections have ended.

    The sockets stay the caller's to close.
    """
    async with trio.open_nursery() as others:
        async with trio.open_nursery() as connections:
            doors = Doors(connections.cancel_scope, sockets, gate.books, drops)
            for family in FAMILIES:
                for keep, name in ((keep_transparent, "transparent"), (keep_explicit, "proxy")):
                    scope = trio.CancelScope()
                    doors._accepting.append(scope)
                    connections.start_soon(keep, _listener(sockets[f"{name}_{family}"]), gate, scope)
                others.start_soon(keep_dns_tcp, _listener(sockets[f"dns_tcp_{family}"]), gate)
                others.start_soon(keep_dns_udp, _trio_socket(sockets[f"dns_udp_{family}"]), gate)
            others.start_soon(drops.keep, gate.in_force.settlers)
            yield doors
        others.cancel_scope.cancel()


def _trio_socket(sock: socket.socket) -> trio.socket.SocketType:
    sock.setblocking(False)
    return trio.socket.from_stdlib_socket(sock)


def _listener(sock: socket.socket) -> trio.SocketListener:
    return trio.SocketListener(_trio_socket(sock))
