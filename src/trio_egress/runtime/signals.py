"""Signals to `trio-egress run` while there is no run yet to take them, and when it is over.

Loads nothing: it is in force before the modules are read that a run needs, which takes longer than all else up to then.

Rule 1: none is lost. What comes is kept until someone can act on it, and nothing is left half done for it.
Rule 2: what the caller ignores stays ignored where that is how one asks for it (`nohup`, a shell's background job).
Rule 3: when all is told, what comes changes nothing any more.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

FORWARDED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR2,
)
"""These are the agent's, as soon as there is one."""

ROTATING = signal.SIGRTMIN
"""Never the agent's: it asks for the run's next key (`trio-egress keys rotate`)."""

STOPPING = signal.SIGUSR1
"""Nor this: it stops all egress of the run (`trio-egress stop`)."""

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Before that, these end the run."""

IGNORABLE = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal ended the run before it began. No Exception: no handler of errors on the way may take it for one."""

    def __init__(self, number: int) -> None:
        super().__init__(describe_early_end(number))
        self.number = number


def describe_early_end(number: int) -> str:
    return f"ended by {signal.Signals(number).name} before the agent ran"


def find_heeded() -> tuple[signal.Signals, ...]:
    """ROTATING, STOPPING, and FORWARDED without those that the caller had ignored (rule 2)."""
    return tuple(
        n
        for n in (*FORWARDED, ROTATING, STOPPING)
        if n not in IGNORABLE or signal.getsignal(n) is not signal.SIG_IGN
    )


class Inbox:
    """What has come so far is in `waiting`."""

    def __init__(self) -> None:
        self.waiting: list[int] = []
        self._interrupts = False

    def open(self) -> None:
        """From the main thread."""
        for number in find_heeded():
            signal.signal(number, self._take)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, our children would end without a word

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """A signal of ENDING raises Interrupted out of the body, at once if it has come: the body may wait for ever."""
        self._interrupts = True
        try:
            self._interrupt()
            yield
        finally:
            self._interrupts = False

    def release(self) -> None:
        """What comes ends the process at once, as if it had never been kept."""
        for number in find_heeded():
            signal.signal(number, signal.SIG_DFL)

    def close(self) -> None:
        """The process is about to end with a status that has been told."""
        for number in find_heeded():
            signal.signal(number, signal.SIG_IGN)

    def _take(self, number: int, _frame: object) -> None:
        self.waiting.append(number)
        if self._interrupts:
            self._interrupt()

    def _interrupt(self) -> None:
        for number in self.waiting:
            if number in ENDING:
                raise Interrupted(number)
