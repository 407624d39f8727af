"""Counts what repeats, so that a flood costs a bounded number of receipts and every event is still in one.

`Tally` is pure: the clock is an argument. `open_tally` is its life in Trio.

Rule 1: the first event of a key is told at once, with count 1.
Rule 2: its repeats are told as one sum at the end of each window in which there were any.
Rule 3: at most `capacity` keys are held; an event that finds no room is counted under its coarse key.
Rule 4: the sums add up to the events, always; `flush` leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Final, Generic, TypeVar

import trio

from trio_egress.values import define, frozen

WINDOW_SECONDS: Final = 1.0
"""Linux sums up its own log lines by 5 s (`printk_ratelimit`); receipts are to be seen while they matter."""
CAPACITY: Final = 256
"""Different keys told at once in one window; a busy build asks for fewer than a hundred names a second."""

Settle = Callable[[], None]

Key = TypeVar("Key", bound=Hashable)


@frozen
class Sum(Generic[Key]):
    """`count` events of `key` that no other sum tells of."""

    key: Key
    count: int


@define
class _Held:
    """A key's current window: when it ends, and the events in it that were not told yet."""

    ends: float
    count: int = 0


class Tally(Generic[Key]):
    """Sums of events by key. `now` is seconds of any clock that does not run backwards."""

    def __init__(self, window_seconds: float = WINDOW_SECONDS, capacity: int = CAPACITY) -> None:
        self._window = window_seconds
        self._capacity = capacity
        self._held: dict[Key, _Held] = {}  # in the order in which the windows end
        self._coarse: dict[Key, int] = {}
        self._coarse_ends = 0.0

    def add(self, key: Key, coarse: Key, now: float) -> Sum[Key] | None:
        """Count one event; the sum to tell now, if it is the first of its key.

        There must be few different `coarse` keys, because they are held without a bound.
        """
        held = self._held.get(key)
        if held is not None:
            held.count += 1
            return None
        if len(self._held) < self._capacity:
            self._held[key] = _Held(now + self._window)
            return Sum(key, 1)
        if not self._coarse:
            self._coarse_ends = now + self._window
        self._coarse[coarse] = self._coarse.get(coarse, 0) + 1
        return None

    def next_end(self, now: float) -> float:
        """When `due` may have something to tell; one window from now when nothing is held."""
        ends = [now + self._window]
        if self._held:
            ends.append(next(iter(self._held.values())).ends)
        if self._coarse:
            ends.append(self._coarse_ends)
        return min(ends)

    def due(self, now: float) -> list[Sum[Key]]:
        """The sums of the windows that have ended; a key without repeats is forgotten."""
        sums: list[Sum[Key]] = []
        for key, held in list(self._held.items()):
            if held.ends > now:
                break
            del self._held[key]
            if held.count:
                sums.append(Sum(key, held.count))
                self._held[key] = _Held(now + self._window)
        if self._coarse and self._coarse_ends <= now:
            sums += self._take_coarse()
        return sums

    def flush(self) -> list[Sum[Key]]:
        """Every event not told yet; nothing is held afterwards."""
        sums = [Sum(key, held.count) for key, held in self._held.items() if held.count]
        self._held.clear()
        return sums + self._take_coarse()

    def _take_coarse(self) -> list[Sum[Key]]:
        coarse, self._coarse = self._coarse, {}
        return [Sum(key, count) for key, count in coarse.items()]


@asynccontextmanager
async def open_tally(
    tell: Callable[[Sum[Key]], None],
    window_seconds: float = WINDOW_SECONDS,
    capacity: int = CAPACITY,
    settlers: set[Settle] | None = None,
) -> AsyncIterator[Callable[[Key, Key], None]]:
    """A function that counts one event of (key, coarse key) while the body runs; `tell` gets the sums.

    The last sums are told synchronously after everything in the body has ended, so cancellation loses none. As long as
    the body runs, what tells all that is counted so far is in `settlers`.
    """
    tally: Tally[Key] = Tally(window_seconds, capacity)

    def settle() -> None:
        for item in tally.flush():
            tell(item)

    def count(key: Key, coarse: Key) -> None:
        first = tally.add(key, coarse, trio.current_time())
        if first is not None:
            tell(first)

    async def keep_telling() -> None:
        while True:
            await trio.sleep_until(tally.next_end(trio.current_time()))
            for item in tally.due(trio.current_time()):
                tell(item)

    settlers = set() if settlers is None else settlers
    settlers.add(settle)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_telling)
            yield count
            nursery.cancel_scope.cancel()
    finally:
        settlers.discard(settle)
        settle()
