"""Waiting for sockets, cheaply: each is told to the kernel once, and a time-out is a number.

Trio's own `wait_readable` arms a socket anew for each wait, and a time-out of Trio's is a scope: together they took a
third of a request's processor time (2026-11). Here all sockets of a run are in one edge-triggered epoll, for which one
task waits; another task wakes whoever has waited too long.

Rule 1: a socket counts as ready until the kernel has said that it isn't, and again as soon as it says that it is.
Rule 2: whoever is woken tries again: a wake-up says that something may have changed, and no more.
"""

from __future__ import annotations

import select
from heapq import heappop, heappush
from itertools import count
from math import inf

import trio

_BATCH = 256
"""Events of one call."""

_GONE = select.EPOLLERR | select.EPOLLHUP
_IN = select.EPOLLIN | select.EPOLLRDHUP | _GONE
_OUT = select.EPOLLOUT | _GONE
_LOOK_SECONDS = 2.0
"""Whoever waits is looked at so often, so that nobody who has ended is remembered for longer."""

_READ = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_BOTH = _READ | select.EPOLLOUT


class Waiter:
    """With what one task at a time waits, until it is woken or it is late."""

    __slots__ = ("_desk", "_late", "_task", "queued", "until")

    def __init__(self, desk: _Desk) -> None:
        self._desk = desk
        self._task: trio.lowlevel.Task | None = None
        self._late = False
        self.until = inf
        self.queued = inf
        """When it is looked at next, if ever."""

    async def wait(self, until: float) -> bool:
        """False when that moment of Trio's clock has come first. A checkpoint; cancellation leaves nothing behind."""
        if self._task is not None:
            raise trio.BusyResourceError("two tasks wait for the same end of a socket")
        self.until, self._late = until, False
        if until < self.queued:
            self._queue(trio.current_time())
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._give_up)
        return not self._late

    def wake(self) -> None:
        """Whoever waits goes on, if anybody does."""
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def look(self, now: float) -> None:
        """Its time may have come."""
        self.queued = inf
        if self._task is not None and self.until > now:
            self._queue(now)
        elif self._task is not None:
            self._late = True
            self.wake()

    def _queue(self, now: float) -> None:
        self.queued = min(self.until, now + _LOOK_SECONDS)
        self._desk.queue(self)

    def _give_up(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class Readiness:
    """Of one socket. `readable` and `writable` are for its user to clear, when the kernel has said EAGAIN."""

    __slots__ = ("_desk", "_events", "_in", "_out", "gone", "readable", "reader", "writable", "writer")

    def __init__(self) -> None:
        self._desk = find_desk()
        self._in, self._out = Waiter(self._desk), Waiter(self._desk)
        self._events = 0
        self.readable = self.writable = True
        self.gone = False
        """It has failed, or ended in both directions."""

        self.reader: Waiter | None = None
        self.writer: Waiter | None = None

    async def wait_readable(self, number: int, until: float, beside: Readiness | None, other: int) -> bool:
        """False when it is late. `beside`: another socket whose news are as good, with its number."""
        self.reader = self._in
        if not self._events:
            self._tell(number, _READ)
        if beside is not None:
            beside.reader = self._in
            if not beside._events:
                beside._tell(other, _READ)
        return await self._in.wait(until)

    async def wait_writable(self, number: int, until: float) -> bool:
        self.writer = self._out
        if self._events != _BOTH:
            self._tell(number, _BOTH)
        return await self._out.wait(until)

    def hear(self, events: int) -> None:
        """What the kernel says."""
        if events & _GONE:
            self.gone = True
        if events & _IN:
            self.readable = True
            if self.reader is not None:
                self.reader.wake()
        if events & _OUT:
            self.writable = True
            if self.writer is not None:
                self.writer.wake()

    def _tell(self, number: int, events: int) -> None:
        """To the kernel, which says what holds already, too."""
        self._desk.tell(number, self, events)
        self._events = events


class _Desk:
    """One for a run of Trio."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._sockets: dict[int, Readiness] = {}
        """By number. What is closed stays until its number is used again."""

        self._clock: list[tuple[float, int, Waiter]] = []
        self._numbers = count()
        self._sleep = trio.CancelScope()

    def tell(self, number: int, readiness: Readiness, events: int) -> None:
        """Wait for these of a socket; from now on they are told to `readiness`, whoever was told before."""
        self._sockets[number] = readiness
        try:
            self._epoll.register(number, events)
        except FileExistsError:
            self._epoll.modify(number, events)

    def queue(self, waiter: Waiter) -> None:
        heappush(self._clock, (waiter.queued, next(self._numbers), waiter))
        if waiter.queued < self._sleep.deadline:
            self._sleep.deadline = waiter.queued

    async def keep(self) -> None:
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll)
                for number, events in self._epoll.poll(0, _BATCH):
                    self._sockets[number].hear(events)
        finally:
            self._epoll.close()

    async def keep_time(self) -> None:
        while True:
            with trio.CancelScope() as self._sleep:
                self._sleep.deadline = self._clock[0][0] if self._clock else inf
                await trio.sleep_forever()
            now = trio.current_time()
            while self._clock and self._clock[0][0] <= now:
                when, _, waiter = heappop(self._clock)
                if waiter.queued == when:  # an older entry says nothing
                    waiter.look(now)


_desk: trio.lowlevel.RunVar[_Desk] = trio.lowlevel.RunVar("readiness of sockets")


def find_desk() -> _Desk:
    """The run's; its two tasks end with the run."""
    try:
        return _desk.get()
    except LookupError:
        desk = _Desk()
        _desk.set(desk)
        trio.lowlevel.spawn_system_task(desk.keep)
        trio.lowlevel.spawn_system_task(desk.keep_time)
        return desk
