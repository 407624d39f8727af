"""Groups of receipts on their way to disk: one is filled while the one before it is written.

Knows neither receipts nor files: what is to be done with a group is an argument.

Rule 1: whoever waits for a group is woken once, in the turn in which it is known what became of it.
Rule 2: after the first failure nothing is acknowledged any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import attrs
import trio

from trio_egress.errors import RecorderError
from trio_egress.values import define

LINGER_SECONDS = 0.005
"""How long a receipt that nobody waits for may wait for company: the outcome of a request mostly goes with the intent
of the next one, and costs no sync of its own."""

Item = TypeVar("Item")


@define(eq=False)
class Group(Generic[Item]):
    """Receipts that one fdatasync makes durable together. `marked`: the log's state after it is told outside, too."""

    items: list[Item] = attrs.field(factory=list)
    marked: bool = False
    settled: trio.Event = attrs.field(factory=trio.Event)
    """It is on disk, or never will be."""


class Groups(Generic[Item]):
    """The group that is being filled, and the one before it, which `write` takes to disk."""

    def __init__(self, write: Callable[[Sequence[Item], bool], Awaitable[None]]) -> None:
        self._do_write = write
        self._filling = Group[Item]()
        self._urgent = trio.Event()
        self._wait = trio.CancelScope()
        self.failure: RecorderError | None = None

    def put(self, item: Item, *, marked: bool = False) -> None:
        """A receipt for the group that is being filled."""
        group = self._filling
        if not group.items:
            self._wait.deadline = min(self._wait.deadline, trio.current_time() + LINGER_SECONDS)
        group.items.append(item)
        group.marked = group.marked or marked

    async def wait_settled(self) -> None:
        """Until what was put so far is on disk. Raises RecorderError where it never will be."""
        self._urgent.set()
        await self._filling.settled.wait()
        if self.failure is not None:
            raise RecorderError(str(self.failure))

    # whoever has them written

    async def wait_for_work(self, until: float) -> None:
        """Until somebody waits for a receipt, one has lingered, `hurry` was called, or it is time."""
        if self._filling.items:
            until = min(until, trio.current_time() + LINGER_SECONDS)
        with trio.move_on_at(until) as self._wait:
            await self._urgent.wait()

    def hurry(self) -> None:
        self._urgent.set()

    @property
    def is_filling(self) -> bool:
        """Whether something was put that nobody writes yet."""
        return bool(self._filling.items)

    async def write(self) -> None:
        """Have what was put so far written, if anything was. Raises what writing it raises."""
        group, self._filling = self._filling, Group[Item]()
        self._urgent = trio.Event()
        if not group.items:
            return
        try:
            await self._do_write(group.items, group.marked)
        except BaseException as error:
            if self.failure is None:
                cut = RecorderError("a write was cut short")
                self.failure = error if isinstance(error, RecorderError) else cut
            raise
        finally:
            group.settled.set()

    def close(self) -> None:
        """No receipt is written any more, and nobody waits for one in vain. Not a checkpoint."""
        self.failure = self.failure or RecorderError("the recorder has ended")
        self._filling.settled.set()
