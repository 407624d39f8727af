"""Bytes from one side to the other, counted, with back-pressure, half-close and an idle time-out.

Does not look at them. The first BULK_BYTES of a direction go through Python; what follows moves inside the kernel by
splice, through a pipe that exists only for that long.

Rule 1: a byte counts when the receiving side's kernel has taken it, also when a side resets in the middle.
Rule 2: a fault of either side leaves `relay` as a value; a task that met one never raises it out of a nursery.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
from collections.abc import Awaitable, Callable, Iterator

import trio

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.model import Layer
from trio_egress.policy.budget import Limit
from trio_egress.proxy.ledger import Account, UsedUp
from trio_egress.proxy.peer import NO_ROOM, READ_BYTES, Count, Peer
from trio_egress.recorder import Flow

BULK_BYTES = 256 * 1024
"""A direction that has carried this much is worth a pipe: two descriptors."""

PIPE_BYTES = 256 * 1024
"""A user's pipes may hold 64 MiB in all: 256 of these. One made after that holds 8 KiB (man 7 pipe), and a splice of
that costs more than a copy: measured, 200 downloads at once took three times as long."""

_turn: trio.lowlevel.RunVar[trio.Lock] = trio.lowlevel.RunVar("splice turn")
"""One splice in and one out in a turn of Trio's loop, whoever they are for. Without it a turn took 45 ms while a
hundred bulk transfers ran, and a DNS query waits for several; with it 0.17 ms, and they are as fast (2026-11)."""

_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_REFUSED = (errno.EINVAL, errno.ENOSYS)
"""A kind of socket that doesn't splice, or a kernel (gVisor's, or behind a seccomp filter) that doesn't."""


Begin = Callable[[Peer, Peer, Count], Awaitable[None]]
"""Carries from one side to the other for as long as somebody looks; raises the fault of a side that has one."""


class Patience:
    """Ends `scope`, or the one that it opens, when nothing has moved for `seconds`."""

    def __init__(self, seconds: float, scope: trio.CancelScope | None = None) -> None:
        self._seconds = seconds
        self._scope = scope
        if scope is not None:
            self.touch()

    @property
    def seconds(self) -> float:
        return self._seconds

    @contextlib.contextmanager
    def open_scope(self) -> Iterator[None]:
        with trio.CancelScope() as self._scope:
            self.touch()
            yield

    def hurry(self, seconds: float) -> None:
        """From now on it is at most so long."""
        self._seconds = min(seconds, self._seconds)
        self.touch()

    def touch(self) -> None:
        """Something moved."""
        if self._scope is not None:
            self._scope.deadline = trio.current_time() + self._seconds

    @property
    def ran_out(self) -> bool:
        return self._scope is not None and self._scope.cancelled_caught


class Meter:
    """Counts a flow's bytes in both directions and keeps its patience alive; with an account, none goes uncharged."""

    def __init__(self, flow: Flow, patience: Patience, account: Account | None = None) -> None:
        self._flow = flow
        self._patience = patience
        self.up = _open_count(self._tell_up, account, Limit.BYTES_UP)
        self.down = _open_count(self._tell_down, account, Limit.BYTES_DOWN)

    def _tell_up(self, moved: int) -> None:
        self._flow.bytes_up += moved
        self._patience.touch()

    def _tell_down(self, moved: int) -> None:
        self._flow.bytes_down += moved
        self._patience.touch()


class _ChargedCount(Count):
    """One that a rule's budget is behind."""

    def __init__(self, tell: Callable[[int], None], account: Account, limit: Limit) -> None:
        super().__init__(tell)
        self._account = account
        self._limit = limit

    def claim(self, wanted: int) -> int:
        return self._account.claim(self._limit, wanted)

    def took(self, claimed: int, sent: int) -> None:
        self._account.settle(self._limit, claimed, sent)
        super().took(claimed, sent)


def _open_count(tell: Callable[[int], None], account: Account | None, limit: Limit) -> Count:
    return Count(tell) if account is None else _ChargedCount(tell, account, limit)


async def _begin_at_once(_source: Peer, _sink: Peer, _count: Count) -> None:
    """Nothing comes before a plain relay."""


AT_ONCE = (_begin_at_once, _begin_at_once)


