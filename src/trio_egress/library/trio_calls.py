"""Async functions that decide, called where a sandbox was opened in Trio.

Rule 1: they are tasks beside the caller's own, with its context, and none outlives the sandbox.
Rule 2: nothing that they raise reaches Trio: it is told to whoever waits for their answer.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import attrs
import trio

from trio_egress.library.answering import GiveUp, Outcome, fail, give
from trio_egress.values import define


@define(eq=False)
class _Call:
    function: Callable[[], Any]
    tell: Callable[[Outcome], object]
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def run(self) -> Outcome:
        """Cancelled, it denies."""
        with self.scope:
            try:
                return partial(give, await self.function())
            except trio.Cancelled:
                raise
            except BaseException as error:
                return partial(fail, error)
        return partial(give, False)


class TrioLoop:
    """The one that runs now."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._context = contextvars.copy_context()
        self._living: set[_Call] = set()
        self._closed = False
        self._something_ended = trio.Event()

    def start(self, call: Callable[[], Any], tell: Callable[[Outcome], object]) -> GiveUp:
        started = _Call(call, tell)
        self._soon(self._start, started)
        return partial(self._soon, started.scope.cancel)

    async def aclose(self) -> None:
        """Give up what lives, and wait until nothing does."""
        self._closed = True
        for call in self._living:
            call.scope.cancel()
        while self._living:
            self._something_ended = trio.Event()
            await self._something_ended.wait()

    def _soon(self, function: Callable[..., object], *words: object) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function, *words)

    def _start(self, call: _Call) -> None:
        if self._closed:
            call.tell(partial(give, False))
            return
        self._living.add(call)
        trio.lowlevel.spawn_system_task(
            self._run, call, name="trio-egress decide", context=self._context.copy()
        )

    async def _run(self, call: _Call) -> None:
        try:
            call.tell(await call.run())
        finally:
            self._living.discard(call)
            self._something_ended.set()
