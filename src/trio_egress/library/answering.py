"""Who answers for a sandbox (`decide=`): each question by itself, so that nothing waits behind a slow answer.

A plain function is called in a thread of its own, an async one where the sandbox was opened: its Loop.

Rule 1: no more than CALLS_AT_ONCE calls run; what comes beyond them is denied.
Rule 2: a question that is over (its time is up, the agent has hung up) is over: an async call is cancelled, and what a
plain function still says counts for nothing. The end of the sandbox is the end of all questions.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from trio_egress.errors import PeerError, UsageError
from trio_egress.library.deciding import (
    CHUNK_BYTES,
    Decide,
    Deciding,
    Question,
    Reply,
    is_async,
    read_failure,
    read_said,
)

CALLS_AT_ONCE = 64
"""As many as questions stand at once."""

Outcome = Callable[[], object]
"""Gives what a call gave, or raises what it raised."""

GiveUp = Callable[[], object]


class Loop(Protocol):
    """Where async functions run."""

    def start(self, call: Callable[[], Any], tell: Callable[[Outcome], object]) -> GiveUp:
        """From another thread. `tell` is called when it has ended, unless the loop ends first."""


class Answering:
    """Of one sandbox, from `begin` to `close`. `loop`: where there is one."""

    def __init__(self, decide: Decide, loop: Loop | None) -> None:
        self._deciding = Deciding(decide)
        self._loop = None
        if is_async(decide):
            if loop is None:
                raise UsageError(f"decide must be a plain function where the sandbox is, not {decide!r}")
            self._loop = loop
        self._line, self.other = socket.socketpair()
        self._lock = threading.Lock()
        self._calls: dict[int, GiveUp] = {}
        self._fail: Callable[[BaseException], object] | None = None

    def begin(self, fail: Callable[[BaseException], object]) -> None:
        """`fail`: what is told of an exception that is none to go on after."""
        self._fail = fail
        threading.Thread(target=self._follow, name="trio-egress decide", daemon=True).start()

    def close(self) -> None:
        """From any thread, and more than once."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        if self._fail is None:  # else whoever follows it closes it
            self._line.close()
        with self._lock:
            calls = list(self._calls.values())
        for give_up in calls:
            give_up()

    def _follow(self) -> None:
        with self._line, suppress(OSError, PeerError):
            while raw := self._line.recv(CHUNK_BYTES):
                for number, question in self._deciding.read(raw):
                    if question is None:
                        self._calls.get(number, _nothing)()
                    else:
                        self._ask(number, question)
        self.close()

    def _ask(self, number: int, question: Question) -> None:
        with self._lock:
            full = len(self._calls) >= CALLS_AT_ONCE
            if not full:
                self._calls[number] = _nothing
        if full:
            self._send(number, (False, f"{CALLS_AT_ONCE} calls of the program that decides are running"))
            return
        call, tell = partial(self._deciding.decide, question), partial(self._end, number)
        if self._loop is None:
            threading.Thread(target=tell, args=(call,), name="trio-egress decide", daemon=True).start()
            return
        give_up = self._loop.start(call, tell)
        with self._lock:
            if number in self._calls:
                self._calls[number] = give_up

    def _end(self, number: int, outcome: Outcome) -> None:
        try:
            reply = read_said(outcome())
        except Exception as error:
            reply = read_failure(error)
        except BaseException as error:
            reply = False, "the program that decides is ending"
            if self._fail is not None:
                self._fail(error)
        with self._lock:
            self._calls.pop(number, None)
        self._send(number, reply)

    def _send(self, number: int, reply: Reply) -> None:
        with self._lock, suppress(OSError):
            self._line.sendall(self._deciding.answer(number, *reply))


def give(value: object) -> object:
    """An outcome, by `partial`; so is what follows."""
    return value


def fail(error: BaseException) -> object:
    raise error


def _nothing() -> None:
    pass
