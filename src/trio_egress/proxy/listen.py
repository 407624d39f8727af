"""Accepts on the listeners that were made inside the sandbox, one task a connection, for as long as the run lives.

Rule 1: a connection is closed in every case when its task ends, and never by anyone else.
Rule 2: at most `limits.connections` are open at once; more wait in the backlog.
Rule 3: what waits there at the end is accepted to be recorded and closed.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

import trio

from trio_egress.errors import PeerError
from trio_egress.kernel.origin import original_destination
from trio_egress.model import Endpoint
from trio_egress.proxy.connection import (
    Socket,
    handle_explicit,
    handle_transparent,
    leave_explicit,
    leave_transparent,
)
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.peer import NO_ROOM, NO_ROOM_SECONDS
from trio_egress.proxy.readiness import find_desk

Handle = Callable[[trio.socket.SocketType, Gate], Awaitable[None]]
Leave = Callable[[socket.socket], None]

WAITING = 16_384
"""Connections taken out of a backlog at the end: four times what fits in (launcher.LISTEN_BACKLOG)."""

ENDED = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EPERM})
"""accept(2) fails with these for a connection that is over; the next one may be sound."""


async def keep_transparent(
    listener: trio.SocketListener, gate: Gate, accepting: trio.CancelScope | None = None
) -> None:
    """Handle redirected connections; see `keep_listener`."""
    family = listener.socket.family

    async def handle(sock: trio.socket.SocketType, gate: Gate) -> None:
        await handle_transparent(sock, _find_destination(sock, family), gate)

    def leave(sock: socket.socket) -> None:
        leave_transparent(sock, _find_destination(sock, family), gate)

    await keep_listener(listener, handle, gate, accepting, leave)


async def keep_explicit(
    listener: trio.SocketListener, gate: Gate, accepting: trio.CancelScope | None = None
) -> None:
    """Handle connections to the HTTP proxy; see `keep_listener`."""
    await keep_listener(listener, handle_explicit, gate, accepting, lambda sock: leave_explicit(sock, gate))


def _find_destination(sock: Socket, family: int) -> Endpoint | None:
    """None for a connection that was not redirected, or so long ago that the kernel has forgotten it."""
    try:
        asked = original_destination(sock, family)
    except PeerError:
        return None
    own = sock.getsockname()
    return None if asked == Endpoint(ip_address(own[0]), own[1]) else asked


async def keep_listener(
    listener: trio.SocketListener,
    handle: Handle,
    gate: Gate,
    accepting: trio.CancelScope | None = None,
    leave: Leave | None = None,
) -> None:
    """Accept until `accepting` is cancelled, then return when the open connections have ended.

    `leave` gets each connection that was not accepted by then, and must not block. Cancellation from outside ends the
    open connections too. The listener is the caller's to close.
    """
    room = trio.Semaphore(gate.limits.connections)
    find_desk()  # as long as there are descriptors

    async def serve(sock: trio.socket.SocketType) -> None:
        try:
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await handle(sock, gate)
        finally:
            room.release()

    try:
        async with trio.open_nursery() as nursery:
            with accepting or trio.CancelScope():
                while True:
                    try:
                        room.acquire_nowait()  # which spares a turn of the loop
                    except trio.WouldBlock:
                        await room.acquire()
                    nursery.start_soon(serve, await _accept(listener))
    finally:
        if leave is not None:
            _empty_backlog(listener, leave)


def _empty_backlog(listener: trio.SocketListener, leave: Leave) -> None:
    """Accept what waits, without waiting. What can't be accepted is for the books to settle."""
    if listener.socket.fileno() < 0:
        return
    try:
        backlog = socket.socket(fileno=os.dup(listener.socket.fileno()))
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        return
    with backlog:
        for _ in range(WAITING):
            try:
                sock, _ = backlog.accept()
            except OSError as error:
                if error.errno in ENDED:
                    continue
                return
            with sock:
                leave(sock)


async def _accept(listener: trio.SocketListener) -> trio.socket.SocketType:
    """The next connection. What ended before it was accepted is none; what finds no room stays in the backlog."""
    while True:
        try:
            return (await listener.socket.accept())[0]
        except OSError as error:
            if error.errno in NO_ROOM:
                await trio.sleep(NO_ROOM_SECONDS)
            elif error.errno not in ENDED:
                raise
