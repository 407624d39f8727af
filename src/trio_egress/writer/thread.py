"""A desk in a thread: for keys that only this process can ask, and wherever a process of its own isn't worth it.

Rule 1: one thread for as long as it is open: a group costs one hop there and one back, whatever is in it.
Rule 2: a thread that never comes back (a disk that hangs) holds up nobody who has stopped waiting, nor our end.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from queue import SimpleQueue

import attrs
import trio

from trio_egress.values import define
from trio_egress.writer.desk import Desk, Order, Written


@define(eq=False)
class _Turn:
    orders: Sequence[Order]
    marked: bool
    written: Written | None = None
    error: BaseException | None = None
    done: trio.Event = attrs.field(factory=trio.Event)


class WriterThread:
    """Of the loop's thread, but for what the desk does."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._turns: SimpleQueue[_Turn | None] = SimpleQueue()
        token = trio.lowlevel.current_trio_token()
        threading.Thread(target=self._work, args=(token,), name="recorder", daemon=True).start()

    async def write(self, orders: Sequence[Order], *, marked: bool) -> Written:
        turn = _Turn(orders, marked)
        self._turns.put(turn)
        await turn.done.wait()
        if turn.error is not None or turn.written is None:
            raise turn.error or RuntimeError("neither written nor failed")
        return turn.written

    async def close(self) -> None:
        self._turns.put(None)

    def _work(self, token: trio.lowlevel.TrioToken) -> None:
        while (turn := self._turns.get()) is not None:
            try:
                turn.written = self._desk.write(turn.orders, marked=turn.marked)
            except BaseException as error:  # it is raised where the group is waited for
                turn.error = error
            with contextlib.suppress(trio.RunFinishedError):  # nobody waits any more
                token.run_sync_soon(turn.done.set)
