"""Async functions that decide, called in the loop of asyncio where a sandbox was opened.

Rule 1: they are tasks beside the caller's own, with its context, and none outlives the sandbox.
Rule 2: nothing that they raise reaches the loop: it is told to whoever waits for their answer.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from trio_egress.library.answering import GiveUp, Outcome, fail, give


class AsyncioLoop:
    """The one that runs now."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._living: dict[object, asyncio.Task[None]] = {}
        self._closed = False

    def start(self, call: Callable[[], Any], tell: Callable[[Outcome], object]) -> GiveUp:
        name = object()
        self._soon(self._start, name, call, tell)
        return partial(self._soon, self._cancel, name)

    async def aclose(self) -> None:
        """Give up what lives, and wait until nothing does."""
        self._closed = True
        for task in list(self._living.values()):
            task.cancel()
        while self._living:
            await asyncio.wait(list(self._living.values()))
            await asyncio.sleep(0)  # until what is done is taken out

    def _soon(self, function: Callable[..., object], *words: object) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function, *words)

    def _start(self, name: object, call: Callable[[], Any], tell: Callable[[Outcome], object]) -> None:
        if self._closed:
            tell(partial(give, False))
            return
        task = self._context.copy().run(self._loop.create_task, _run(call, tell))
        self._living[name] = task
        task.add_done_callback(lambda _: self._living.pop(name, None))

    def _cancel(self, name: object) -> None:
        if name in self._living:
            self._living[name].cancel()


async def _run(call: Callable[[], Any], tell: Callable[[Outcome], object]) -> None:
    """Cancelled, it denies."""
    outcome: Outcome = partial(give, False)
    try:
        outcome = partial(give, await call())
    except asyncio.CancelledError:
        pass
    except BaseException as error:
        outcome = partial(fail, error)
    tell(outcome)