async def relay(
    agent: Peer,
    upstream: Peer,
    flow: Flow,
    idle_seconds: float,
    account: Account | None = None,
    *,
    begin: tuple[Begin, Begin] = AT_ONCE,
) -> str | None:
    """Carry both directions until both have ended. Returns why it ended early, or None for a clean end.

    `begin`: what carries the first bytes of each direction, up and down, before nobody looks at them any more.

    After an early end both sockets are still open: the caller resets them, so that neither takes it for a clean one.
    """
    ending: list[str] = []

    async def carry(first: Begin, source: Peer, sink: Peer, count: Count) -> None:
        try:
            await first(source, sink, count)
            await move(source, sink, count)
            sink.end()
        except (PeerError, UpstreamError) as fault:
            ending.append(str(fault))
            nursery.cancel_scope.cancel()
        except UsedUp as cut:
            flow.fail(str(cut), Layer.LIMIT)
            ending.append(str(cut))
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        patience = Patience(idle_seconds, nursery.cancel_scope)
        meter = Meter(flow, patience, account)
        nursery.start_soon(carry, begin[1], upstream, agent, meter.down)
        await carry(begin[0], agent, upstream, meter.up)
    if ending:
        return ending[0]
    return f"both sides were silent for {idle_seconds:g} s" if patience.ran_out else None


async def move(source: Peer, sink: Peer, count: Count, limit: int = sys.maxsize) -> int:
    """Up to `limit` bytes from source to sink, fewer only if source ends; how many were moved.

    Raises the fault of the side that has one. Bytes beyond the limit stay in the source.
    """
    first = min(limit, max(BULK_BYTES, len(source.ahead)))
    moved = await _copy(source, sink, count, first)
    if moved < first or moved == limit:
        return moved
    if not (source.splices and sink.splices):
        return moved + await _copy(source, sink, count, limit - moved)
    with _open_pipe() as pipe:
        if pipe is None:
            return moved + await _copy(source, sink, count, limit - moved)
        return moved + await _splice(source, sink, count, limit - moved, *pipe)


async def _copy(source: Peer, sink: Peer, count: Count, limit: int) -> int:
    moved = 0
    while moved < limit:
        raw = await source.recv(min(source.most, limit - moved))
        if not raw:
            break
        await sink.send(raw, count)
        moved += len(raw)
    return moved


async def _splice(source: Peer, sink: Peer, count: Count, limit: int, out: int, into: int) -> int:
    """A `move` through a pipe; by copying where the kernel doesn't splice from this kind of socket."""
    turn, moved = _share_turn(), 0
    while moved < limit:
        try:
            async with turn:
                await trio.lowlevel.checkpoint_if_cancelled()
                held = _splice_in(source, into, min(PIPE_BYTES, limit - moved))
                sent = _splice_out(out, sink, held, count) if held else 0
        except BlockingIOError:
            await source.wait_readable()
            continue
        if held is None:
            return moved + await _copy(source, sink, count, limit - moved)
        if held == 0:
            source.check_end()
            break
        await _empty(out, sink, held, sent, count)
        moved += held
    return moved


async def _empty(out: int, sink: Peer, held: int, sent: int | None, count: Count) -> None:
    """The rest of what the pipe held, when so much of it went at once."""
    turn = _share_turn()
    while sent != held:
        if sent is None:
            while held:
                raw = os.read(out, held)
                await sink.send(raw, count)
                held -= len(raw)
            return
        if sent == 0:
            await sink.wait_writable()
        held -= sent
        async with turn:
            await trio.lowlevel.checkpoint_if_cancelled()
            sent = _splice_out(out, sink, held, count)


def _splice_in(source: Peer, into: int, room: int) -> int | None:
    """What is there, into the empty pipe; 0 at the source's end, None when the kernel doesn't splice from it.

    Raises BlockingIOError where there is nothing yet.
    """
    try:
        return os.splice(source.sock.fileno(), into, room, flags=_FLAGS)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno in _REFUSED:
            return None
        raise source.blame_for(error) from None


def _splice_out(out: int, sink: Peer, held: int, count: Count) -> int | None:
    """As much of what the pipe holds as the sink takes at once; None when the kernel doesn't splice to it."""
    sent = 0
    claimed = count.claim(held)
    try:
        sent = os.splice(out, sink.sock.fileno(), claimed, flags=_FLAGS)
    except BlockingIOError:
        return 0
    except OSError as error:
        if error.errno in _REFUSED:
            return None
        raise sink.blame_for(error) from None
    finally:
        count.took(claimed, sent)
    return sent


def _share_turn() -> trio.Lock:
    """The run's turn: first come, first served."""
    try:
        return _turn.get()
    except LookupError:
        turn = trio.Lock()
        _turn.set(turn)
        return turn


@contextlib.contextmanager
def _open_pipe() -> Iterator[tuple[int, int] | None]:
    """A non-blocking pipe (read end, write end); None where no descriptors or no pages for a useful one are left."""
    try:
        out, into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        yield None
        return
    try:
        with contextlib.suppress(PermissionError):
            fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        yield (out, into) if fcntl.fcntl(into, fcntl.F_GETPIPE_SZ) >= READ_BYTES else None
    finally:
        os.close(out)
        os.close(into)
