"""Accepts on the listeners that were made inside the sandbox, one task a connection, for as long as the run lives.

Rule 1: a connection is closed in every case when its task ends, and never by anyone else.
Rule 2: at most `limits.connections` are open at once; more wait in the backlog.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

import trio

from trio_egress.errors import PeerError
from trio_egress.kernel.origin import original_destination
from trio_egress.model import Endpoint
from trio_egress.proxy.connection import handle_explicit, handle_transparent, refuse_direct
from trio_egress.proxy.gate import Gate

Handle = Callable[[trio.socket.SocketType, Gate], Awaitable[None]]

NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""accept(2) fails with these until something is closed; the connection stays in the backlog."""

NO_ROOM_SECONDS = 0.1
"""How long to leave it there (trio.serve_listeners waits as long)."""


async def keep_transparent(
    listener: trio.SocketListener, gate: Gate, accepting: trio.CancelScope | None = None
) -> None:
    """Handle redirected connections; see `keep_listener`."""
    family = listener.socket.family

    async def handle(sock: trio.socket.SocketType, gate: Gate) -> None:
        try:
            asked = original_destination(sock, family)
        except PeerError:
            asked = None
        own = sock.getsockname()
        if asked is None or asked == Endpoint(ip_address(own[0]), own[1]):
            await refuse_direct(sock, gate)
        else:
            await handle_transparent(sock, asked, gate)

    await keep_listener(listener, handle, gate, accepting)


async def keep_explicit(
    listener: trio.SocketListener, gate: Gate, accepting: trio.CancelScope | None = None
) -> None:
    """Handle connections to the HTTP proxy; see `keep_listener`."""
    await keep_listener(listener, handle_explicit, gate, accepting)


async def keep_listener(
    listener: trio.SocketListener, handle: Handle, gate: Gate, accepting: trio.CancelScope | None = None
) -> None:
    """Accept until `accepting` is cancelled, then return when the open connections have ended.

    Cancellation from outside ends the open connections too. The listener is the caller's to close.
    """
    room = trio.Semaphore(gate.limits.connections)

    async def serve(sock: trio.socket.SocketType) -> None:
        try:
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await handle(sock, gate)
        finally:
            room.release()

    async with trio.open_nursery() as nursery:
        with accepting or trio.CancelScope():
            while True:
                await room.acquire()
                nursery.start_soon(serve, await _accept(listener))


async def _accept(listener: trio.SocketListener) -> trio.socket.SocketType:
    """The next connection. What ended before it was accepted is none."""
    while True:
        try:
            return (await listener.socket.accept())[0]
        except OSError as error:
            if error.errno in NO_ROOM:
                await trio.sleep(NO_ROOM_SECONDS)
            elif error.errno not in (errno.ECONNABORTED, errno.EPROTO, errno.EPERM):
                raise
