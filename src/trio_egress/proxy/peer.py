"""A connected socket, the bytes that were read from it ahead of their use, and its faults as one error.

Rule 1: what the other end can cause (reset, broken pipe, time-out, no route) is raised as the peer's own fault,
PeerError for the agent and UpstreamError for an upstream. Any other OSError is a bug of ours and stays what it is.
Rule 2: no read is larger than READ_BYTES, and nothing is read ahead but by `fill`.
Rule 3: a read that needn't wait gives others their turn; a write that needn't wait goes on at once, which spares a
turn of Trio's loop: whoever writes has read before.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
from collections.abc import Callable

import trio

from trio_egress.errors import PeerError, UpstreamError

READ_BYTES = 64 * 1024
"""One read: what a loopback segment holds at most, and what asyncio and h11's own examples read or less."""

OUR_FAULTS = frozenset({errno.EBADF, errno.EFAULT, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP})
"""What send, recv, shutdown and splice report when the caller is wrong (`man 2 send`); the rest is the peer's."""


class Count:
    """What is told, one way of a connection: how many bytes the kernel has just taken for the receiving side.

    `claim` is asked before they go; every claim is followed by one `took`.
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell

    def claim(self, wanted: int) -> int:
        """How many of so many bytes may go now, at least one. Raises UsedUp where none may."""
        return wanted

    def took(self, _claimed: int, sent: int) -> None:
        """Of the claimed bytes so many went."""
        if sent:
            self._tell(sent)


UNCOUNTED = Count(lambda _sent: None)
_NO_LINGER = struct.pack("ii", 1, 0)


async def read_some(sock: trio.socket.SocketType, size: int) -> bytes:
    """Up to `size` bytes; empty at the end of the stream. Cancellation loses nothing. Raises OSError."""
    await trio.lowlevel.checkpoint_if_cancelled()
    try:
        raw = os.read(sock.fileno(), size)
    except BlockingIOError:
        pass
    else:
        await trio.lowlevel.cancel_shielded_checkpoint()
        return raw
    while True:
        await trio.lowlevel.wait_readable(sock)
        with contextlib.suppress(BlockingIOError):
            return os.read(sock.fileno(), size)


async def write_some(sock: trio.socket.SocketType, raw: bytes | memoryview) -> int:
    """How many of these bytes the kernel has taken, at least one. Raises OSError."""
    await trio.lowlevel.checkpoint_if_cancelled()
    while True:
        with contextlib.suppress(BlockingIOError):
            return os.write(sock.fileno(), raw)
        await trio.lowlevel.wait_writable(sock)


class Peer:
    """One side of a connection. Not a checkpoint: `end`, `reset`, `close`, `quiet`, `take`."""

    __slots__ = ("_ended", "_fault", "_who", "ahead", "sock")

    splices = True
    """Whether its bytes are those of its socket."""

    def __init__(self, sock: trio.socket.SocketType, fault: type[PeerError] | type[UpstreamError]) -> None:
        self.sock = sock
        self.ahead = b""
        self._ended = False
        self._fault = fault
        self._who = "the agent" if fault is PeerError else "the upstream"

    def blame(self, what: str) -> PeerError | UpstreamError:
        """This side's error, as a sentence that begins with it."""
        return self._fault(f"{self._who} {what}")

    def blame_for(self, error: OSError) -> Exception:
        """The peer's error for `error`, or `error` itself when it is our own fault."""
        if error.errno in OUR_FAULTS:
            return error
        if error.errno in (errno.ECONNRESET, errno.EPIPE):
            return self.blame("reset the connection")
        return self.blame(f"failed: {error.strerror or error}")

    async def recv(self, size: int = READ_BYTES) -> bytes:
        """Up to `size` bytes, those read ahead first; empty at the end of the stream."""
        if self.ahead:
            raw, self.ahead = self.ahead[:size], self.ahead[size:]
            return raw
        try:
            raw = await read_some(self.sock, size)
        except OSError as error:
            raise self.blame_for(error) from None
        if not raw:
            self.check_end()
        return raw

    async def fill(self) -> bool:
        """Read more ahead; False at the end of the stream. Cancellation loses nothing."""
        try:
            raw = await read_some(self.sock, READ_BYTES)
        except OSError as error:
            raise self.blame_for(error) from None
        if not raw:
            self.check_end()
        self.ahead += raw
        return bool(raw)

    def take(self) -> bytes:
        """All that was read ahead."""
        raw, self.ahead = self.ahead, b""
        return raw

    async def send(self, raw: bytes, count: Count | None = None) -> None:
        """All of `raw`; `count` hears of each part when the kernel has it, also when the rest fails."""
        rest = memoryview(raw)
        count = count or UNCOUNTED
        while rest:
            claimed, sent = count.claim(len(rest)), 0
            try:
                sent = await write_some(self.sock, rest[:claimed])
            except OSError as error:
                raise self.blame_for(error) from None
            finally:
                count.took(claimed, sent)
            rest = rest[sent:]

    def end(self) -> None:
        """Say that nothing more comes from here (a half-close)."""
        try:
            self._ended = True
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise self.blame_for(error) from None

    def check_end(self) -> None:
        """Raise if the end of the stream that was just read is a reset after all.

        Linux reports a reset once, here to a `send` that runs beside; what reads after that finds an end. But a side
        that only closed can still be written to, so it doesn't hang up (tcp_poll: POLLHUP means both directions).
        """
        poll = select.poll()
        poll.register(self.sock.fileno(), 0)
        if not self._ended and poll.poll(0):
            raise self.blame("reset the connection")

    async def wait_word(self) -> None:
        """Return when this side has sent something or half-closed; raise when it resets."""
        try:
            await self.sock.recv(1, socket.MSG_PEEK)
        except OSError as error:
            raise self.blame_for(error) from None

    async def wait_gone(self) -> None:
        """Return when this side has closed, its sending half at least, or reset, whatever waits to be read."""
        await self._wait_for(select.EPOLLRDHUP)

    async def wait_reset(self) -> None:
        """Return when neither side can send any more."""
        await self._wait_for(0)

    async def _wait_for(self, events: int) -> None:
        """One of them, or the end of both directions."""
        with select.epoll() as poll:
            poll.register(self.sock.fileno(), events)
            await trio.lowlevel.wait_readable(poll.fileno())

    def quiet(self) -> bool:
        """Whether it has sent nothing that isn't read, and is still there."""
        poll = select.poll()
        poll.register(self.sock.fileno(), select.POLLIN | select.POLLRDHUP)
        return not self.ahead and not poll.poll(0)

    def reset(self) -> None:
        """Close so that the other end sees a reset, never a clean end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.sock.close()

    def close(self) -> None:
        self.sock.close()
