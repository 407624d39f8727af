"""The run's way to the process that ends SSH for git, and the keys that it is lent, one command at a time.

Rule 1: it gets descriptors whose other ends are here: it reaches neither the agent nor the outside but through them.
Rule 2: at most RELAYS_MOST connections are open at once; more wait.
"""

from __future__ import annotations

import array
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager, suppress

import attrs
import trio

from trio_egress.errors import PeerError
from trio_egress.proxy.peer import NO_ROOM, Count, Peer
from trio_egress.values import frozen

RELAYS_MOST = 16
"""A process each, of some 15 MB of its own."""

CONNECTION = b"connection"


@frozen
class HeldKey:
    """A private key that the agent never has. `user`: whom it logs in as. `commitment` stands for it in receipts."""

    name: str
    user: str
    text: str = attrs.field(repr=False)
    commitment: str


class LinePeer(Peer):
    """One of our ends of a pair of Unix sockets. Its other end is closed by a process that ends, which is no reset."""

    __slots__ = ()

    def check_end(self) -> None:
        """Nothing: an end is an end."""

    def hang_up(self) -> None:
        """Both ways, so that both ends see it; the socket stays open, since another task may wait for it."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    async def send(self, raw: bytes, count: Count | None = None) -> None:
        """What comes after the other end has left is for nobody."""
        try:
            await super().send(raw, count)
        except PeerError:
            return


@frozen
class Line:
    """Our ends of one connection's three: the agent's SSH, the server's, and what is said about them."""

    inner: LinePeer
    outer: LinePeer
    channel: LinePeer


class GitRelay:
    """Of one run. `control` is not closed here."""

    def __init__(self, control: trio.socket.SocketType, keys: Iterable[HeldKey]) -> None:
        self._control = control
        self._room = trio.Semaphore(RELAYS_MOST)
        self.keys = {key.name: key for key in keys}

    @asynccontextmanager
    async def open_line(self) -> AsyncIterator[Line]:
        """A connection's own process, which ends when the body is left. Raises PeerError where there is none."""
        async with self._room:
            with ExitStack() as stack:
                pairs = _open_pairs(stack)
                ours, theirs = ([pair[side] for pair in pairs] for side in (0, 1))
                descriptors = array.array("i", [sock.fileno() for sock in theirs])
                try:
                    await self._control.sendmsg(
                        [CONNECTION], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
                    )
                except OSError as error:
                    raise PeerError(f"what ends SSH for git is gone: {error.strerror or error}") from None
                for sock in theirs:
                    sock.close()
                for sock in ours:
                    sock.setblocking(False)
                yield Line(*(LinePeer(trio.socket.from_stdlib_socket(sock), PeerError) for sock in ours))


def _open_pairs(stack: ExitStack) -> list[tuple[socket.socket, socket.socket]]:
    """Three, which the stack closes. Raises PeerError where no descriptors are left."""
    pairs: list[tuple[socket.socket, socket.socket]] = []
    for _ in range(3):
        try:
            pairs.append(socket.socketpair())
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise PeerError(f"nothing is left to carry git with: {error.strerror}") from None
        for sock in pairs[-1]:
            stack.enter_context(sock)
    return pairs
