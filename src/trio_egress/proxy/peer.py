"""A connected socket, the bytes that were read from it ahead of their use, and its faults as one error.

Rule 1: what the other end can cause (reset, broken pipe, time-out, no route) is raised as the peer's own fault,
PeerError for the agent and UpstreamError for an upstream. Any other OSError is a bug of ours and stays what it is.
Rule 2: no read is larger than what is asked for, or than `most`, and nothing is read ahead but by `fill`.
Rule 3: what can be read or sent at once is; only AT_ONCE of that in a row is no checkpoint. But nothing is sent once
who sends it was cancelled: the policy may forbid it by now.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections.abc import Callable
from math import inf

import trio

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.proxy.readiness import Readiness

READ_BYTES = 64 * 1024
"""One read: what a loopback segment holds at most, and what asyncio and h11's own examples read or less."""

AT_ONCE = 8
"""… then others have their turn: so much is moved in half a millisecond (64 KiB by recv and send, 2026-11)."""

OUR_FAULTS = frozenset({errno.EBADF, errno.EFAULT, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP})
"""What send, recv, shutdown and splice report when the caller is wrong (`man 2 send`); the rest is the peer's."""


NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What every call that makes a descriptor may report until something is closed: one connection's misfortune, no bug."""

NO_ROOM_SECONDS = 0.1
"""When to try again (trio.serve_listeners waits as long)."""


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


class Peer:
    """One side of a connection. Not a checkpoint: `end`, `reset`, `close`, `quiet`, `take`."""

    __slots__ = ("_at_once", "_ended", "_fault", "_ready", "_who", "ahead", "deadline", "sock", "watched")

    splices = True
    """Whether its bytes are those of its socket."""

    most = READ_BYTES
    """What is worth asking of it at once."""

    def __init__(self, sock: trio.socket.SocketType, fault: type[PeerError] | type[UpstreamError]) -> None:
        self.sock = sock
        self.ahead = b""
        self.deadline = inf
        """The moment of Trio's clock after which a wait for it raises TooSlowError."""

        self.watched: Peer | None = None
        """Another side whose reset is raised by whoever waits for this one to say something."""

        self._ready = Readiness()
        self._at_once = 0
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
        return await self._pull(size)

    async def fill(self) -> bool:
        """Read more ahead; False at the end of the stream. Cancellation loses nothing."""
        raw = await self._pull(READ_BYTES)
        self.ahead += raw
        return bool(raw)

    async def _pull(self, size: int) -> bytes:
        """Of the socket, as soon as there is something."""
        await self._take_turn()
        while True:
            if self._ready.readable:
                try:
                    raw = os.read(self.sock.fileno(), size)
                except BlockingIOError:
                    self._ready.readable = False
                except OSError as error:
                    raise self.blame_for(error) from None
                else:
                    if not raw:
                        self.check_end()
                    return raw
            await self.wait_readable()

    async def _push(self, raw: bytes | memoryview) -> int:
        """As much as the socket takes, at least a byte; nothing of what was cancelled meanwhile."""
        await self._take_turn()
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            if self._ready.writable:
                try:
                    return os.write(self.sock.fileno(), raw)
                except BlockingIOError:
                    self._ready.writable = False
                except OSError as error:
                    raise self.blame_for(error) from None
            await self.wait_writable()

    async def _take_turn(self) -> None:
        self._at_once += 1
        if self._at_once > AT_ONCE:
            self._at_once = 0
            await trio.lowlevel.checkpoint()

    async def wait_readable(self) -> None:
        """When the kernel has said that there is nothing to read: until there may be. Raises TooSlowError."""
        ready, watched = self._ready, self.watched
        self._at_once, ready.readable = 0, False
        if watched is None:
            in_time = await ready.wait_readable(self.sock.fileno(), self.deadline, None, -1)
        else:
            other = watched.sock.fileno()
            in_time = await ready.wait_readable(self.sock.fileno(), self.deadline, watched._ready, other)
            if watched._ready.gone:
                watched.check_reset()
        if not in_time:
            raise trio.TooSlowError

    async def wait_writable(self) -> None:
        """The same for what is to be sent."""
        self._at_once, self._ready.writable = 0, False
        if not await self._ready.wait_writable(self.sock.fileno(), self.deadline):
            raise trio.TooSlowError

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
                sent = await self._push(rest[:claimed])
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
        if not self._ended and self._poll(0):
            raise self.blame("reset the connection")

    async def wait_word(self) -> None:
        """Return when this side has sent something or half-closed; raise when it resets."""
        while not self._poll(select.POLLIN | select.POLLRDHUP):
            await self.wait_readable()
        self.check_reset()

    def check_reset(self) -> None:
        """Raise if it has reset the connection, or failed."""
        failed = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise self.blame_for(OSError(failed, os.strerror(failed)))

    def _poll(self, events: int) -> int:
        """Those of so many kinds that hold now, and those that always count."""
        poll = select.poll()
        poll.register(self.sock.fileno(), events)
        return next((found for _, found in poll.poll(0)), 0)

    async def wait_gone(self) -> None:
        """Return when this side has closed, its sending half at least, or reset, whatever waits to be read."""
        await self._wait_for(select.EPOLLRDHUP)

    async def wait_reset(self) -> None:
        """Return when neither side can send any more."""
        await self._wait_for(0)

    async def _wait_for(self, events: int) -> None:
        """One of them, or the end of both directions."""
        try:
            waiting = select.epoll()
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            await self._look_for(events)
            return
        with waiting as poll:
            poll.register(self.sock.fileno(), events)
            await trio.lowlevel.wait_readable(poll.fileno())

    async def _look_for(self, events: int) -> None:
        """The same, where no descriptor is left to wait with."""
        while True:
            if self._poll(events):
                return
            await trio.sleep(NO_ROOM_SECONDS)

    def quiet(self) -> bool:
        """Whether it has sent nothing that isn't read, and is still there."""
        return not self.ahead and not self._poll(select.POLLIN | select.POLLRDHUP)

    def reset(self) -> None:
        """Close so that the other end sees a reset, never a clean end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.sock.close()

    def close(self) -> None:
        self.sock.close()
