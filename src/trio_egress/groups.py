"""Groups of receipts on their way to disk, and the thread that takes them there.

Knows neither receipts nor files: what is to be done with a group is an argument.

Rule 1: one thread for as long as the recorder lives: a group costs one hop there and one back, whatever is in it.
Rule 2: whoever waits for a group is woken once, in the turn in which it is known what became of it.
Rule 3: after the first failure nothing is acknowledged any more.
Rule 4: a thread that never comes back (a disk that hangs) holds up nobody who has stopped waiting, nor our end.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue

import attrs
import trio

from trio_egress.errors import RecorderError
from trio_egress.values import define

LINGER_SECONDS = 0.005
"""How long a receipt that nobody waits for may wait for company: the outcome of a request mostly goes with the intent
of the next one, and costs no sync of its own."""


@define(eq=False)
class Group:
    """Receipts that one fdatasync makes durable together, each the call that makes its line, timed when asked for."""

    receipts: list[Callable[[], bytes]] = attrs.field(factory=list)
    marked: bool = False
    """The log's state after it is told outside, too."""

    settled: trio.Event = attrs.field(factory=trio.Event)
    """It is on disk, or never will be."""

    error: BaseException | None = None


class Groups:
    """The group that is being filled, and the one before it, which `write` takes to disk. Of the loop's thread."""

    def __init__(self, write: Callable[[Group], None]) -> None:
        self._do_write = write
        self._filling = Group()
        self._urgent = trio.Event()
        self._wait = trio.CancelScope()
        self._to_write: SimpleQueue[Group | None] = SimpleQueue()
        self.failure: RecorderError | None = None

    def put(self, receipt: Callable[[], bytes], *, marked: bool = False) -> None:
        """A receipt for the group that is being filled."""
        group = self._filling
        if not group.receipts:
            self._wait.deadline = min(self._wait.deadline, trio.current_time() + LINGER_SECONDS)
        group.receipts.append(receipt)
        group.marked = group.marked or marked

    async def wait_settled(self) -> None:
        """Until what was put so far is on disk. Raises RecorderError where it never will be."""
        self._urgent.set()
        await self._filling.settled.wait()
        if self.failure is not None:
            raise RecorderError(str(self.failure))

    # whoever has them written

    def open(self) -> None:
        threading.Thread(
            target=self._work, args=(trio.lowlevel.current_trio_token(),), name="recorder", daemon=True
        ).start()

    async def wait_for_work(self, until: float) -> None:
        """Until somebody waits for a receipt, one has lingered, `hurry` was called, or it is time."""
        if self._filling.receipts:
            until = min(until, trio.current_time() + LINGER_SECONDS)
        with trio.move_on_at(until) as self._wait:
            await self._urgent.wait()

    def hurry(self) -> None:
        self._urgent.set()

    @property
    def is_filling(self) -> bool:
        """Whether something was put that nobody writes yet."""
        return bool(self._filling.receipts)

    async def write(self) -> None:
        """Have what was put so far written, if anything was. Raises what writing it raises."""
        group, self._filling = self._filling, Group()
        self._urgent = trio.Event()
        if not group.receipts:
            return
        self._to_write.put(group)
        try:
            await group.settled.wait()
        except BaseException as error:
            self._settle(group, error)
            raise
        if group.error is not None:
            raise group.error

    def close(self) -> None:
        """No receipt is written any more, and nobody waits for one in vain. Not a checkpoint."""
        self._to_write.put(None)
        self.failure = self.failure or RecorderError("the recorder has ended")
        self._filling.settled.set()

    def _settle(self, group: Group, error: BaseException | None) -> None:
        if error is not None and self.failure is None:
            cut = RecorderError("a write was cut short")
            self.failure = error if isinstance(error, RecorderError) else cut
        group.error = error
        group.settled.set()

    def _work(self, token: trio.lowlevel.TrioToken) -> None:
        while (group := self._to_write.get()) is not None:
            error: BaseException | None = None
            try:
                self._do_write(group)
            except BaseException as raised:  # it is raised where the group is waited for
                error = raised
            with contextlib.suppress(trio.RunFinishedError):  # nobody waits any more
                token.run_sync_soon(self._settle, group, error)
